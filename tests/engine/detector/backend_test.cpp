#include "engine/detector/backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "engine/detector/kernel_backend.h"
#include "fleet.h"

// The variant that was asked for scores, and all of them score alike.
namespace driftseal::detector {
namespace {

using testing::HasSubstr;

std::shared_ptr<const Backend> Make(const std::string& name) {
  BackendOptions options;
  options.name = name;
  options.threads = 2;
  auto backend = MakeBackend(options);
  EXPECT_TRUE(backend.ok()) << backend.status();
  return *backend;
}

class BackendTest : public testing::TestWithParam<std::string> {
 protected:
  BackendTest() {
    std::vector<Sample> samples = fleet_.Samples(60, "a");
    for (Sample& sample : fleet_.Samples(50, "b", 4)) samples.push_back(std::move(sample));
    for (Sample& sample : fleet_.Samples(9, "few", 2)) samples.push_back(std::move(sample));
    auto fitted = Detector::Fit(fleet_.Schema(), samples, WithoutAutoencoder());
    EXPECT_TRUE(fitted.ok()) << fitted.status();
    detector_ = std::make_unique<Detector>(*std::move(fitted));
  }

  Fleet fleet_{12};
  std::unique_ptr<Detector> detector_;
};

TEST_P(BackendTest, RowsOfAllFamiliesScoreAsInDouble) {
  const std::vector<std::string> families = {"a", "b", "few", "unseen"};
  std::vector<std::vector<double>> values;
  for (int i = 0; i < 700; ++i) values.push_back(fleet_.Row(i % 7 == 0 ? 9 : 0));
  values[5][3] = std::numeric_limits<double>::quiet_NaN();
  std::vector<Row> rows;
  for (size_t i = 0; i < values.size(); ++i) rows.push_back({values[i], families[i % 3 == 0 ? 3 - i % 4 : i % 4]});
  const auto expected = detector_->ScoreRows(rows);
  ASSERT_TRUE(expected.ok()) << expected.status();
  ASSERT_TRUE(detector_->Use(Make(GetParam())).ok());
  const auto scores = detector_->ScoreRows(rows);
  ASSERT_TRUE(scores.ok()) << scores.status();
  ASSERT_EQ(scores->size(), rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const Score &got = (*scores)[i], &want = (*expected)[i];
    EXPECT_EQ(got.family, want.family);
    ASSERT_EQ(got.members.size(), want.members.size());
    for (size_t m = 0; m < want.members.size(); ++m) {
      const double scale = 1 + std::abs(want.members[m].raw);
      EXPECT_NEAR(got.members[m].raw, want.members[m].raw, 2e-5 * scale) << want.members[m].member << ", row " << i;
    }
    const auto alone = detector_->ScoreRow(values[i], rows[i].family);
    ASSERT_TRUE(alone.ok());
    EXPECT_NEAR(alone->combined, got.combined, 1e-4 * (1 + std::abs(got.combined))) << "row " << i;
  }
}

TEST_P(BackendTest, ErrorsNameTheRow) {
  ASSERT_TRUE(detector_->Use(Make(GetParam())).ok());
  const std::vector<double> good = fleet_.Row(), bad = {1, 2};
  const std::vector<Row> rows = {{good, "a"}, {bad, "a"}};
  EXPECT_THAT(std::string(detector_->ScoreRows(rows).status().message()), HasSubstr("row 2: a row of 2 columns"));
  EXPECT_TRUE(detector_->ScoreRows({}).ok());
}

INSTANTIATE_TEST_SUITE_P(Names, BackendTest, testing::ValuesIn(BackendNames("")),
                         [](const auto& name) { return name.param; });

TEST(Backends, SayWhatRuns) {
  EXPECT_EQ(Describe(*Make("reference")), "reference");
  for (const std::string& name : BackendNames("")) {
    if (name == "reference" || name == "simd") continue;
    EXPECT_THAT(Describe(*Make(name)), HasSubstr("simd (" + name + ")"));
  }
}

TEST(Backends, RefuseWhatDoesNotRun) {
  BackendOptions options;
  options.name = "abacus";
  EXPECT_EQ(MakeBackend(options).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(MakeBackend(options).status().message()), HasSubstr("auto, reference, simd"));
  options.name = "cuda";
  options.cuda_module = "/nonexistent/libdriftseal_cuda.so";
  EXPECT_EQ(MakeBackend(options).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(MakeBackend(options).status().message()), HasSubstr("backend cuda cannot run here"));
  options.name = "auto";
  EXPECT_THAT(Describe(**MakeBackend(options)), HasSubstr("simd"));
}

/// Counts its calls; scores are its own number.
class FakeBackend : public Backend {
 public:
  FakeBackend(double score, double seconds_a_call) : score_(score), seconds_(seconds_a_call) {}
  std::string description() const override { return "fake"; }
  absl::StatusOr<std::unique_ptr<const Prepared>> Prepare(const kernels::ensemble::Members&, size_t) const override {
    return std::make_unique<Prepared>();
  }
  absl::Status Score(std::span<const Task> tasks) const override {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds_);
    while (std::chrono::steady_clock::now() < end) {
    }
    for (const Task& task : tasks) {
      for (RawScores& scores : task.out) scores.fill(score_);
    }
    return absl::OkStatus();
  }

 private:
  const double score_, seconds_;
};

double ScoreOf(const Backend& backend, const Prepared& prepared, size_t rows) {
  const std::vector<double> values(rows * 2);
  std::vector<RawScores> out(rows);
  const Task task{&prepared, {values.data(), rows, 2}, out};
  EXPECT_TRUE(backend.Score({&task, 1}).ok());
  return out[0][0];
}

TEST(Backends, SmallBatchesGoToOneAndLargeToTheOther) {
  const auto split =
      SplitBySize(std::make_shared<FakeBackend>(1, 0), std::make_shared<FakeBackend>(2, 0), 100, nullptr);
  const auto prepared = split->Prepare({}, 2);
  ASSERT_TRUE(prepared.ok());
  EXPECT_EQ(ScoreOf(*split, **prepared, 99), 1);
  EXPECT_EQ(ScoreOf(*split, **prepared, 100), 2);
}

TEST(Backends, TheCrossoverIsMeasuredOnceAndTold) {
  std::vector<std::string> log;
  const auto tell = [&](const std::string& text) { log.push_back(text); };
  // A call takes the one nothing and the other 2 ms: no batch is worth it.
  const auto split = SplitBySize(std::make_shared<FakeBackend>(1, 0), std::make_shared<FakeBackend>(2, 0.002), 0, tell);
  const auto prepared = split->Prepare({}, 2);
  ASSERT_TRUE(prepared.ok());
  EXPECT_EQ(ScoreOf(*split, **prepared, 50'000), 1);
  EXPECT_EQ(ScoreOf(*split, **prepared, 7), 1);
  ASSERT_EQ(log.size(), 1u);
  EXPECT_THAT(log[0], HasSubstr("no batch finishes sooner on the GPU"));
}

}  // namespace
}  // namespace driftseal::detector
