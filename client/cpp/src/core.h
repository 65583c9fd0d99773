#ifndef DRIFTSEAL_CLIENT_CPP_SRC_CORE_H_
#define DRIFTSEAL_CLIENT_CPP_SRC_CORE_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <utility>

#include "client/cpp/src/retry.h"
#include "driftseal/options.h"
#include "driftseal/status.h"
#include "driftseal/v1/detectors.grpc.pb.h"
#include "driftseal/v1/integrity.grpc.pb.h"
#include "driftseal/v1/predictions.grpc.pb.h"
#include "driftseal/v1/scoring.grpc.pb.h"

namespace driftseal::internal {

/// What all copies of a client, its streams and its calls under way share. The last of them to go may be a callback of
/// gRPC's: see disposal.h.
class Core {
 public:
  static Result<std::shared_ptr<Core>> Create(ClientOptions options);
  Core(ClientOptions client_options, std::shared_ptr<grpc::Channel> to, std::string bearer);

  const ClientOptions options;
  const std::shared_ptr<grpc::Channel> channel;
  const std::unique_ptr<v1::Scoring::Stub> scoring;
  const std::unique_ptr<v1::Detectors::Stub> detectors;
  const std::unique_ptr<v1::Integrity::Stub> integrity;
  const std::unique_ptr<v1::Predictions::Stub> predictions;
  RetryBudget budget;

  /// Adds the token and the request's id.
  void AddMetadata(grpc::ClientContext& context, const std::string& request_id) const;

 private:
  const std::string authorization_;
};

/// 32 hexadecimal digits.
std::string RandomId();

/// The status of a call that is over, with what its trailers tell.
Status StatusOf(const grpc::Status& status, const grpc::ClientContext& context, const std::string& request_id);
Status InvalidArgument(std::string message);
/// `status`, whose call was given up before it was tried again.
Status Cancelled(Status status);

/// The attempts of one call.
class Attempts {
 public:
  /// `usual`: the limit of time where the options name none; negative: none.
  Attempts(Core& core, const CallOptions& options, bool idempotent, std::chrono::milliseconds usual);

  void Prepare(grpc::ClientContext& context) const;
  /// Notes how an attempt ended; the wait until the next one, or nothing where `status` is the call's.
  std::optional<std::chrono::milliseconds> Ended(Status& status);
  /// Something came back: the attempts count anew.
  void Progressed() { backoff_.Reset(); }

  const std::string& request_id() const { return request_id_; }
  const std::shared_ptr<Canceller::State>& canceller() const { return canceller_; }
  Clock::time_point deadline() const { return deadline_; }

 private:
  Core& core_;
  const bool idempotent_;
  std::string request_id_;
  std::shared_ptr<Canceller::State> canceller_;
  Clock::time_point deadline_ = Clock::time_point::max();
  Backoff backoff_;
  int attempts_ = 0;
};

/// Makes a call on this thread, and again as the policy says. `attempt(context, attempts)` makes one attempt and gives
/// its grpc::Status.
template <typename Function>
Status Call(Attempts& attempts, Function attempt) {
  for (;;) {
    grpc::ClientContext context;
    attempts.Prepare(context);
    Status status;
    {
      const CancelHook hook(attempts.canceller(), [&context] { context.TryCancel(); });
      status = StatusOf(attempt(context), context, attempts.request_id());
    }
    const std::optional<std::chrono::milliseconds> wait = attempts.Ended(status);
    if (!wait) return status;
    if (!SleepFor(*wait, attempts.canceller())) return Cancelled(std::move(status));
  }
}

/// What doing it twice would not do once: makes sure of a connection first, since it may not be tried again.
Status Connect(Core& core, const Attempts& attempts);

/// A unary call: `method` of `stub`.
template <typename Stub, typename Request, typename Response>
Status Unary(Core& core, Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
             const Request& request, Response& response, const CallOptions& options, bool idempotent) {
  Attempts attempts(core, options, idempotent, core.options.timeout);
  if (!idempotent) {
    if (Status status = Connect(core, attempts); !status.ok()) return status;
  }
  return Call(attempts, [&](grpc::ClientContext& context) { return (stub.*method)(&context, request, &response); });
}

}  // namespace driftseal::internal

#endif  // DRIFTSEAL_CLIENT_CPP_SRC_CORE_H_
