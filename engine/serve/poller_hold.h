#ifndef DRIFTSEAL_ENGINE_SERVE_POLLER_HOLD_H_
#define DRIFTSEAL_ENGINE_SERVE_POLLER_HOLD_H_

#include <memory>

#include "grpcpp/channel.h"

namespace driftseal::serve {

/// Keeps one of gRPC's threads from doing anything. Of those that wait for the sockets and run callbacks gRPC 1.51 has
/// half as many as cores, and two at least. Where that is all there is, they take turns: whoever finds something to
/// read first wakes the other one to wait in its place, and while it scores the few rows of a call, the other takes the
/// next call. Two threads then pass a connection, its locks and the models' data to and fro, and on two cores a
/// client's threads have to wait for both. One thread reads what there is, scores and answers: 3 µs of scoring cost a
/// call 9 µs with two threads and 3 with one (docs/decisions/0015).
///
/// For the process that serves and does little else: at most one of a process, while its server lives.
class PollerHold {
 public:
  /// Null where there are more threads than two, or none gives itself up within a second. `channel`: of the server, in
  /// this process.
  static std::unique_ptr<PollerHold> Take(std::shared_ptr<grpc::Channel> channel);
  /// Lets it go on. Before the server is destroyed, which waits for its threads.
  ~PollerHold();
  PollerHold(const PollerHold&) = delete;
  PollerHold& operator=(const PollerHold&) = delete;

 private:
  struct State;
  explicit PollerHold(State* state);
  State* state_;
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_POLLER_HOLD_H_
