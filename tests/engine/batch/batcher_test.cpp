#include "engine/batch/batcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>
#include <thread>

#include "gate.h"

namespace driftseal::batch {
namespace {

using std::chrono_literals::operator""us;
using std::chrono_literals::operator""ms;
using testing::ElementsAre;
using testing::HasSubstr;

class BatcherTest : public testing::Test {
 protected:
  BatcherTest() { Make({}); }
  ~BatcherTest() override {
    gate_->Open();
    for (std::thread& caller : callers_) caller.join();
  }
  void Make(Options options) {
    options.queue_delay = std::chrono::hours(1);  // However busy the machine is.
    batcher_ = std::make_unique<Batcher>(options);
  }

  TestJob& Job(size_t rows, const std::string& name = "", Priority priority = Priority::kNormal) {
    TestJob& job = jobs_.emplace_back(detector_, rows, &log_, name);
    job.client = name;
    job.priority = priority;
    return job;
  }
  absl::Status Submit(TestJob& job) { return batcher_->Submit(&job, &load_); }
  /// Keeps the device busy with a row of a caller's own.
  void Occupy() {
    gate_->Close();
    Enter();
  }
  /// A row of a caller's own goes in to the gate that is closed.
  void Enter() {
    TestJob& first = jobs_.emplace_back(detector_, 1, nullptr);
    const size_t calls = gate_->calls();
    callers_.emplace_back([this, &first] { EXPECT_TRUE(batcher_->Submit(&first, nullptr).ok()); });
    gate_->AwaitCall(calls + 1);
  }

  std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  std::shared_ptr<detector::Detector> detector_ = MakeDetector(gate_);
  Log log_;
  std::deque<TestJob> jobs_;
  std::unique_ptr<Batcher> batcher_;
  std::vector<std::thread> callers_;
  Load load_;
};

TEST_F(BatcherTest, ALoneJobIsScoredByItsCaller) {
  TestJob& job = Job(3);
  ASSERT_TRUE(Submit(job).ok());
  EXPECT_TRUE(job.ended.ok());
  EXPECT_EQ(job.times, 1);
  EXPECT_EQ(job.thread, std::this_thread::get_id());
  EXPECT_EQ(job.item.scores.combined.size(), 3u);
  EXPECT_TRUE(std::isfinite(job.item.scores.combined[2]));
}

TEST_F(BatcherTest, ScoresAreThoseOfTheDetector) {
  for (const auto& detector : {MakeDetector(nullptr, 3), MakeDetector(Simd(), 4)}) {
    TestJob job(detector, 100, nullptr), expected(detector, 100, nullptr);
    for (size_t i = 0; i < job.values().size(); ++i) {
      job.values()[i] = expected.values()[i] = 0.01f * static_cast<float>(i % 97);
    }
    expected.item.detector = detector.get();
    detector::BatchItem* items[] = {&expected.item};
    ASSERT_TRUE(detector::ScoreBatch(items).ok());
    ASSERT_TRUE(Submit(job).ok());
    batcher_->Drain();
    EXPECT_EQ(job.item.scores.combined, expected.item.scores.combined);
    Make({});
  }
}

TEST_F(BatcherTest, WhatComesMeanwhileGoesTogether) {
  Occupy();
  const auto other = MakeDetector(gate_, 2);
  for (int i = 0; i < 10; ++i) {
    TestJob& job = Job(2, std::to_string(i));
    if (i % 2 == 1) job.detector = other;
    ASSERT_TRUE(Submit(job).ok());
  }
  EXPECT_EQ(batcher_->counts().queued_jobs, 10u);
  EXPECT_EQ(batcher_->load().rows, 20u);
  gate_->Open();
  batcher_->Drain();
  EXPECT_THAT(gate_->rows_of_calls(), ElementsAre(1, 20));
  EXPECT_THAT(gate_->groups_of_calls(), ElementsAre(1, 2));
  for (const TestJob& job : jobs_) EXPECT_TRUE(job.ended.ok() && job.times == 1);
}

TEST_F(BatcherTest, LargeJobsGoInPiecesAndLetOthersThrough) {
  Options options;
  options.batch_rows = 100;
  Make(options);
  Occupy();
  ASSERT_TRUE(Submit(Job(1000, "large")).ok());
  ASSERT_TRUE(Submit(Job(1, "small")).ok());
  gate_->LetOneThrough();
  gate_->LetOneThrough();
  EXPECT_THAT(log_.Await(1), ElementsAre("small"));  // while the third call waits
  gate_->Open();
  EXPECT_THAT(log_.Await(2), ElementsAre("small", "large"));
  EXPECT_EQ(gate_->calls(), 1u + 11u);
  for (size_t rows : gate_->rows_of_calls()) EXPECT_LE(rows, 100u);
}

TEST_F(BatcherTest, ACallerScoresOneBatchAtMost) {
  Options options;
  options.batch_rows = 10;
  Make(options);
  TestJob& job = Job(95);
  ASSERT_TRUE(Submit(job).ok());
  log_.Await(1);
  EXPECT_EQ(gate_->calls(), 10u);
  EXPECT_NE(job.thread, std::this_thread::get_id());
}

TEST_F(BatcherTest, SmallJobsThatComeMeanwhileAreScoredNextByTheSameCaller) {
  Make({.at_once = 2});
  Occupy();
  TestJob &second = Job(5, "second"), &third = Job(6, "third");
  ASSERT_TRUE(Submit(second).ok() && Submit(third).ok());
  EXPECT_EQ(batcher_->counts().queued_jobs, 2u);
  const std::thread::id caller = callers_.back().get_id();
  gate_->Open();
  log_.Await(2);
  EXPECT_THAT(gate_->rows_of_calls(), ElementsAre(1, 11));
  EXPECT_TRUE(second.thread == caller && third.thread == caller);
}

TEST_F(BatcherTest, ASmallJobDoesNotWaitForALargeOne) {
  Make({.at_once = 2});
  gate_->Close();
  TestJob& large = Job(500, "large");
  callers_.emplace_back([&] { EXPECT_TRUE(batcher_->Submit(&large, nullptr).ok()); });
  gate_->AwaitCall(1);
  Enter();
  EXPECT_EQ(gate_->calls(), 2u);  // Both are inside.
  gate_->Open();
  log_.Await(1);
}

TEST_F(BatcherTest, ACallerIsNotKeptByALargeJobWhileAnotherIsScored) {
  Options options;
  options.at_once = 2;
  Make(options);
  Occupy();
  TestJob& large = Job(500, "large");
  ASSERT_TRUE(Submit(large).ok());  // Returns, although the gate is closed.
  gate_->AwaitCall(2);
  EXPECT_EQ(large.times, 0);
  gate_->Open();
  log_.Await(1);
  EXPECT_NE(large.thread, std::this_thread::get_id());
}

TEST_F(BatcherTest, PiecesOfOneJobAreScoredAtOnceAndItEndsOnce) {
  Options options;
  options.at_once = 2;
  options.batch_rows = 10;
  Make(options);
  Occupy();
  TestJob& job = Job(95, "job");
  ASSERT_TRUE(Submit(job).ok());
  gate_->LetOneThrough();
  gate_->AwaitCall(3);  // Two pieces, or a piece and the first job, are inside.
  gate_->Open();
  batcher_->Drain();
  EXPECT_TRUE(job.ended.ok());
  EXPECT_EQ(job.times, 1);
  EXPECT_EQ(gate_->calls(), 11u);
  for (double score : job.item.scores.combined) EXPECT_TRUE(std::isfinite(score));
}

TEST_F(BatcherTest, WhatIsOverdueIsNotScored) {
  TestJob& late = Job(1);
  late.deadline = Clock::now();
  EXPECT_EQ(Submit(late).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(late.times, 0);
  Occupy();
  TestJob& job = Job(5, "overdue");
  absl::Status status;
  do {  // On a busy machine it may be over at once.
    job.deadline = Clock::now() + 20ms;
    status = Submit(job);
  } while (absl::IsDeadlineExceeded(status));
  ASSERT_TRUE(status.ok());
  std::this_thread::sleep_until(job.deadline);
  ASSERT_TRUE(Submit(Job(1, "next")).ok());
  gate_->Open();
  log_.Await(2);
  EXPECT_EQ(job.ended.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(gate_->rows_of_calls(), ElementsAre(1, 1));
  EXPECT_EQ(batcher_->counts().expired_jobs, 1u);
}

TEST_F(BatcherTest, WhatIsCancelledWhileItWaitsIsTheCallersAgain) {
  Occupy();
  TestJob& job = Job(5, "cancelled");
  ASSERT_TRUE(Submit(job).ok());
  EXPECT_TRUE(batcher_->Cancel(&job));
  EXPECT_FALSE(batcher_->Cancel(&job));
  EXPECT_EQ(batcher_->counts().queued_rows, 0u);
  ASSERT_TRUE(Submit(Job(1, "next")).ok());
  ASSERT_TRUE(Submit(job).ok());  // may come again
  EXPECT_TRUE(batcher_->Cancel(&job));
  gate_->Open();
  EXPECT_THAT(log_.Await(1), ElementsAre("next"));
  batcher_->Drain();
  EXPECT_EQ(job.times, 0);
  EXPECT_EQ(batcher_->counts().cancelled_jobs, 2u);
  EXPECT_FALSE(batcher_->Cancel(&jobs_[0]));  // was done long ago
}

TEST_F(BatcherTest, TheRestOfACancelledJobIsNotScored) {
  Options options;
  options.batch_rows = 10;
  Make(options);
  Occupy();
  TestJob& job = Job(100, "cancelled");
  ASSERT_TRUE(Submit(job).ok());
  gate_->LetOneThrough();
  gate_->AwaitCall(2);
  EXPECT_FALSE(batcher_->Cancel(&job));
  EXPECT_EQ(job.times, 0);
  gate_->Open();
  log_.Await(1);
  EXPECT_EQ(job.ended.code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(gate_->rows_of_calls(), ElementsAre(1, 10));
}

TEST_F(BatcherTest, HigherPrioritiesGoFirstAndLowerOnesAreNotStarved) {
  Options options;
  options.batch_rows = 64;
  Make(options);
  Occupy();
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(Submit(Job(64, "low", Priority::kLow)).ok());
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(Submit(Job(64, "high", Priority::kHigh)).ok());
  for (int i = 0; i < 35; ++i) gate_->LetOneThrough();  // the first job, and 34 of these
  const auto names = log_.Await(34);
  const auto high = std::count(names.begin(), names.end(), "high");
  EXPECT_GE(high, 31);
  EXPECT_LT(high, 34);
}

TEST_F(BatcherTest, AFloodNeitherFillsTheQueueNorDelaysOthers) {
  Options options;
  options.batch_rows = 256;
  options.queue_rows = 4000;
  Make(options);
  Occupy();
  size_t flooded = 0;
  absl::Status refused;
  while ((refused = Submit(Job(10, "flood"))).ok()) flooded += 10;
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("this client's share of the queue is full"));
  EXPECT_EQ(load_.full, Load::Full::kClientShare);
  EXPECT_EQ(flooded, 2000u);
  ASSERT_TRUE(Submit(Job(10, "other")).ok());
  gate_->LetOneThrough();
  gate_->LetOneThrough();
  EXPECT_THAT(log_.Await(25), testing::Contains("other"));  // in the first batch: the next one waits
  gate_->Open();
  log_.Await(flooded / 10 + 1);
  EXPECT_EQ(batcher_->counts().refused_jobs, 1u);
}

TEST_F(BatcherTest, SaysBeforehandThatTheQueueIsFull) {
  Options options;
  options.queue_rows = 100;
  Make(options);
  EXPECT_TRUE(batcher_->Admit("a", nullptr).ok());
  Occupy();
  ASSERT_TRUE(Submit(Job(50, "a")).ok());
  const absl::Status status = batcher_->Admit("a", &load_);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(load_.full, Load::Full::kClientShare);
  EXPECT_EQ(load_.rows, 50u);
  EXPECT_EQ(batcher_->counts().refused_jobs, 1u);
  EXPECT_TRUE(batcher_->Admit("b", nullptr).ok());
  EXPECT_EQ(batcher_->counts().refused_jobs, 1u);
}

TEST_F(BatcherTest, RefusesWhatCannotBeScored) {
  EXPECT_EQ(Submit(Job(batcher_->max_job_rows() + 1)).code(), absl::StatusCode::kInvalidArgument);
  TestJob& infinite = Job(2);
  infinite.values()[kCols + 1] = HUGE_VALF;
  EXPECT_THAT(std::string(Submit(infinite).message()), HasSubstr("row 2: column y is infinite"));
  TestJob& narrow = Job(2);
  narrow.item.rows.cols = 2;
  EXPECT_EQ(Submit(narrow).code(), absl::StatusCode::kInvalidArgument);
  for (const TestJob& job : jobs_) EXPECT_EQ(job.times, 0);
  EXPECT_EQ(batcher_->counts().accepted_jobs, 0u);
}

TEST_F(BatcherTest, NoRowsAreDoneAtOnce) {
  TestJob& job = Job(0);
  ASSERT_TRUE(Submit(job).ok());
  EXPECT_TRUE(job.ended.ok());
  EXPECT_EQ(gate_->calls(), 0u);
}

TEST_F(BatcherTest, OneDetectorsFailureIsNotTheOthers) {
  // Its own backend call fails; the other detector's rows, in the same batch, are scored all the same.
  class Broken : public Gate {
   public:
    absl::Status ScoreFloats(const detector::FloatCall&) const override { return absl::InternalError("broken"); }
  };
  Occupy();
  TestJob &good = Job(5, "good"), &bad = Job(5, "bad"), &more = Job(5, "more");
  bad.detector = MakeDetector(std::make_shared<Broken>(), 2);
  for (TestJob* job : {&good, &bad, &more}) ASSERT_TRUE(Submit(*job).ok());
  gate_->Open();
  log_.Await(3);
  EXPECT_TRUE(good.ended.ok());
  EXPECT_TRUE(more.ended.ok());
  EXPECT_EQ(bad.ended.code(), absl::StatusCode::kInternal);
}

TEST_F(BatcherTest, DrainAnswersWhatWasAcceptedAndRefusesTheRest) {
  Occupy();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Submit(Job(100, std::to_string(i))).ok());
  std::thread drain([&] { batcher_->Drain(); });
  TestJob& late = Job(1);
  absl::Status status;
  for (;;) {  // until the drain has begun
    status = batcher_->Submit(&late, nullptr);
    if (!status.ok()) break;
    ASSERT_TRUE(batcher_->Cancel(&late));
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(log_.size(), 0u);
  gate_->Open();
  drain.join();
  EXPECT_EQ(log_.size(), 20u);
  EXPECT_EQ(jobs_[0].times, 1);
  EXPECT_EQ(batcher_->counts().queued_rows, 0u);
  EXPECT_EQ(Submit(late).code(), absl::StatusCode::kUnavailable);
}

TEST_F(BatcherTest, AJobsDetectorLivesUntilItIsDone) {
  Occupy();
  TestJob& job = Job(1, "old");
  job.detector = MakeDetector(gate_, 7);
  const std::weak_ptr<const detector::Detector> old = job.detector;
  ASSERT_TRUE(Submit(job).ok());
  gate_->Open();
  log_.Await(1);
  EXPECT_TRUE(job.ended.ok());
  job.detector.reset();
  EXPECT_TRUE(old.expired());
}

/// Jobs that come one on the heels of the other: threads of the batcher take them, several at once.
TEST_F(BatcherTest, DenseJobsAreGatheredAndAllDone) {
  gate_->TakeTime(50us);
  for (int i = 0; i < 3000; ++i) Job(1);
  for (size_t t = 0; t < 3; ++t) {
    callers_.emplace_back([this, t] {
      for (size_t i = t; i < jobs_.size(); i += 3) EXPECT_TRUE(batcher_->Submit(&jobs_[i], nullptr).ok());
    });
  }
  log_.Await(3000);
  EXPECT_LT(gate_->calls(), 2900u);
  for (const TestJob& job : jobs_) EXPECT_TRUE(job.ended.ok() && job.times == 1);
}

TEST_F(BatcherTest, CountsTellWhatHappened) {
  ASSERT_TRUE(Submit(Job(3)).ok());
  ASSERT_TRUE(Submit(Job(700)).ok());
  batcher_->Drain();
  const Counts counts = batcher_->counts();
  EXPECT_EQ(counts.accepted_jobs, 2u);
  EXPECT_EQ(counts.accepted_rows, 703u);
  EXPECT_EQ(counts.batches, 2u);
  EXPECT_EQ(counts.batch_rows, 703u);
  EXPECT_GT(counts.compute_seconds, 0);
  EXPECT_EQ(std::accumulate(counts.batches_by_rows.begin(), counts.batches_by_rows.end(), uint64_t{0}), 2u);
  EXPECT_EQ(counts.batches_by_rows[2], 1u);   // 3 rows: more than 2, at most 4
  EXPECT_EQ(counts.batches_by_rows[10], 1u);  // 700: at most 1024
  EXPECT_EQ(std::accumulate(counts.jobs_by_wait.begin(), counts.jobs_by_wait.end(), uint64_t{0}), 2u);
}

}  // namespace
}  // namespace driftseal::batch
