#ifndef DRIFTSEAL_BENCH_SERVE_UNARY_CALL_H_
#define DRIFTSEAL_BENCH_SERVE_UNARY_CALL_H_

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "bench/serve/timing.h"
#include "driftseal/v1/scoring.pb.h"
#include "grpcpp/client_context.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/impl/codegen/proto_utils.h"

namespace driftseal::bench {

/// Bytes out, a parsed response in.
using ScoreStub = grpc::TemplatedGenericStub<grpc::ByteBuffer, v1::ScoreResponse>;

/// One call of Score at a time, used again and again.
struct UnaryCall {
  void Start(ScoreStub& stub, const grpc::ByteBuffer& bytes, size_t which, Clock::time_point when,
             grpc::CompletionQueue* queue);

  size_t request = 0;  ///< Which of the prepared ones was sent.
  Clock::time_point due, sent;
  grpc::Status status;
  v1::ScoreResponse response;

 private:
  std::optional<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1::ScoreResponse>> reader_;
};

/// Calls that are not in flight; one thread takes them, another gives them back.
class IdleCalls {
 public:
  explicit IdleCalls(size_t most) : most_(most) {}
  UnaryCall* Take();  ///< Null: `most` are in flight.
  void Return(UnaryCall* call);
  /// All calls that were made and are back.
  bool Complete();

 private:
  const size_t most_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<UnaryCall>> all_;
  std::vector<UnaryCall*> idle_;
};

}  // namespace driftseal::bench

#endif  // DRIFTSEAL_BENCH_SERVE_UNARY_CALL_H_
