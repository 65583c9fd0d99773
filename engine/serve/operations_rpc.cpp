#include <mutex>
#include <optional>
#include <utility>

#include "engine/serve/detectors_service.h"
#include "engine/serve/fit_operation.h"
#include "engine/serve/operations.h"
#include "engine/serve/pool_call.h"

// The calls of driftseal.v1.Detectors that are about operations.
namespace driftseal::serve {
namespace {

// The newest state is sent whenever the one before it was sent: a slow reader misses some in between.
class WatchCall final : public grpc::ServerWriteReactor<v1::Operation>, public DrainListener {
 public:
  WatchCall(Engine& engine, const Method& method, grpc::CallbackServerContext* context)
      : engine_(engine), call_(*engine.gate, method, context) {}

  void Begin(const std::string& name) {
    if (!call_.ok()) return Finish(call_.End(call_.status()));
    const absl::StatusOr<v1::Operation> now = engine_.operations->Get(name);
    if (!now.ok()) return Finish(call_.End(now.status()));
    watch_ = engine_.operations->WatchChanges(name, [this](const v1::Operation& operation) { Tell(operation); });
    engine_.gate->Listen(this);
    // Again: it may have changed before the watch began.
    if (const absl::StatusOr<v1::Operation> again = engine_.operations->Get(name); again.ok()) Tell(*again);
  }

  void OnWriteDone(bool ok) override {
    std::unique_lock lock(mutex_);
    writing_ = false;
    if (!ok) over_ = true;
    Advance(lock);
  }
  void OnCancel() override { EndWith(absl::CancelledError("the caller went away")); }
  void OnDrain() override { EndWith(DrainingStatus()); }
  void OnDone() override {
    engine_.gate->Ignore(this);
    if (watch_ != 0) engine_.operations->Unwatch(watch_);
    delete this;
  }

 private:
  void Tell(const v1::Operation& operation) {
    std::unique_lock lock(mutex_);
    // Told by two threads, the older one may come last.
    if (over_ || (last_ended_ && IsGoing(operation))) return;
    last_ended_ = !IsGoing(operation);
    next_ = operation;
    Advance(lock);
  }
  void EndWith(const absl::Status& status) {
    std::unique_lock lock(mutex_);
    over_ = true;
    end_ = status;
    Advance(lock);
  }
  // Under the lock, which it gives back; nothing is touched after Finish.
  void Advance(std::unique_lock<std::mutex>& lock) {
    if (writing_ || finished_) return;
    if (next_ && !over_) {
      sent_ = *std::exchange(next_, std::nullopt);
      writing_ = true;
      over_ = !IsGoing(sent_);  // The last one.
      lock.unlock();
      return StartWrite(&sent_);
    }
    if (!over_) return;
    finished_ = true;
    const absl::Status end = end_;
    lock.unlock();
    Finish(call_.End(end));
  }

  Engine& engine_;
  Call call_;
  Operations::Watch watch_ = 0;
  std::mutex mutex_;
  v1::Operation sent_;
  std::optional<v1::Operation> next_;
  bool writing_ = false, over_ = false, finished_ = false, last_ended_ = false;
  absl::Status end_;
};

}  // namespace

grpc::ServerUnaryReactor* DetectorsService::Fit(grpc::CallbackServerContext* context, const v1::FitRequest* request,
                                                v1::Operation* response) {
  return RunHere(engine_, Of("Fit"), context, [&](Call&) -> absl::Status {
    absl::StatusOr<Operations::Work> work = FitWork(engine_, *request);
    if (!work.ok()) return work.status();
    absl::StatusOr<v1::Operation> operation = engine_.operations->Start(*std::move(work));
    if (!operation.ok()) return operation.status();
    *response = *std::move(operation);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* DetectorsService::GetOperation(grpc::CallbackServerContext* context,
                                                         const v1::GetOperationRequest* request,
                                                         v1::Operation* response) {
  return RunHere(engine_, Of("GetOperation"), context, [&](Call&) -> absl::Status {
    absl::StatusOr<v1::Operation> operation = engine_.operations->Get(request->name());
    if (!operation.ok()) return operation.status();
    *response = *std::move(operation);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* DetectorsService::CancelOperation(grpc::CallbackServerContext* context,
                                                            const v1::CancelOperationRequest* request,
                                                            v1::Operation* response) {
  return RunHere(engine_, Of("CancelOperation"), context, [&](Call&) -> absl::Status {
    absl::StatusOr<v1::Operation> operation = engine_.operations->Cancel(request->name());
    if (!operation.ok()) return operation.status();
    *response = *std::move(operation);
    return absl::OkStatus();
  });
}

grpc::ServerWriteReactor<v1::Operation>* DetectorsService::WatchOperation(grpc::CallbackServerContext* context,
                                                                          const v1::WatchOperationRequest* request) {
  auto* call = new WatchCall(engine_, Of("WatchOperation"), context);
  call->Begin(request->name());
  return call;
}

}  // namespace driftseal::serve
