#include "engine/serve/pool_call.h"

#include <utility>

#include "engine/serve/verifier.h"
#include "engine/serve/verify_pool.h"

namespace driftseal::serve {
namespace {

class PoolCall final : public grpc::ServerUnaryReactor {
 public:
  PoolCall(Engine& engine, const Method& method, grpc::CallbackServerContext* context)
      : engine_(engine), call_(*engine.gate, method, context) {}

  void Begin(const grpc::CallbackServerContext& context, std::function<absl::Status()> work) {
    if (!call_.ok()) return Finish(call_.End(call_.status()));
    absl::StatusOr<VerifyPool::Ticket> ticket =
        engine_.verify_pool->Submit({call_.client(), batch::Priority::kNormal, PoolDeadline(context),
                                     [this, work = std::move(work)](const absl::Status& status) {
                                       Finish(call_.End(status.ok() ? work() : status));
                                     }});
    if (!ticket.ok()) return Finish(call_.End(ticket.status()));
    ticket_ = *ticket;
  }
  // Not before Begin is through.
  void OnCancel() override {
    if (ticket_ != 0 && engine_.verify_pool->Cancel(ticket_)) {
      Finish(call_.End(absl::CancelledError("the caller went away")));
    }
  }
  void OnDone() override { delete this; }

 private:
  Engine& engine_;
  Call call_;
  VerifyPool::Ticket ticket_ = 0;
};

class HereCall final : public grpc::ServerUnaryReactor {
 public:
  HereCall(Engine& engine, const Method& method, grpc::CallbackServerContext* context,
           const std::function<absl::Status(Call& call)>& work)
      : call_(*engine.gate, method, context) {
    Finish(call_.End(call_.ok() ? work(call_) : call_.status()));
  }
  void OnDone() override { delete this; }

 private:
  Call call_;
};

}  // namespace

grpc::ServerUnaryReactor* RunInPool(Engine& engine, const Method& method, grpc::CallbackServerContext* context,
                                    std::function<absl::Status()> work) {
  auto* call = new PoolCall(engine, method, context);
  call->Begin(*context, std::move(work));
  return call;
}

grpc::ServerUnaryReactor* RunHere(Engine& engine, const Method& method, grpc::CallbackServerContext* context,
                                  const std::function<absl::Status(Call& call)>& work) {
  return new HereCall(engine, method, context, work);
}

}  // namespace driftseal::serve
