#include "engine/serve/verify_pool.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/artifact/text.h"
#include "engine/serve/status.h"

namespace driftseal::serve {
namespace {

// Jobs of higher priority for one of the next lower one.
constexpr size_t kPriorities = 3;
constexpr std::array<uint64_t, kPriorities> kStride = {16, 4, 1};  // By batch::Priority: low, normal, high.

struct Waiting {
  VerifyPool::Ticket ticket = 0;
  VerifyPool::Job job;
};

// What one client has waiting.
struct ClientQueue {
  std::array<std::list<Waiting>, kPriorities> lines;
  std::array<uint64_t, kPriorities> pass{};  // Stride scheduling: the line that is least far goes next.
  size_t size = 0;
  std::list<ClientQueue*>::iterator turn;
  const std::string* client = nullptr;

  size_t Next() const {
    size_t next = kPriorities;
    for (size_t p = kPriorities; p-- > 0;) {
      if (!lines[p].empty() && (next == kPriorities || pass[p] < pass[next])) next = p;
    }
    return next;
  }
  void Add(size_t priority, Waiting waiting) {
    // A line that was empty has saved up nothing.
    if (const size_t next = Next(); lines[priority].empty() && next != kPriorities) {
      pass[priority] = std::max(pass[priority], pass[next]);
    }
    lines[priority].push_back(std::move(waiting));
    ++size;
  }
};

struct Place {
  ClientQueue* queue;
  size_t priority;
  std::list<Waiting>::iterator at;
};

}  // namespace

struct VerifyPool::State {
  const size_t limit;
  mutable std::mutex mutex;
  std::condition_variable wake;
  std::map<std::string, ClientQueue> clients;
  std::list<ClientQueue*> turns;
  std::unordered_map<Ticket, Place> places;
  std::deque<std::function<void()>> for_room;
  Load counts;
  double seconds = 0;  // A job takes, smoothed.
  Ticket last = 0;
  bool stop = false;
  std::vector<std::thread> threads;

  explicit State(size_t queue) : limit(std::max<size_t>(1, queue)) {}

  std::chrono::nanoseconds Wait() const {
    const double jobs = static_cast<double>(counts.waiting) / static_cast<double>(std::max<size_t>(1, counts.threads));
    return std::chrono::nanoseconds(static_cast<int64_t>(jobs * seconds * 1e9));
  }
  Waiting Take(const Place& place);
  Waiting TakeNext();
  std::function<void()> NextForRoom();
  void RunOne(std::unique_lock<std::mutex>& lock);
  void Work();
};

Waiting VerifyPool::State::Take(const Place& place) {
  ClientQueue& queue = *place.queue;
  Waiting waiting = std::move(*place.at);
  queue.lines[place.priority].erase(place.at);
  places.erase(waiting.ticket);
  --counts.waiting;
  if (--queue.size == 0) {
    turns.erase(queue.turn);
    clients.erase(clients.find(*queue.client));
  }
  return waiting;
}

Waiting VerifyPool::State::TakeNext() {
  ClientQueue& queue = *turns.front();
  turns.splice(turns.end(), turns, turns.begin());
  const size_t priority = queue.Next();
  queue.pass[priority] += kStride[priority];
  return Take({&queue, priority, queue.lines[priority].begin()});
}

// Who waits longest for a place in the queue; call it without the lock.
std::function<void()> VerifyPool::State::NextForRoom() {
  if (for_room.empty()) return nullptr;
  std::function<void()> then = std::move(for_room.front());
  for_room.pop_front();
  return then;
}

// Takes the next job and runs it, without the lock.
void VerifyPool::State::RunOne(std::unique_lock<std::mutex>& lock) {
  Waiting waiting = TakeNext();
  const std::function<void()> then = NextForRoom();
  const bool expired = waiting.job.deadline <= Clock::now();
  ++(expired ? counts.expired : counts.done);
  ++counts.running;
  const bool closing = stop;
  lock.unlock();
  if (then) then();
  const Clock::time_point begin = Clock::now();
  if (closing) {
    waiting.job.run(absl::UnavailableError("the engine is shutting down"));
  } else if (expired) {
    waiting.job.run(absl::DeadlineExceededError("the deadline passed while the artifact waited for a free worker"));
  } else {
    waiting.job.run(absl::OkStatus());
  }
  waiting.job.run = nullptr;  // What it holds is let go of without the lock.
  const double took = std::chrono::duration<double>(Clock::now() - begin).count();
  lock.lock();
  --counts.running;
  if (!expired && !closing) seconds = seconds == 0 ? took : 0.95 * seconds + 0.05 * took;
}

void VerifyPool::State::Work() {
  std::unique_lock lock(mutex);
  for (;;) {
    wake.wait(lock, [this] { return stop || counts.waiting > 0; });
    if (counts.waiting == 0) return;
    RunOne(lock);
  }
}

VerifyPool::VerifyPool(size_t threads, size_t queue) : state_(std::make_unique<State>(queue)) {
  if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
  state_->counts.threads = threads;
  state_->counts.limit = state_->limit;
  for (size_t i = 0; i < threads; ++i) state_->threads.emplace_back([state = state_.get()] { state->Work(); });
}

VerifyPool::~VerifyPool() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->wake.notify_all();
  for (std::thread& thread : state_->threads) thread.join();
}

absl::StatusOr<VerifyPool::Ticket> VerifyPool::Submit(Job job) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (state.stop) return absl::UnavailableError("the engine is shutting down");
  const size_t waiting = state.counts.waiting;
  const auto known = state.clients.find(job.client);
  const size_t own = known == state.clients.end() ? 0 : known->second.size;
  const size_t room = state.limit - waiting;
  if (room == 0 || (own > 0 && own >= room)) {
    ++state.counts.refused;
    const std::string text = room == 0 ? artifact::Cat("the queue of artifacts is full: ", waiting, " wait")
                                       : artifact::Cat(own, " artifacts of this client wait, and there is room for ",
                                                       room, " more of others");
    constexpr std::chrono::nanoseconds kLeast = std::chrono::milliseconds(10);
    return WithOverload(absl::ResourceExhaustedError(text), v1::Overload::RESOURCE_VERIFICATIONS, waiting, state.limit,
                        std::max(kLeast, state.Wait() / 2));
  }
  const auto [client, added] = state.clients.try_emplace(job.client);
  ClientQueue& queue = client->second;
  if (added) {
    queue.client = &client->first;
    queue.turn = state.turns.insert(state.turns.end(), &queue);
  }
  const auto priority = static_cast<size_t>(job.priority);
  const Ticket ticket = ++state.last;
  queue.Add(priority, {ticket, std::move(job)});
  state.places.emplace(ticket, Place{&queue, priority, std::prev(queue.lines[priority].end())});
  ++state.counts.waiting;
  ++state.counts.accepted;
  state.wake.notify_one();
  return ticket;
}

bool VerifyPool::Cancel(Ticket ticket) {
  Waiting taken;  // Destroyed without the lock.
  std::function<void()> then;
  {
    const std::lock_guard lock(state_->mutex);
    const auto place = state_->places.find(ticket);
    if (place == state_->places.end()) return false;
    taken = state_->Take(place->second);
    then = state_->NextForRoom();
    ++state_->counts.cancelled;
  }
  if (then) then();
  return true;
}

void VerifyPool::WhenRoom(std::function<void()> then) {
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->counts.waiting > 0) {
      state_->for_room.push_back(std::move(then));
      return;
    }
  }
  then();
}

VerifyPool::Load VerifyPool::load() const {
  const std::lock_guard lock(state_->mutex);
  Load load = state_->counts;
  load.wait = state_->Wait();
  return load;
}

}  // namespace driftseal::serve
