#ifndef DRIFTSEAL_ENGINE_SERVE_SCORE_CALL_H_
#define DRIFTSEAL_ENGINE_SERVE_SCORE_CALL_H_

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "driftseal/v1/scoring.pb.h"
#include "engine/batch/batcher.h"
#include "engine/serve/engine.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"

namespace driftseal::serve {

/// A call's deadline on the batcher's clock.
batch::Clock::time_point DeadlineOf(const grpc::CallbackServerContext& context);

class ScoreCall;
struct ScoreMemory;

/// The calls of Score: those that run, and the memory of some that have ended.
class ScoreCalls {
 public:
  struct Slot;
  explicit ScoreCalls(Engine& engine);
  ~ScoreCalls();
  grpc::ServerUnaryReactor* Begin(grpc::CallbackServerContext* context, const grpc::ByteBuffer& request,
                                  grpc::ByteBuffer* response);

 private:
  friend class ScoreCall;
  void GiveBack(Slot* held);

  Engine& engine_;
  const Method& method_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Slot>> free_;
};

/// What a call leaves to the next one.
struct ScoreMemory {
  v1::ScoreRequest request;
  v1::ScoreResponse response;
  detector::BatchScores scores;
  std::string family;
  ScoreCalls::Slot* slot = nullptr;
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_SCORE_CALL_H_
