#include "engine/serve/verify_stream.h"

#include <chrono>
#include <span>
#include <utility>
#include <vector>

#include "engine/artifact/digest.h"
#include "engine/artifact/text.h"
#include "engine/serve/scoring_service.h"
#include "engine/serve/status.h"
#include "engine/serve/verifier.h"
#include "engine/store/verdict_store.h"

namespace driftseal::serve {
namespace {

using artifact::Cat;

constexpr size_t kIdBytes = 256, kRunBytes = 128;

// By which an id that is used for something else is noticed. Who goes first changes no verdict.
std::string DigestOf(v1::VerifyRequest request) {
  request.clear_priority();
  const std::string bytes = request.SerializeAsString();
  return artifact::Sha256(std::as_bytes(std::span(bytes))).Hex();
}

absl::Status Gone() { return absl::CancelledError("the caller went away"); }

}  // namespace

VerifyStreamCall::VerifyStreamCall(Engine& engine, const Method& method, grpc::CallbackServerContext* context)
    : engine_(engine), call_(*engine.gate, method, context), deadline_(PoolDeadline(*context)) {}

void VerifyStreamCall::Begin() {
  if (!call_.ok()) {
    finished_ = true;
    return Finish(call_.End(call_.status()));
  }
  StartSendInitialMetadata();
  engine_.gate->Listen(this);
  Lock lock(mutex_);
  Advance(lock);
}

void VerifyStreamCall::Advance(Lock& lock) {
  if (finished_) return;
  again_ = true;
  if (advancing_) return;
  advancing_ = true;
  while (again_) {
    again_ = false;
    const Response* write = nullptr;
    if (!writing_ && !answers_.empty()) {
      writing_ = true;
      write = &answers_.front();
    }
    const bool read = !Over() && !reading_ && !held_ && in_flight_ + answers_.size() < kWindow;
    reading_ = reading_ || read;
    finished_ = Over() && in_flight_ == 0 && answers_.empty();
    const bool finish = finished_;
    const absl::Status end = cancelled_ ? Gone() : half_closed_ ? absl::OkStatus() : DrainingStatus();
    lock.unlock();
    if (write != nullptr) StartWrite(write);
    if (read) StartRead(&read_);
    if (finish) return Finish(call_.End(end));
    lock.lock();
  }
  advancing_ = false;
}

void VerifyStreamCall::OnReadDone(bool ok) {
  Lock lock(mutex_);
  reading_ = false;
  if (!ok) half_closed_ = true;
  // What comes after the drain began was not accepted: the caller asks again elsewhere.
  if (Over()) return Advance(lock);
  auto request = std::make_shared<const Request>(std::move(read_));
  ++in_flight_;
  held_ = true;
  lock.unlock();
  Accept(std::move(request));
}

// Holds the request, and with it the reading of further ones, until the caller's rate has room for it.
void VerifyStreamCall::Accept(std::shared_ptr<const Request> request) {
  if (cancelled_) return Forget();
  const bool first = last_item_ == 0;  // Taken when the call began. Items are counted by one thread at a time.
  const std::chrono::nanoseconds wait = first ? std::chrono::nanoseconds(0) : call_.TakeAnother();
  if (wait.count() > 0) {
    const auto until = std::chrono::system_clock::now() + wait;
    slow_down_.Set(std::chrono::time_point_cast<std::chrono::system_clock::duration>(until),
                   [this, request = std::move(request)](bool) mutable { Accept(std::move(request)); });
    return;
  }
  ++last_item_;
  if (absl::Status status = Check(*request); !status.ok()) return Refuse(*request, status);
  Submit(std::move(request));
}

void VerifyStreamCall::Refuse(const Request& request, const absl::Status& status) {
  {
    const std::lock_guard lock(mutex_);
    held_ = false;
  }
  AnswerError(request, status);
}

absl::Status VerifyStreamCall::Check(const Request& request) {
  if (request.id().size() > kIdBytes) {
    return absl::InvalidArgumentError(Cat("id: has ", request.id().size(), " bytes, the limit is ", kIdBytes));
  }
  if (request.run().size() > kRunBytes) {
    return absl::InvalidArgumentError(Cat("run: has ", request.run().size(), " bytes, the limit is ", kRunBytes));
  }
  if (!run_) run_ = request.run();
  if (!request.run().empty() && request.run() != *run_) {
    return absl::InvalidArgumentError(Cat("run: is ", artifact::Quoted(request.run()),
                                          ", the first request of this stream has ", artifact::Quoted(*run_)));
  }
  if (!run_->empty() && request.id().empty()) {
    return absl::InvalidArgumentError("id: expected one, since the verdicts of this run are stored");
  }
  return absl::OkStatus();
}

void VerifyStreamCall::Submit(std::shared_ptr<const Request> request) {
  absl::Status status = Gone();
  {
    // Under the lock, so that the ticket is noted before the job looks for it.
    Lock lock(mutex_);
    if (!cancelled_) {
      const uint64_t item = last_item_;
      absl::StatusOr<VerifyPool::Ticket> ticket =
          engine_.verify_pool->Submit({call_.client(), ToPriority(request->request().priority()), deadline_,
                                       [this, item, request](const absl::Status& run) {
                                         {
                                           const std::lock_guard running(mutex_);
                                           tickets_.erase(item);
                                         }
                                         Run(request, run);
                                       }});
      if (ticket.ok()) {
        tickets_.emplace(item, *ticket);
        held_ = false;
        return Advance(lock);
      }
      status = ticket.status();
    }
  }
  if (absl::IsCancelled(status)) return Forget();
  if (!absl::IsResourceExhausted(status)) return Refuse(*request, status);
  engine_.verify_pool->WhenRoom([this, request = std::move(request)]() mutable { Submit(std::move(request)); });
}

void VerifyStreamCall::Run(const std::shared_ptr<const Request>& request, const absl::Status& status) {
  if (cancelled_) return Forget();
  if (!status.ok()) return AnswerError(*request, status);
  const std::string digest = run_->empty() ? "" : DigestOf(request->request());
  if (!run_->empty() && AnswerFromStore(*request, digest)) return;
  VerifyAndAnswer(request, digest);
}

bool VerifyStreamCall::AnswerFromStore(const Request& request, const std::string& digest) {
  const auto stored = engine_.verdicts->Get(*run_, request.id());
  if (!stored.ok()) return AnswerError(request, stored.status()), true;
  if (!*stored) return false;
  AnswerStored(request, digest, (*stored)->request, (*stored)->verdict, true);
  return true;
}

void VerifyStreamCall::VerifyAndAnswer(const std::shared_ptr<const Request>& request, const std::string& digest) {
  const absl::StatusOr<Verification> verification = Verification::Make(engine_, request->request());
  if (!verification.ok()) return AnswerError(*request, verification.status());
  screen::Result result = verification->Read();
  if (cancelled_) return Forget();
  verification->Judge(result);
  Response response;
  response.set_id(request->id());
  *response.mutable_verdict() = verification->ToProto(result);
  if (run_->empty()) return Answer(std::move(response));
  // Sent once it is on the disk, and then what is there: somebody else may have been first.
  engine_.verdicts->Store(*run_, request->id(), {digest, response.verdict().SerializeAsString()},
                          [this, request, digest](absl::StatusOr<store::VerdictStore::Put> put) {
                            if (!put.ok()) return AnswerError(*request, put.status());
                            AnswerStored(*request, digest, put->stored.request, put->stored.verdict, put->before);
                          });
}

void VerifyStreamCall::AnswerStored(const Request& request, const std::string& digest, const std::string& asked,
                                    const std::string& verdict, bool before) {
  if (asked != digest) {
    return AnswerError(request, absl::FailedPreconditionError(Cat(
                                    "id: ", artifact::Quoted(request.id()), " of run ", artifact::Quoted(*run_),
                                    " stands for another request, whose verdict is stored; take another id or run")));
  }
  Response response;
  response.set_id(request.id());
  if (!response.mutable_verdict()->ParseFromString(verdict)) {
    return AnswerError(request, absl::DataLossError("the stored verdict is damaged; take another run"));
  }
  response.set_stored_before(before);
  Answer(std::move(response));
}

void VerifyStreamCall::AnswerError(const Request& request, const absl::Status& status) {
  Response response;
  response.set_id(request.id());
  *response.mutable_error() = ToItemError(status);
  Answer(std::move(response));
}

void VerifyStreamCall::Answer(Response response) {
  Lock lock(mutex_);
  --in_flight_;
  if (!cancelled_) answers_.push_back(std::move(response));
  Advance(lock);
}

void VerifyStreamCall::Forget() {
  Lock lock(mutex_);
  --in_flight_;
  held_ = false;
  Advance(lock);
}

void VerifyStreamCall::OnWriteDone(bool) {
  Lock lock(mutex_);
  writing_ = false;
  answers_.pop_front();
  if (cancelled_) answers_.clear();
  Advance(lock);
}

void VerifyStreamCall::OnCancel() {
  std::vector<VerifyPool::Ticket> waiting;
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    for (const auto& [item, ticket] : tickets_) waiting.push_back(ticket);
    // The one that is being written stays until OnWriteDone.
    while (answers_.size() > (writing_ ? 1u : 0u)) answers_.pop_back();
  }
  size_t taken_back = 0;
  for (const VerifyPool::Ticket ticket : waiting) taken_back += engine_.verify_pool->Cancel(ticket);
  Lock lock(mutex_);
  in_flight_ -= taken_back;
  Advance(lock);
}

void VerifyStreamCall::OnDrain() {
  Lock lock(mutex_);
  draining_ = true;
  Advance(lock);
}

void VerifyStreamCall::OnDone() {
  engine_.gate->Ignore(this);
  delete this;
}

grpc::ServerBidiReactor<v1::VerifyStreamRequest, v1::VerifyStreamResponse>* ScoringService::VerifyStream(
    grpc::CallbackServerContext* context) {
  auto* call = new VerifyStreamCall(engine_, verify_stream_, context);
  call->Begin();
  return call;
}

}  // namespace driftseal::serve
