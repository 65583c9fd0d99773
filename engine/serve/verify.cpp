#include <atomic>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "engine/serve/scoring_service.h"
#include "engine/serve/status.h"
#include "engine/serve/verifier.h"
#include "engine/serve/verify_pool.h"

// driftseal.v1.Scoring.Verify.
namespace driftseal::serve {
namespace {

class VerifyCall final : public grpc::ServerWriteReactor<v1::VerifyEvent> {
 public:
  VerifyCall(Engine& engine, const Method& method, grpc::CallbackServerContext* context,
             const v1::VerifyRequest* request)
      : engine_(engine), call_(*engine.gate, method, context), request_(*request) {}

  void Begin(const grpc::CallbackServerContext& context) {
    if (!call_.ok()) return Finish(call_.End(call_.status()));
    // An error that can be told at once is; the rest of the request is checked where it is worked on.
    if (const auto path = CheckPath(engine_, "path", request_.path()); !path.ok()) {
      return Finish(call_.End(path.status()));
    }
    v1::VerifyEvent queued;
    queued.mutable_progress()->set_stage(v1::VerifyEvent::Progress::STAGE_QUEUED);
    events_.push_back(std::move(queued));
    writing_ = true;  // What the worker tells goes behind it.
    absl::StatusOr<VerifyPool::Ticket> ticket =
        engine_.verify_pool->Submit({call_.client(), ToPriority(request_.priority()), PoolDeadline(context),
                                     [this](const absl::Status& status) { End(status.ok() ? Verify() : status); }});
    if (!ticket.ok()) return Finish(call_.End(ticket.status()));
    ticket_ = *ticket;
    StartWrite(&events_.front());
  }

  // Not before Begin is through.
  void OnCancel() override {
    cancelled_ = true;
    // Nobody waits for it any more. What runs already ends by itself.
    if (ticket_ != 0 && engine_.verify_pool->Cancel(ticket_)) End(absl::CancelledError("the caller went away"));
  }

  void OnWriteDone(bool ok) override {
    std::optional<absl::Status> end;
    const v1::VerifyEvent* next = nullptr;
    {
      const std::lock_guard lock(mutex_);
      events_.pop_front();
      if (!ok) events_.clear();
      if (!events_.empty()) {
        next = &events_.front();
      } else {
        writing_ = false;
        end = std::exchange(end_, std::nullopt);
      }
    }
    if (next != nullptr) return StartWrite(next);
    if (end) Finish(call_.End(*end));
  }

  void OnDone() override { delete this; }

 private:
  // On a thread of the pool.
  absl::Status Verify() {
    const absl::StatusOr<Verification> verification = Verification::Make(engine_, request_);
    if (!verification.ok()) return verification.status();
    Tell(v1::VerifyEvent::Progress::STAGE_READING);
    screen::Result result = verification->Read();
    if (cancelled_) return absl::CancelledError("the caller went away");
    Tell(v1::VerifyEvent::Progress::STAGE_SCORING);
    verification->Judge(result);
    v1::VerifyEvent event;
    *event.mutable_verdict() = verification->ToProto(result);
    Push(std::move(event));
    return absl::OkStatus();
  }

  void Tell(v1::VerifyEvent::Progress::Stage stage) {
    v1::VerifyEvent event;
    event.mutable_progress()->set_stage(stage);
    Push(std::move(event));
  }

  void Push(v1::VerifyEvent event) {
    const v1::VerifyEvent* first = nullptr;
    {
      const std::lock_guard lock(mutex_);
      events_.push_back(std::move(event));
      if (!writing_) first = &events_.front();
      writing_ = true;
    }
    if (first != nullptr) StartWrite(first);
  }

  // Once, when no event comes any more.
  void End(const absl::Status& status) {
    {
      const std::lock_guard lock(mutex_);
      if (writing_) {
        end_ = status;
        return;
      }
    }
    Finish(call_.End(status));
  }

  Engine& engine_;
  Call call_;
  const v1::VerifyRequest request_;
  std::atomic<bool> cancelled_{false};
  VerifyPool::Ticket ticket_ = 0;
  std::mutex mutex_;
  std::deque<v1::VerifyEvent> events_;  // The first one is being written while `writing_`.
  bool writing_ = false;
  std::optional<absl::Status> end_;
};

}  // namespace

grpc::ServerWriteReactor<v1::VerifyEvent>* ScoringService::Verify(grpc::CallbackServerContext* context,
                                                                  const v1::VerifyRequest* request) {
  auto* call = new VerifyCall(engine_, verify_, context, request);
  call->Begin(*context);
  return call;
}

}  // namespace driftseal::serve
