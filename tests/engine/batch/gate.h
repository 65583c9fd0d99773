#ifndef DRIFTSEAL_TESTS_ENGINE_BATCH_GATE_H_
#define DRIFTSEAL_TESTS_ENGINE_BATCH_GATE_H_

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/batch/batcher.h"
#include "engine/detector/detector.h"
#include "engine/detector/kernel_backend.h"
#include "kernels/random.h"

// A backend that waits where a test wants it to, and jobs that tell when they were done.
namespace driftseal::batch {

/// Scores at once while it is open; closed, calls wait inside until they are let through.
class Gate : public detector::Backend {
 public:
  std::string description() const override { return "gate"; }
  absl::StatusOr<std::unique_ptr<const detector::Prepared>> Prepare(const kernels::ensemble::Members&,
                                                                    size_t) const override {
    return std::make_unique<detector::Prepared>();
  }
  absl::Status Score(std::span<const detector::Task>) const override { return absl::InternalError("not asked for"); }
  bool reads_floats() const override { return true; }
  absl::Status ScoreFloats(const detector::FloatCall& call) const override {
    size_t rows = 0;
    for (const detector::FloatGroup& group : call.groups) rows += group.rows;
    for (float* scores : call.scores) std::fill_n(scores, rows, 1.0f);
    const auto busy_until = Clock::now() + busy_;
    while (Clock::now() < busy_until) {
    }
    std::unique_lock lock(mutex_);
    rows_of_calls_.push_back(rows);
    const size_t number = rows_of_calls_.size();
    groups_of_calls_.push_back(call.groups.size());
    changed_.notify_all();
    changed_.wait(lock, [&] { return number <= let_through_; });
    return absl::OkStatus();
  }

  /// From the next call on, each keeps a core busy for so long. Not while calls are made.
  void TakeTime(std::chrono::microseconds time) { busy_ = time; }
  void Close() { Let(0); }
  void Open() { Let(SIZE_MAX); }
  void LetOneThrough() {
    const std::lock_guard lock(mutex_);
    ++let_through_;
    changed_.notify_all();
  }
  /// Until call number n (from 1) is inside.
  void AwaitCall(size_t n) const {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return rows_of_calls_.size() >= n; });
  }
  size_t calls() const {
    const std::lock_guard lock(mutex_);
    return rows_of_calls_.size();
  }
  std::vector<size_t> rows_of_calls() const {
    const std::lock_guard lock(mutex_);
    return rows_of_calls_;
  }
  std::vector<size_t> groups_of_calls() const {
    const std::lock_guard lock(mutex_);
    return groups_of_calls_;
  }

 private:
  void Let(size_t more) {
    const std::lock_guard lock(mutex_);
    let_through_ = more == SIZE_MAX ? SIZE_MAX : rows_of_calls_.size() + more;
    changed_.notify_all();
  }
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  mutable std::vector<size_t> rows_of_calls_, groups_of_calls_;
  size_t let_through_ = SIZE_MAX;
  std::chrono::microseconds busy_{0};
};

/// Which jobs ended, in what order.
class Log {
 public:
  void Add(const std::string& name) {
    const std::lock_guard lock(mutex_);
    names_.push_back(name);
    changed_.notify_all();
  }
  std::vector<std::string> Await(size_t n) const {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return names_.size() >= n; });
    return names_;
  }
  size_t size() const {
    const std::lock_guard lock(mutex_);
    return names_.size();
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<std::string> names_;
};

/// The kernels of the best instruction set here.
inline std::shared_ptr<const detector::Backend> Simd() {
  detector::BackendOptions options;
  options.name = "simd";
  options.threads = 2;
  auto backend = detector::MakeBackend(options);
  if (!backend.ok()) std::abort();
  return *std::move(backend);
}

inline constexpr size_t kCols = 3;

/// Fitted on random rows, scored by `backend`.
inline std::shared_ptr<detector::Detector> MakeDetector(std::shared_ptr<const detector::Backend> backend,
                                                        int version = 1) {
  kernels::Random random(static_cast<uint64_t>(version));
  detector::SchemaId schema{"test", 1, "d", {"x", "y", "z"}};
  std::vector<detector::Sample> samples;
  for (int i = 0; i < 40; ++i) {
    samples.push_back({std::to_string(i), "a", {random.Uniform(), random.Uniform(), random.Uniform()}});
  }
  detector::FitOptions options;
  options.version = version;
  options.members = {"mahalanobis"};
  auto fitted = detector::Detector::Fit(schema, samples, options);
  if (!fitted.ok()) std::abort();
  auto detector = std::make_shared<detector::Detector>(*std::move(fitted));
  if (backend != nullptr && !detector->Use(std::move(backend)).ok()) std::abort();
  return detector;
}

class TestJob : public Job {
 public:
  TestJob(std::shared_ptr<const detector::Detector> by, size_t rows, Log* log, std::string name = "")
      : values_(rows * kCols, 0.5f), log_(log), name_(std::move(name)) {
    detector = std::move(by);
    item.rows = {values_.data(), rows, kCols};
  }
  void Done(absl::Status status) override {
    ended = std::move(status);
    ++times;
    thread = std::this_thread::get_id();
    if (log_ != nullptr) log_->Add(name_);
  }
  std::vector<float>& values() { return values_; }

  absl::Status ended = absl::UnknownError("not done");
  int times = 0;
  std::thread::id thread;

 private:
  std::vector<float> values_;
  Log* log_;
  std::string name_;
};

}  // namespace driftseal::batch

#endif  // DRIFTSEAL_TESTS_ENGINE_BATCH_GATE_H_
