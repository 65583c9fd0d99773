#include "engine/serve/poller_hold.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "grpcpp/client_context.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/byte_buffer.h"

namespace driftseal::serve {
namespace {

// Cores up to which gRPC has two such threads and no more.
constexpr unsigned kCores = 5;

}  // namespace

/// A call whose callback does not return. It lives as long as the process: the last that lets go of a call or of its
/// channel could be gRPC's own thread behind the callback, and gRPC 1.51 aborts where that closes a channel.
struct PollerHold::State {
  std::mutex mutex;
  std::condition_variable changed;
  bool held = false, over = false;
  std::shared_ptr<grpc::Channel> channel;
  grpc::ClientContext context;
  grpc::ByteBuffer request, response;
};

std::unique_ptr<PollerHold> PollerHold::Take(std::shared_ptr<grpc::Channel> channel) {
  if (std::thread::hardware_concurrency() > kCores) return nullptr;
  constexpr std::chrono::seconds kPatience(1);
  static std::mutex made_mutex;
  static std::vector<State*>& made = *new std::vector<State*>;
  State* const state = new State;
  {
    const std::lock_guard lock(made_mutex);
    made.push_back(state);
  }
  const grpc::Slice nothing;
  state->request = grpc::ByteBuffer(&nothing, 1);
  state->channel = std::move(channel);
  state->context.set_deadline(std::chrono::system_clock::now() + kPatience);
  const auto hold = [state](const grpc::Status&) {
    std::unique_lock lock(state->mutex);
    state->held = true;
    state->changed.notify_all();
    state->changed.wait(lock, [&] { return state->over; });
    state->held = false;
    state->changed.notify_all();
  };
  // Callbacks of calls in this process run on those threads, whatever is answered.
  grpc::GenericStub(state->channel)
      .UnaryCall(&state->context, "/grpc.health.v1.Health/Check", {}, &state->request, &state->response, hold);
  std::unique_lock lock(state->mutex);
  state->changed.wait_for(lock, 2 * kPatience, [&] { return state->held; });
  if (!state->held) {
    state->over = true;
    return nullptr;
  }
  lock.unlock();
  return std::unique_ptr<PollerHold>(new PollerHold(state));
}

PollerHold::PollerHold(State* state) : state_(state) {}

PollerHold::~PollerHold() {
  std::unique_lock lock(state_->mutex);
  state_->over = true;
  state_->changed.notify_all();
  state_->changed.wait(lock, [this] { return !state_->held; });
}

}  // namespace driftseal::serve
