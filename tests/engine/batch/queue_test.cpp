#include "engine/batch/queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>

#include "absl/strings/str_cat.h"
#include "engine/batch/pace.h"

// Who is let in, and who goes next: without threads and without a clock.
namespace driftseal::batch {
namespace {

using std::chrono_literals::operator""us;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

constexpr size_t kUnlimited = SIZE_MAX;

class RowsJob : public Job {
 public:
  RowsJob(const std::string& of, size_t rows, Priority at) {
    client = of;
    item.rows.rows = rows;
    priority = at;
  }
  void Done(absl::Status) override {}
};

class QueueTest : public testing::Test {
 protected:
  bool Push(const std::string& client, size_t rows, Priority priority = Priority::kNormal, size_t cost = 1,
            size_t most_cost = kUnlimited) {
    jobs_.emplace_back(client, rows, priority);
    return queue_.Push(&jobs_.back(), cost, most_cost, now_, &load_);
  }
  /// Rows of each client in the next `cost`.
  std::map<std::string, size_t> Take(size_t cost) {
    std::map<std::string, size_t> rows;
    for (const auto& taken : TakeParts(cost)) rows[taken.job->client] += taken.part.count;
    return rows;
  }
  std::vector<JobQueue::Taken> TakeParts(size_t cost) {
    std::vector<JobQueue::Taken> taken;
    queue_.Take(cost, now_, taken, ended_, counts_);
    for (const auto& one : taken) {
      if (queue_.Finish(one, absl::OkStatus())) ended_.push_back(one.job);
    }
    return taken;
  }

  JobQueue queue_{1000, 10};
  std::deque<RowsJob> jobs_;
  std::vector<Job*> ended_;
  Load load_;
  Counts counts_;
  Clock::time_point now_ = Clock::time_point(1s);
};

TEST_F(QueueTest, AClientsJobsGoInTheirOrder) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Push("a", 4));
  EXPECT_EQ(queue_.rows(), 12u);
  now_ += 2s;
  EXPECT_EQ(TakeParts(6).size(), 2u);
  EXPECT_DOUBLE_EQ(counts_.queue_seconds, 12);  // six rows, two seconds each
  ASSERT_EQ(ended_.size(), 1u);
  EXPECT_EQ(ended_[0], &jobs_[0]);
  const auto rest = TakeParts(100);
  ASSERT_EQ(rest.size(), 2u);
  EXPECT_EQ(rest[0].job, &jobs_[1]);
  EXPECT_EQ(rest[0].part.first, 2u);
  EXPECT_EQ(rest[0].part.count, 2u);
  EXPECT_EQ(ended_.size(), 3u);
  EXPECT_TRUE(queue_.empty());
  EXPECT_EQ(queue_.rows(), 0u);
  EXPECT_EQ(queue_.cost(), 0u);
}

TEST_F(QueueTest, ManySmallJobsDoNotOutweighAFewLargeOnes) {
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(Push("many", 1));
  ASSERT_TRUE(Push("large", 300));
  const auto rows = Take(200);
  EXPECT_EQ(rows.at("many"), 100u);
  EXPECT_EQ(rows.at("large"), 100u);
}

TEST_F(QueueTest, ANewClientWaitsOneRoundAtMost) {
  for (int i = 0; i < 400; ++i) ASSERT_TRUE(Push("flood", 1));
  Take(25);
  ASSERT_TRUE(Push("late", 1));
  EXPECT_EQ(Take(2 * 10).count("late"), 1u);
}

TEST_F(QueueTest, ExpensiveRowsCountForWhatTheyCost) {
  ASSERT_TRUE(Push("plain", 100));
  ASSERT_TRUE(Push("dear", 100, Priority::kNormal, 5));
  const auto rows = Take(100);
  EXPECT_EQ(rows.at("plain"), 50u);
  EXPECT_EQ(rows.at("dear"), 10u);
  EXPECT_EQ(queue_.cost(), 50u + 450u);
}

TEST_F(QueueTest, OneRowAtLeastIsTakenHoweverDear) {
  ASSERT_TRUE(Push("dear", 2, Priority::kNormal, 40));
  EXPECT_EQ(Take(8).at("dear"), 1u);
}

TEST_F(QueueTest, PrioritiesShareSixteenToFourToOne) {
  ASSERT_TRUE(Push("low", 100, Priority::kLow));
  ASSERT_TRUE(Push("normal", 100, Priority::kNormal));
  ASSERT_TRUE(Push("high", 350, Priority::kHigh));
  const auto rows = Take(210);
  EXPECT_NEAR(static_cast<double>(rows.at("high")), 160, 10);
  EXPECT_NEAR(static_cast<double>(rows.at("normal")), 40, 10);
  EXPECT_NEAR(static_cast<double>(rows.at("low")), 10, 10);
  EXPECT_GT(rows.at("low"), 0u);
}

TEST_F(QueueTest, APriorityDoesNotSaveUpWhatItDidNotUse) {
  ASSERT_TRUE(Push("low", 400, Priority::kLow));
  Take(200);
  ASSERT_TRUE(Push("high", 300, Priority::kHigh));
  EXPECT_GE(Take(100)["high"], 80u);
  Take(1000);
  // Nothing but low rows for a while, and then high ones: low rows are still served now and then.
  ASSERT_TRUE(Push("high", 200, Priority::kHigh));
  Take(200);
  ASSERT_TRUE(Push("low", 100, Priority::kLow));
  ASSERT_TRUE(Push("high", 300, Priority::kHigh));
  const auto rows = Take(170);
  EXPECT_GT(rows.at("low"), 0u);
  EXPECT_LE(rows.at("low"), 30u);
}

TEST_F(QueueTest, WhatIsOverdueIsNotTaken) {
  ASSERT_TRUE(Push("a", 5));
  ASSERT_TRUE(Push("a", 5));
  jobs_[0].deadline = now_ + 1ms;
  now_ += 1ms;
  EXPECT_EQ(TakeParts(100).size(), 1u);
  ASSERT_EQ(ended_.size(), 2u);
  EXPECT_EQ(ended_[0], &jobs_[0]);
  EXPECT_EQ(JobQueue::Ending(ended_[0]).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(JobQueue::Ending(ended_[1]).ok());
}

TEST_F(QueueTest, TheRestOfAJobThatIsOverdueIsDropped) {
  ASSERT_TRUE(Push("a", 50));
  jobs_[0].deadline = now_ + 1ms;
  EXPECT_EQ(Take(20).at("a"), 20u);
  now_ += 1ms;
  EXPECT_TRUE(Take(20).empty());
  ASSERT_EQ(ended_.size(), 1u);
  EXPECT_EQ(JobQueue::Ending(ended_[0]).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(queue_.rows(), 0u);
}

TEST_F(QueueTest, AJobThatIsOverdueWhileAPartIsBeingScoredEndsWithThatPart) {
  ASSERT_TRUE(Push("a", 50));
  jobs_[0].deadline = now_ + 1ms;
  std::vector<JobQueue::Taken> part, later;
  queue_.Take(20, now_, part, ended_, counts_);
  now_ += 1ms;
  queue_.Take(20, now_, later, ended_, counts_);
  EXPECT_TRUE(later.empty());
  EXPECT_TRUE(ended_.empty());
  ASSERT_EQ(part.size(), 1u);
  EXPECT_TRUE(queue_.Finish(part[0], absl::OkStatus()));
  EXPECT_EQ(JobQueue::Ending(&jobs_[0]).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(counts_.expired_jobs, 1u);
}

TEST_F(QueueTest, JobsAreRemovedWhereverTheyWait) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Push("a", 2));
  EXPECT_EQ(queue_.Remove(&jobs_[1]), JobQueue::Removal::kTaken);
  EXPECT_EQ(queue_.Remove(&jobs_[1]), JobQueue::Removal::kAbsent);
  EXPECT_EQ(queue_.rows(), 4u);
  EXPECT_EQ(queue_.Remove(&jobs_[0]), JobQueue::Removal::kTaken);
  EXPECT_EQ(queue_.Remove(&jobs_[2]), JobQueue::Removal::kTaken);
  EXPECT_TRUE(queue_.empty());
  ASSERT_TRUE(Push("a", 3));
  EXPECT_EQ(Take(100).at("a"), 3u);
}

TEST_F(QueueTest, AJobThatIsPartlyBeingScoredEndsWithThatPart) {
  ASSERT_TRUE(Push("a", 30));
  std::vector<JobQueue::Taken> taken;
  queue_.Take(5, now_, taken, ended_, counts_);
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(queue_.Remove(&jobs_[0]), JobQueue::Removal::kPartly);
  EXPECT_TRUE(queue_.empty());
  EXPECT_TRUE(queue_.Finish(taken[0], absl::OkStatus()));
  EXPECT_EQ(JobQueue::Ending(&jobs_[0]).code(), absl::StatusCode::kCancelled);
}

TEST_F(QueueTest, AFailedPartEndsTheWholeJob) {
  ASSERT_TRUE(Push("a", 30));
  std::vector<JobQueue::Taken> taken;
  queue_.Take(5, now_, taken, ended_, counts_);
  EXPECT_TRUE(queue_.Finish(taken[0], absl::InternalError("broken")));
  EXPECT_TRUE(queue_.empty());
  EXPECT_EQ(JobQueue::Ending(&jobs_[0]).code(), absl::StatusCode::kInternal);
}

TEST_F(QueueTest, AClientHoldsNoMoreThanIsFreeBesideIt) {
  EXPECT_FALSE(Push("flood", queue_.max_job_rows() + 1));
  size_t held = 0;
  while (Push("flood", 10)) held += 10;
  EXPECT_EQ(held, 500u);
  EXPECT_EQ(load_.full, Load::Full::kClientShare);
  EXPECT_EQ(load_.rows, 500u);
  EXPECT_EQ(load_.limit, 500u);
  size_t second = 0;
  while (Push("second", 10)) second += 10;
  EXPECT_EQ(second, 250u);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(Push(absl::StrCat("client ", i), 1)) << i;
  Take(600);
  EXPECT_TRUE(Push("flood", 10));
}

TEST_F(QueueTest, AFullQueueSaysSo) {
  for (int i = 0; i < 3; ++i) Push(absl::StrCat("a", i), 250);
  EXPECT_FALSE(Push("late", 400));
  EXPECT_EQ(load_.full, Load::Full::kQueue);
  EXPECT_EQ(load_.limit, 1000u);
}

TEST_F(QueueTest, WhoAloneFillsTheTimeIsRefusedAndOthersAreNot) {
  const auto push = [&](const std::string& client, size_t rows) {
    return Push(client, rows, Priority::kNormal, 1, 100);
  };
  size_t held = 0;
  while (push("flood", 1)) ++held;
  EXPECT_EQ(held, 101u);
  EXPECT_EQ(load_.full, Load::Full::kQueue);
  EXPECT_EQ(load_.limit, 100u);
  EXPECT_TRUE(push("other", 1));
  EXPECT_FALSE(push("flood", 1));
  EXPECT_EQ(load_.full, Load::Full::kClientShare);
  // One job of any size that the queue has room for is let in, for it is served in turns.
  EXPECT_TRUE(push("third", 300));
  EXPECT_FALSE(push("third", 1));
  EXPECT_TRUE(push("fourth", 1));
}

TEST_F(QueueTest, WouldTakeSaysBeforehandWhatPushDoes) {
  const auto agree = [&](const std::string& client) {
    Load before;
    const bool would = queue_.WouldTake(client, 100, &before);
    const bool does = Push(client, 1, Priority::kNormal, 1, 100);
    EXPECT_EQ(would, does);
    if (!does) {
      EXPECT_EQ(before.full, load_.full);
      EXPECT_EQ(before.rows, load_.rows);
      EXPECT_EQ(before.limit, load_.limit);
    }
    return does;
  };
  size_t taken = 0;
  for (int i = 0; i < 300; ++i) taken += agree(i % 3 == 0 ? "b" : "a");
  EXPECT_GT(taken, 100u);
  EXPECT_LT(taken, 300u);
  EXPECT_TRUE(queue_.WouldTake("new", SIZE_MAX, &load_));
  EXPECT_EQ(queue_.clients(), 2u);  // Asking is not remembered.
}

TEST_F(QueueTest, ManyClientsTogetherFillTheTimeToo) {
  size_t held = 0;
  while (Push(absl::StrCat("client ", held), 1, Priority::kNormal, 1, 100)) ++held;
  EXPECT_EQ(held, 101u);
}

TEST_F(QueueTest, ClientsThatAreGoneAreForgotten) {
  for (int i = 0; i < 5000; ++i) {
    ASSERT_TRUE(Push(absl::StrCat("client ", i), 1));
    if (i % 100 == 99) Take(100);
  }
  EXPECT_LE(queue_.clients(), 2000u);
  EXPECT_TRUE(Push("client 1", 1));
  EXPECT_EQ(Take(1).at("client 1"), 1u);
}

TEST(Pace, RatesComeFromFullBatches) {
  Pace pace(100);
  EXPECT_EQ(pace.CostIn(1s), SIZE_MAX);
  pace.Scored(1, 10us);
  EXPECT_EQ(pace.CostIn(1s), SIZE_MAX);
  EXPECT_EQ(pace.TimeFor(1000), 0us);
  for (int i = 0; i < 5; ++i) pace.Scored(1000, 1ms);
  EXPECT_NEAR(static_cast<double>(pace.CostIn(1s)), 1e6, 10);
  EXPECT_EQ(pace.TimeFor(500), 500us);
  for (int i = 0; i < 200; ++i) pace.Scored(1000, 2ms, 2);  // Two at once: as fast together.
  EXPECT_NEAR(static_cast<double>(pace.CostIn(1s)), 1e6, 10);
  for (int i = 0; i < 200; ++i) pace.Scored(1000, 4ms);
  EXPECT_NEAR(static_cast<double>(pace.CostIn(1s)), 0.25e6, 1e3);
}

TEST(Pace, GathersWhereJobsComeFasterThanOneByOneIsCheap) {
  Pace pace(100);
  auto now = Clock::time_point(5s);
  for (int i = 0; i < 100; ++i) pace.Scored(1, 10us);
  const auto come = [&](int jobs, std::chrono::microseconds gap) {
    for (int i = 0; i < jobs; ++i) pace.Came(now += gap);
  };
  come(300, 100us);
  EXPECT_FALSE(pace.gathers());
  come(300, 15us);
  EXPECT_TRUE(pace.gathers());
  come(3, 10'000us);
  EXPECT_FALSE(pace.gathers());
}

TEST(Pace, DoesNotGatherWhereItBringsNobody) {
  Pace pace(100);
  auto now = Clock::time_point(5s);
  for (int i = 0; i < 100; ++i) pace.Scored(1, 10us);
  const auto come = [&](int jobs) {
    for (int i = 0; i < jobs; ++i) pace.Came(now += 15us);
  };
  come(300);
  for (int i = 0; i < 50; ++i) pace.Gathered(80);
  EXPECT_TRUE(pace.gathers());
  int tries = 0;
  while (pace.gathers() && tries < 100) pace.Gathered(1), ++tries;
  EXPECT_LT(tries, 10);
  // It is tried again, and given up sooner.
  come(4095);
  EXPECT_FALSE(pace.gathers());
  come(1);
  EXPECT_TRUE(pace.gathers());
  pace.Gathered(1);
  EXPECT_FALSE(pace.gathers());
  come(4096);
  for (int i = 0; i < 50; ++i) pace.Gathered(65);
  EXPECT_TRUE(pace.gathers());
}

}  // namespace
}  // namespace driftseal::batch
