#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <stop_token>
#include <thread>

#include "engine/detector/detector.h"
#include "fleet.h"

namespace driftseal::detector {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string Message(const absl::StatusOr<Detector>& detector) { return std::string(detector.status().message()); }

TEST(Fit, SaysHowManyModelsAreNeededAndThere) {
  Fleet fleet(5);
  for (size_t n : {0, 1, 5, 19}) {
    const auto detector = Detector::Fit(fleet.Schema(), fleet.Samples(n, "cnn"), WithoutAutoencoder());
    EXPECT_EQ(detector.status().code(), absl::StatusCode::kFailedPrecondition) << n;
    EXPECT_THAT(Message(detector), HasSubstr("at least 20 models, and there are " + std::to_string(n)));
    if (n > 0) {
      EXPECT_THAT(Message(detector), HasSubstr(std::to_string(n) + " in cnn"));
    }
  }
  EXPECT_TRUE(Detector::Fit(fleet.Schema(), fleet.Samples(20, "cnn"), WithoutAutoencoder()).ok());
}

TEST(Fit, SaysThatNothingVaries) {
  Fleet fleet(3);
  auto samples = fleet.Samples(40, "a");
  for (Sample& sample : samples) sample.values = {1, 2, 3};
  const auto detector = Detector::Fit(fleet.Schema(), samples, WithoutAutoencoder());
  EXPECT_EQ(detector.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(detector),
              AllOf(HasSubstr("40 models"), HasSubstr("no column varies"), HasSubstr("3 are constant")));
}

TEST(Fit, NamesTheModelAndTheColumnThatAreWrong) {
  Fleet fleet(3);
  const auto fit = [&](auto change) {
    auto samples = fleet.Samples(30, "a");
    change(samples);
    const auto detector = Detector::Fit(fleet.Schema(), samples, WithoutAutoencoder());
    EXPECT_EQ(detector.status().code(), absl::StatusCode::kInvalidArgument);
    return Message(detector);
  };
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_THAT(fit([&](auto& s) { s[7].values[1] = -inf; }), AllOf(HasSubstr("a/7"), HasSubstr("f1 is infinite")));
  EXPECT_THAT(fit([&](auto& s) { s[3].values.pop_back(); }), AllOf(HasSubstr("a/3: 2 columns"), HasSubstr("has 3")));
  EXPECT_THAT(fit([&](auto& s) { s[3].id = s[4].id; }), HasSubstr("two models have the id a/4"));
  EXPECT_THAT(fit([&](auto& s) { s[3].id.clear(); }), HasSubstr("empty id"));
  EXPECT_THAT(fit([&](auto& s) { s[3].family = "*"; }), HasSubstr("reserved"));
}

TEST(Fit, ChecksItsOptions) {
  Fleet fleet(3);
  const auto fit = [&](auto change) {
    FitOptions options = WithoutAutoencoder();
    change(options);
    const auto detector = Detector::Fit(fleet.Schema(), fleet.Samples(30, "a"), options);
    EXPECT_EQ(detector.status().code(), absl::StatusCode::kInvalidArgument);
    return Message(detector);
  };
  EXPECT_THAT(fit([](auto& o) { o.calibration_share = 1; }), HasSubstr("calibration_share"));
  EXPECT_THAT(fit([](auto& o) { o.calibration_share = std::nan(""); }), HasSubstr("calibration_share"));
  EXPECT_THAT(fit([](auto& o) { o.family_minimum = 7; }), HasSubstr("family_minimum"));
  EXPECT_THAT(fit([](auto& o) { o.members = {"forest", "oracle"}; }), HasSubstr("no member oracle"));
  EXPECT_THAT(fit([](auto& o) { o.members.clear(); }), HasSubstr("members"));
  EXPECT_THAT(fit([](auto& o) { o.name.clear(); }), HasSubstr("name"));
  SchemaId empty = fleet.Schema();
  empty.features.clear();
  EXPECT_FALSE(Detector::Fit(empty, {}, WithoutAutoencoder()).ok());
}

TEST(Fit, WithoutReplayProgramSaysSo) {
  Fleet fleet(3);
  const auto detector = Detector::Fit(fleet.Schema(), fleet.Samples(30, "a"), FitOptions());
  EXPECT_EQ(detector.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(detector), HasSubstr("driftseal-replay"));
}

TEST(Fit, MissingReplayProgramIsNamed) {
  Fleet fleet(3);
  FitOptions options;
  options.replay_program = "/no/such/driftseal-replay";
  const auto detector = Detector::Fit(fleet.Schema(), fleet.Samples(30, "a"), options);
  EXPECT_EQ(detector.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(detector), HasSubstr("/no/such/driftseal-replay"));
}

TEST(Fit, ListsFamilies) {
  Fleet fleet(6);
  auto samples = fleet.Samples(40, "large");
  for (const Sample& sample : fleet.Samples(3, "small")) samples.push_back(sample);
  for (Sample sample : fleet.Samples(25, "equal")) {
    sample.values.assign(6, 1);
    samples.push_back(sample);
  }
  const auto detector = Detector::Fit(fleet.Schema(), samples, WithoutAutoencoder());
  ASSERT_TRUE(detector.ok()) << detector.status();
  const auto families = detector->families();
  ASSERT_EQ(families.size(), 4u);
  EXPECT_EQ(families[0].key, "large");
  EXPECT_TRUE(families[0].own_detector);
  EXPECT_EQ(families[0].fitted_on, 20u);
  EXPECT_EQ(families[0].calibrated_on, 20u);
  EXPECT_EQ(families[0].features_used, 6u);
  EXPECT_EQ(families[1].key, "equal");  // 25 models, but all alike
  EXPECT_FALSE(families[1].own_detector);
  EXPECT_EQ(families[2].key, "small");
  EXPECT_FALSE(families[2].own_detector);
  EXPECT_EQ(families[3].key, kGlobalKey);
}

TEST(Fit, OneColumnAndDuplicatedRows) {
  Fleet fleet(1);
  auto samples = fleet.Samples(40, "a");
  for (size_t i = 0; i < 30; ++i) samples[i].values = {1};
  const auto detector = Detector::Fit(fleet.Schema(), samples, WithoutAutoencoder());
  ASSERT_TRUE(detector.ok()) << detector.status();
  const auto score = detector->ScoreRow(std::vector<double>{50}, "a");
  ASSERT_TRUE(score.ok());
  EXPECT_TRUE(std::isfinite(score->combined));
}

TEST(Fit, WithoutCalibrationRowsIsUncalibratedAndSaysSo) {
  Fleet fleet(4);
  FitOptions options = WithoutAutoencoder();
  options.calibration_share = 0;
  const auto detector = Detector::Fit(fleet.Schema(), fleet.Samples(30, "a"), options);
  ASSERT_TRUE(detector.ok()) << detector.status();
  const auto score = detector->ScoreRow(fleet.Row(), "a");
  ASSERT_TRUE(score.ok());
  EXPECT_EQ(score->fitted_on, 30u);
  EXPECT_FALSE(score->p_value);
  EXPECT_TRUE(std::isfinite(score->combined));
  EXPECT_THAT(score->remark, HasSubstr("no models were kept for calibration"));
  EXPECT_EQ(detector->GuaranteeFor("a", 0.05, 0.05).available, 0u);
}

TEST(Fit, HundredFamilies) {
  Fleet fleet(20);
  std::vector<Sample> samples;
  for (int f = 0; f < 100; ++f) {
    for (Sample& sample : fleet.Samples(24, "family" + std::to_string(f), f)) samples.push_back(std::move(sample));
  }
  const auto detector = Detector::Fit(fleet.Schema(), samples, WithoutAutoencoder());
  ASSERT_TRUE(detector.ok()) << detector.status();
  EXPECT_EQ(detector->families().size(), 101u);
}

TEST(Fit, TellsItsProgress) {
  Fleet fleet(5);
  FitProgress progress;
  FitOptions options = WithoutAutoencoder();
  options.progress = &progress;
  ASSERT_TRUE(Detector::Fit(fleet.Schema(), fleet.Samples(40, "a"), options).ok());
  EXPECT_EQ(progress.total, 12u);  // five folds and all rows, of the family and of all families
  EXPECT_EQ(progress.done, 12u);
}

TEST(Fit, IsStoppedBeforeAndWhileItFits) {
  Fleet fleet(8);
  std::vector<Sample> samples;
  for (int f = 0; f < 20; ++f) {
    for (Sample& sample : fleet.Samples(100, "f" + std::to_string(f))) samples.push_back(std::move(sample));
  }
  std::stop_source before, during;
  before.request_stop();
  FitProgress progress;
  FitOptions options = WithoutAutoencoder();
  options.progress = &progress;
  options.stop = before.get_token();
  EXPECT_EQ(Detector::Fit(fleet.Schema(), samples, options).status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(progress.done, 0u);
  options.stop = during.get_token();
  absl::StatusCode code = absl::StatusCode::kOk;
  std::thread fit([&] { code = Detector::Fit(fleet.Schema(), samples, options).status().code(); });
  while (progress.done == 0) std::this_thread::yield();
  during.request_stop();
  fit.join();
  EXPECT_EQ(code, absl::StatusCode::kCancelled);
  EXPECT_LT(progress.done, progress.total);
}

}  // namespace
}  // namespace driftseal::detector
