#ifndef DRIFTSEAL_BENCH_SERVE_PUMP_H_
#define DRIFTSEAL_BENCH_SERVE_PUMP_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/byte_buffer.h"

namespace driftseal::bench {

/// One bidirectional stream of bytes that keeps `window` requests unanswered. Everything happens on the thread that
/// empties the queue.
class Pump {
 public:
  struct Ends {
    /// The next request; false: there are none any more.
    std::function<bool(grpc::ByteBuffer* request)> next;
    /// An answer.
    std::function<void(grpc::ByteBuffer* response)> take;
  };

  Pump(const std::shared_ptr<grpc::Channel>& channel, const std::string& method, grpc::CompletionQueue* queue,
       size_t window, Ends ends);
  /// Of an event whose tag belongs to a pump. Returns true when that pump has ended: see status().
  static bool Handle(void* tag, bool ok);
  const grpc::Status& status() const { return status_; }

 private:
  enum class Step { kStart, kWrite, kRead, kWritesDone, kFinish };
  struct Tag {
    Pump* pump;
    Step step;
  };

  bool On(Step step, bool ok);
  void WriteNext();
  void FinishIfQuiet();

  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
  const size_t window_;
  Ends ends_;
  Tag tags_[5];
  grpc::ByteBuffer request_, response_;
  grpc::Status status_;
  size_t unanswered_ = 0;
  bool writing_ = true, more_ = true, closing_ = false, reading_ = false, broken_ = false, finishing_ = false;
};

}  // namespace driftseal::bench

#endif  // DRIFTSEAL_BENCH_SERVE_PUMP_H_
