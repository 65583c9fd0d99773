#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <deque>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gate.h"

// Many threads at once: every job ends exactly once, and those that were scored have the scores of their rows.
namespace driftseal::batch {
namespace {

using std::chrono_literals::operator""us;

struct Expected {
  std::shared_ptr<const detector::Detector> detector;
  std::vector<float> values;
  std::vector<double> combined;
};

constexpr size_t kMostRows = 400;

Expected Expect(std::shared_ptr<const detector::Detector> by, uint64_t seed) {
  Expected expected{std::move(by), {}, {}};
  kernels::Random random(seed);
  for (size_t i = 0; i < kMostRows * kCols; ++i) expected.values.push_back(static_cast<float>(random.Uniform() * 3));
  detector::BatchItem item;
  item.detector = expected.detector.get();
  item.rows = {expected.values.data(), kMostRows, kCols};
  detector::BatchItem* items[] = {&item};
  EXPECT_TRUE(detector::ScoreBatch(items).ok());
  expected.combined = item.scores.combined;
  return expected;
}

/// Rows of one of the detectors; counts how it ended.
class StressJob : public Job {
 public:
  void Aim(const Expected& at, size_t first, size_t rows) {
    expected_ = &at;
    first_ = first;
    detector = at.detector;
    item.rows = {at.values.data() + first * kCols, rows, kCols};
  }
  void Done(absl::Status status) override {
    bool right = true;
    if (status.ok()) {
      for (size_t r = 0; r < item.rows.rows; ++r) {
        right &= item.scores.combined[r] == expected_->combined[first_ + r];
      }
    }
    wrong += !right;
    ok += status.ok();
    expired += absl::IsDeadlineExceeded(status);
    cancelled += absl::IsCancelled(status);
    done.store(true, std::memory_order_release);  // The job may be used again from here on.
    done.notify_one();
  }
  std::atomic<bool> done{true};
  uint64_t ok = 0, expired = 0, cancelled = 0, wrong = 0;

 private:
  const Expected* expected_ = nullptr;
  size_t first_ = 0;
};

struct Sums {
  std::atomic<uint64_t> accepted{0}, ok{0}, ended{0}, taken_back{0}, refused{0}, wrong{0};
};

void Call(Batcher& batcher, const std::vector<Expected>& expected, uint64_t seed, size_t calls, Sums& sums) {
  kernels::Random random(seed);
  const auto below = [&](size_t n) { return static_cast<size_t>(random.Uniform() * static_cast<double>(n)); };
  std::deque<StressJob> jobs(8);
  for (size_t i = 0; i < calls; ++i) {
    StressJob& job = jobs[i % jobs.size()];
    job.done.wait(false, std::memory_order_acquire);
    const size_t rows = below(10) == 0 ? 1 + below(kMostRows) : 1 + below(4);
    job.Aim(expected[below(expected.size())], below(kMostRows - rows + 1), rows);
    job.client = absl::StrCat("client ", below(5));
    job.priority = static_cast<Priority>(below(3));
    job.deadline = below(20) == 0 ? Clock::now() + std::chrono::microseconds(below(300)) : Clock::time_point::max();
    job.done = false;
    if (!batcher.Submit(&job, nullptr).ok()) {
      job.done = true;
      ++sums.refused;
      continue;
    }
    ++sums.accepted;
    // Only the job that was submitted last is cancelled, for the others may be gone to their next round.
    if (below(8) == 0 && batcher.Cancel(&job)) {
      job.done = true;
      ++sums.taken_back;
    }
  }
  for (StressJob& job : jobs) {
    job.done.wait(false, std::memory_order_acquire);
    sums.ok += job.ok;
    sums.ended += job.ok + job.expired + job.cancelled;
    sums.wrong += job.wrong;
  }
}

void Stress(Options options, size_t threads, size_t calls) {
  options.queue_delay = std::chrono::hours(1);  // However busy the machine is.
  const auto simd = Simd();
  std::vector<Expected> expected;
  for (int version = 1; version <= 3; ++version) {
    expected.push_back(Expect(MakeDetector(version == 3 ? nullptr : simd, version), static_cast<uint64_t>(version)));
  }
  Sums sums;
  Batcher batcher(options);
  std::vector<std::thread> callers;
  for (size_t t = 0; t < threads; ++t) {
    callers.emplace_back([&, t] { Call(batcher, expected, t + 1, calls, sums); });
  }
  for (std::thread& caller : callers) caller.join();
  batcher.Drain();
  EXPECT_EQ(sums.wrong, 0u);
  EXPECT_EQ(sums.ended + sums.taken_back, sums.accepted);
  EXPECT_EQ(sums.accepted + sums.refused, threads * calls);
  EXPECT_GT(sums.ok, 0u);
  const Counts counts = batcher.counts();
  EXPECT_EQ(counts.accepted_jobs, sums.accepted);
  EXPECT_EQ(counts.queued_jobs, 0u);
  EXPECT_EQ(counts.queued_rows, 0u);
}

TEST(Stress, SmallBatches) {
  Options options;
  options.batch_rows = 32;
  options.at_once = 4;
  Stress(options, 8, 2000);
}

TEST(Stress, LargeBatches) { Stress({}, 8, 2000); }

TEST(Stress, LargeBatchesAtOnce) {
  Options options;
  options.at_once = 2;
  Stress(options, 8, 2000);
}

TEST(Stress, NarrowQueue) {
  Options options;
  options.batch_rows = 64;
  options.queue_rows = 900;
  options.batch_wait = std::chrono::microseconds(50);
  Stress(options, 12, 1000);
}

TEST(Stress, DrainWhileCallersGoOn) {
  for (int round = 0; round < 10; ++round) {
    const Expected expected = Expect(MakeDetector(nullptr), 1);
    std::atomic<uint64_t> accepted{0}, done{0};
    Options options;
    options.at_once = 1 + static_cast<size_t>(round % 2);
    Batcher batcher(options);
    std::vector<std::thread> callers;
    for (int t = 0; t < 4; ++t) {
      callers.emplace_back([&] {
        StressJob job;
        for (;;) {
          job.Aim(expected, 0, 3);
          job.done = false;
          if (!batcher.Submit(&job, nullptr).ok()) break;
          ++accepted;
          job.done.wait(false, std::memory_order_acquire);
          ++done;
        }
      });
    }
    while (accepted < 50) std::this_thread::yield();
    batcher.Drain();
    for (std::thread& caller : callers) caller.join();
    EXPECT_EQ(done, accepted);
    EXPECT_EQ(batcher.counts().accepted_jobs, accepted);
  }
}

}  // namespace
}  // namespace driftseal::batch
