#ifndef DRIFTSEAL_CLIENT_CPP_SRC_DISPOSAL_H_
#define DRIFTSEAL_CLIENT_CPP_SRC_DISPOSAL_H_

namespace driftseal::internal {

class Core;

/// Marks a callback: while it lives, this thread is one of gRPC's. Each callback that may drop a reference to a Core
/// has one, made before that reference goes.
class CallbackScope {
 public:
  CallbackScope();
  ~CallbackScope();
  CallbackScope(const CallbackScope&) = delete;
  CallbackScope& operator=(const CallbackScope&) = delete;
};

/// Destroys a Core, and with it the channel; in a callback, on a thread of this library's own.
///
/// The last channel of a process to go joins the threads on which gRPC calls back, and none of them can join itself.
/// gRPC 1.51 does not notice and frees the queue from which that thread then takes its next event ("assertion failed:
/// prior > 0", or worse where assertions are off); later versions abort at once. Their answer is that no callback may
/// destroy a channel: https://github.com/grpc/grpc/issues/37858,
/// https://github.com/grpc/grpc/pull/32584.
/// Whoever holds a Core in a callback may hold the last reference: its client may be gone, or go at any moment.
///
/// A grpc::ClientContext holds the channel too. It must go before its owner's reference to the Core.
struct DestroyCore {
  void operator()(const Core* core) const;
};

}  // namespace driftseal::internal

#endif  // DRIFTSEAL_CLIENT_CPP_SRC_DISPOSAL_H_
