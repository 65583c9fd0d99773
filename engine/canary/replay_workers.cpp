#include "engine/canary/replay_workers.h"

#include <algorithm>
#include <array>
#include <thread>
#include <utility>

#include "engine/artifact/text.h"

namespace driftseal::canary {
namespace {

using artifact::Cat;
using replay::UniqueFd;

constexpr std::chrono::minutes kStartLimit{2};
/// A service may end for reasons that lie outside (the system's OOM killer takes the largest). A job is tried again in
/// the next one, but not for ever: it may be the reason.
constexpr int kAttempts = 3;
constexpr std::array<const char*, 9> kRequired = {"user-namespace", "network-namespace", "ipc-namespace",
                                                  "pid-namespace",  "capabilities",      "rlimits",
                                                  "no-new-privs",   "landlock",          "seccomp"};

unsigned WorkersOf(const PoolOptions& options) {
  const unsigned wanted = options.workers > 0 ? options.workers : std::thread::hardware_concurrency();
  return std::clamp(wanted, 1U, 128U);
}

}  // namespace

ReplayWorkers::ReplayWorkers(const PoolOptions& options) : options_(options), free_(WorkersOf(options)) {}
ReplayWorkers::~ReplayWorkers() = default;

absl::StatusOr<std::unique_ptr<ReplayWorkers>> ReplayWorkers::Start(const PoolOptions& options) {
  std::unique_ptr<ReplayWorkers> workers(new ReplayWorkers(options));
  absl::StatusOr<std::shared_ptr<ReplayService>> service = workers->Service();
  if (!service.ok()) return service.status();
  if (absl::Status status = workers->CheckMeasures((*service)->measures()); !status.ok()) return status;
  return workers;
}

absl::Status ReplayWorkers::CheckMeasures(const std::vector<replay::Measure>& reported) {
  const auto allowed = [&](const std::string& name) {
    return std::any_of(options_.allow_missing.begin(), options_.allow_missing.end(),
                       [&](const std::string& entry) { return entry == "all" || entry == name; });
  };
  std::string lacking;
  for (const std::string name : kRequired) {
    const auto found = std::find_if(reported.begin(), reported.end(), [&](const auto& m) { return m.name == name; });
    SandboxMeasure measure{name, false, "the program does not report it"};
    if (found != reported.end()) measure = {name, found->active, found->problem};
    if (!measure.active && !allowed(name))
      lacking += Cat(lacking.empty() ? "" : ", ", name, " (", measure.problem, ")");
    measures_.push_back(std::move(measure));
  }
  if (lacking.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      Cat(options_.program, ": models cannot be run safely here, the sandbox lacks: ", lacking));
}

absl::StatusOr<std::shared_ptr<ReplayService>> ReplayWorkers::Service() {
  const std::lock_guard lock(service_mutex_);
  if (service_ == nullptr || service_->gone()) {
    service_.reset();
    absl::StatusOr<std::shared_ptr<ReplayService>> started = ReplayService::Start(options_.program, kStartLimit);
    if (!started.ok()) return started.status();
    service_ = *std::move(started);
  }
  return service_;
}

pid_t ReplayWorkers::service_pid() {
  const std::lock_guard lock(service_mutex_);
  return service_ == nullptr ? -1 : service_->pid();
}

absl::StatusOr<std::unique_ptr<RemoteWorker>> ReplayWorkers::TakeWorker(const SharedSet& set) {
  if (!options_.isolate_each) {
    std::vector<std::unique_ptr<RemoteWorker>> gone;  // destroyed outside the lock
    const std::lock_guard lock(mutex_);
    while (!idle_.empty()) {
      std::unique_ptr<RemoteWorker> worker = std::move(idle_.back());
      idle_.pop_back();
      if (!worker->service().gone()) return worker;
      gone.push_back(std::move(worker));
    }
  }
  absl::StatusOr<std::shared_ptr<ReplayService>> service = Service();
  if (!service.ok()) return service.status();
  replay::Spawn spawn;
  spawn.memory_limit = options_.memory_limit;
  // The engine's clock ends what takes too long; this is for an engine that has died or stands still.
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(options_.time_limit).count();
  if (options_.isolate_each)
    spawn.processor_seconds = static_cast<uint32_t>(std::min<int64_t>(2 * seconds + 10, 1 << 30));
  spawn.set_key = set.key;
  spawn.set_length = set.length;
  return RemoteWorker::Start(*std::move(service), spawn, set.memory.get());
}

absl::StatusOr<std::string> ReplayWorkers::RunOnce(const replay::Job& job, int model, const SharedSet& set) {
  absl::StatusOr<std::unique_ptr<RemoteWorker>> worker = TakeWorker(set);
  if (!worker.ok()) return worker.status();
  // For each attempt its own: a worker of an earlier one may still hold the memory.
  absl::StatusOr<UniqueFd> answer_memory = replay::FixedMemory("driftseal-answer", job.answer_capacity);
  if (!answer_memory.ok()) return answer_memory.status();
  absl::StatusOr<std::string> answer =
      (*worker)->Run(job, {model, answer_memory->get(), set.memory.get()}, options_.time_limit);
  if (!options_.isolate_each && (*worker)->reusable()) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(*std::move(worker));
  }
  return answer;
}

absl::StatusOr<std::string> ReplayWorkers::Run(const Work& work, const SharedSet& set) {
  if (work.model.empty()) return absl::InvalidArgumentError("a model of 0 bytes");
  replay::Job job;
  job.id = next_id_++;
  job.kind = work.kind;
  job.runtime = work.runtime;
  job.model_length = work.model.size();
  job.answer_capacity = work.answer_capacity;
  job.set_key = set.key;
  job.set_length = set.length;
  job.options = work.options;
  {
    std::unique_lock lock(mutex_);
    freed_.wait(lock, [&] { return free_ > 0; });
    --free_;
  }
  absl::StatusOr<UniqueFd> model = replay::SealedMemory("driftseal-model", work.model);
  absl::StatusOr<std::string> answer = absl::UnavailableError("");
  if (!model.ok()) answer = model.status();
  for (int attempt = 0; absl::IsUnavailable(answer.status()) && attempt < kAttempts; ++attempt) {
    answer = RunOnce(job, model->get(), set);
  }
  {
    const std::lock_guard lock(mutex_);
    ++free_;
  }
  freed_.notify_one();
  if (absl::IsUnavailable(answer.status())) {
    return absl::InternalError(Cat(std::string(answer.status().message()), " ", kAttempts, " times during this job"));
  }
  return answer;
}

}  // namespace driftseal::canary
