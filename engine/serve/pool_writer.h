#ifndef DRIFTSEAL_ENGINE_SERVE_POOL_WRITER_H_
#define DRIFTSEAL_ENGINE_SERVE_POOL_WRITER_H_

#include <mutex>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/serve/engine.h"
#include "engine/serve/verifier.h"
#include "engine/serve/verify_pool.h"
#include "grpcpp/support/server_callback.h"

namespace driftseal::serve {

/// A call that answers with a stream of messages, each made by a job of the verify pool once the one before it was
/// sent: a caller that reads slowly holds one message and no thread. Deletes itself.
template <typename Response>
class PoolWriter : public grpc::ServerWriteReactor<Response> {
 public:
  PoolWriter(Engine& engine, const Method& method, grpc::CallbackServerContext* context)
      : engine_(engine), call_(*engine.gate, method, context), deadline_(PoolDeadline(*context)) {}

  /// Once, from the handler.
  void Begin() {
    if (!call_.ok()) return this->Finish(call_.End(call_.status()));
    Advance(/*first=*/true);
  }
  void OnCancel() override {
    VerifyPool::Ticket ticket = 0;
    {
      const std::lock_guard lock(mutex_);
      cancelled_ = true;
      ticket = ticket_;
    }
    if (ticket != 0 && engine_.verify_pool->Cancel(ticket)) this->Finish(call_.End(Gone()));
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return this->Finish(call_.End(Gone()));
    if (!Ready()) return Advance(/*first=*/false);
    Make(absl::OkStatus());
  }
  void OnDone() override { delete this; }

 protected:
  /// Makes the next message; false: there is none. On a thread of the pool, but where Ready says so.
  virtual absl::StatusOr<bool> Next(Response& response) = 0;
  /// Whether Next takes no time worth a job.
  virtual bool Ready() const { return false; }
  Engine& engine() { return engine_; }

 private:
  static absl::Status Gone() { return absl::CancelledError("the caller went away"); }

  void Advance(bool first) {
    absl::Status status;
    {
      const std::lock_guard lock(mutex_);
      if (cancelled_) {
        status = Gone();
      } else {
        absl::StatusOr<VerifyPool::Ticket> ticket = engine_.verify_pool->Submit(
            {call_.client(), batch::Priority::kLow, deadline_, [this](const absl::Status& run) { Make(run); }});
        if (ticket.ok()) {
          ticket_ = *ticket;
          return;
        }
        status = ticket.status();
      }
    }
    // What has begun waits its turn; what has not is refused at once.
    if (!first && absl::IsResourceExhausted(status)) {
      return engine_.verify_pool->WhenRoom([this] { Advance(/*first=*/false); });
    }
    this->Finish(call_.End(status));
  }

  void Make(const absl::Status& run) {
    bool cancelled = false;
    {
      const std::lock_guard lock(mutex_);
      cancelled = cancelled_;
    }
    response_.Clear();
    absl::StatusOr<bool> more = !run.ok() ? absl::StatusOr<bool>(run) : cancelled ? Gone() : Next(response_);
    if (!more.ok()) return this->Finish(call_.End(more.status()));
    if (!*more) return this->Finish(call_.End(absl::OkStatus()));
    this->StartWrite(&response_);
  }

  Engine& engine_;
  Call call_;
  const VerifyPool::Clock::time_point deadline_;
  Response response_;
  std::mutex mutex_;
  VerifyPool::Ticket ticket_ = 0;
  bool cancelled_ = false;
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_POOL_WRITER_H_
