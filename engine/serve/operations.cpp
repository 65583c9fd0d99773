#include "engine/serve/operations.h"

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/artifact/text.h"
#include "engine/serve/status.h"
#include "google/protobuf/util/time_util.h"

namespace driftseal::serve {
namespace {

using artifact::Cat;
using google::protobuf::util::TimeUtil;

struct Entry {
  v1::Operation operation;
  Operations::Work work;
  std::stop_source stop;
};

// Not to be guessed, and not the same after a restart.
std::string NewName(uint64_t number) {
  std::random_device random;
  return absl::StrFormat("fit-%d-%08x%08x", number, random(), random());
}

}  // namespace

struct Operations::State {
  mutable std::mutex mutex;
  std::condition_variable wake;
  std::map<std::string, std::shared_ptr<Entry>> entries;
  std::deque<std::shared_ptr<Entry>> queue;
  std::deque<std::string> ended;
  uint64_t last = 0;
  bool stop = false;
  std::shared_ptr<Entry> running;
  // Recursive: what is told may end a watch.
  std::recursive_mutex watching;
  std::map<Watch, std::pair<std::string, std::function<void(const v1::Operation&)>>> watches;
  Watch last_watch = 0;
  std::thread thread;

  void Tell(const v1::Operation& operation);
  // Changes an operation and tells it.
  template <class Change>
  void Update(Entry& entry, Change change) {
    v1::Operation copy;
    {
      const std::lock_guard lock(mutex);
      change(entry.operation);
      copy = entry.operation;
    }
    Tell(copy);
  }
  void End(Entry& entry, const absl::Status& status, v1::Operation result);
  void Work();
};

namespace {

template <class Update>
class Reporter final : public Operations::Report {
 public:
  explicit Reporter(Update update) : update_(std::move(update)) {}
  void Stage(const std::string& stage, uint64_t total) override {
    update_([&](v1::Operation& operation) {
      operation.set_stage(stage);
      operation.set_done(0);
      operation.set_total(total);
    });
  }
  void Done(uint64_t steps) override {
    update_([&](v1::Operation& operation) { operation.set_done(steps); });
  }

 private:
  Update update_;
};

}  // namespace

bool IsGoing(const v1::Operation& operation) {
  return operation.state() == v1::Operation::STATE_QUEUED || operation.state() == v1::Operation::STATE_RUNNING;
}

void Operations::State::Tell(const v1::Operation& operation) {
  const std::lock_guard lock(watching);
  std::vector<Watch> ids;
  for (const auto& [id, watch] : watches) {
    if (watch.first == operation.name()) ids.push_back(id);
  }
  for (const Watch id : ids) {
    const auto watch = watches.find(id);
    if (watch == watches.end()) continue;
    const auto changed = watch->second.second;  // It may end its own watch.
    changed(operation);
  }
}

void Operations::State::End(Entry& entry, const absl::Status& status, v1::Operation result) {
  Update(entry, [&](v1::Operation& operation) {
    *operation.mutable_left_out() = std::move(*result.mutable_left_out());
    if (status.ok()) {
      operation.set_state(v1::Operation::STATE_DONE);
      *operation.mutable_detector() = std::move(*result.mutable_detector());
      operation.set_report(result.report());
    } else if (absl::IsCancelled(status)) {
      operation.set_state(v1::Operation::STATE_CANCELLED);
    } else {
      operation.set_state(v1::Operation::STATE_FAILED);
      operation.set_error(std::string(status.message()));
    }
    *operation.mutable_ended() = TimeUtil::GetCurrentTime();
    ended.push_back(operation.name());
    if (ended.size() > kKept) {
      entries.erase(ended.front());
      ended.pop_front();
    }
  });
}

void Operations::State::Work() {
  for (;;) {
    std::shared_ptr<Entry> entry;
    {
      std::unique_lock lock(mutex);
      wake.wait(lock, [this] { return stop || !queue.empty(); });
      if (queue.empty()) return;
      entry = std::move(queue.front());
      queue.pop_front();
      running = entry;
    }
    const auto update = [&](const auto& change) { Update(*entry, change); };
    update([](v1::Operation& operation) { operation.set_state(v1::Operation::STATE_RUNNING); });
    Reporter reporter(update);
    v1::Operation result;
    const absl::Status status = entry->stop.stop_requested() ? absl::CancelledError("cancelled")
                                                             : entry->work(reporter, entry->stop.get_token(), result);
    entry->work = nullptr;
    End(*entry, status, std::move(result));
    const std::lock_guard lock(mutex);
    running = nullptr;
  }
}

Operations::Operations() : state_(std::make_unique<State>()) {
  state_->thread = std::thread([state = state_.get()] { state->Work(); });
}

Operations::~Operations() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
    for (const auto& entry : state_->queue) entry->stop.request_stop();
    if (state_->running) state_->running->stop.request_stop();
  }
  state_->wake.notify_all();
  state_->thread.join();
}

absl::StatusOr<v1::Operation> Operations::Start(serve::Operations::Work work) {
  const std::lock_guard lock(state_->mutex);
  if (state_->stop) return absl::UnavailableError("the engine is shutting down");
  if (state_->queue.size() >= kQueue) {
    return WithOverload(absl::ResourceExhaustedError(Cat(state_->queue.size(), " operations wait already")),
                        v1::Overload::RESOURCE_OPERATIONS, state_->queue.size(), kQueue, std::chrono::seconds(5));
  }
  auto entry = std::make_shared<Entry>();
  entry->work = std::move(work);
  v1::Operation& operation = entry->operation;
  operation.set_name(NewName(++state_->last));
  operation.set_state(v1::Operation::STATE_QUEUED);
  *operation.mutable_created() = TimeUtil::GetCurrentTime();
  state_->entries.emplace(operation.name(), entry);
  state_->queue.push_back(entry);
  state_->wake.notify_one();
  return operation;
}

absl::StatusOr<v1::Operation> Operations::Get(const std::string& name) const {
  const std::lock_guard lock(state_->mutex);
  const auto entry = state_->entries.find(name);
  if (entry == state_->entries.end()) {
    return absl::NotFoundError(Cat("there is no operation ", artifact::Quoted(name), "; the last ", kKept,
                                   " that ended are kept, until the engine ends"));
  }
  return entry->second->operation;
}

absl::StatusOr<v1::Operation> Operations::Cancel(const std::string& name) {
  std::shared_ptr<Entry> entry;
  bool waited = false;
  {
    const std::lock_guard lock(state_->mutex);
    const auto found = state_->entries.find(name);
    if (found != state_->entries.end()) {
      entry = found->second;
      entry->stop.request_stop();
      waited = std::erase(state_->queue, entry) > 0;
    }
  }
  // One that waited ends here and now.
  if (waited) state_->End(*entry, absl::CancelledError("cancelled"), {});
  return Get(name);
}

Operations::Watch Operations::WatchChanges(const std::string& name, std::function<void(const v1::Operation&)> changed) {
  const std::lock_guard lock(state_->watching);
  state_->watches.emplace(++state_->last_watch, std::pair(name, std::move(changed)));
  return state_->last_watch;
}

void Operations::Unwatch(Watch watch) {
  const std::lock_guard lock(state_->watching);
  state_->watches.erase(watch);
}

}  // namespace driftseal::serve
