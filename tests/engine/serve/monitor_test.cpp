#include "engine/serve/monitor.h"

#include <cmath>
#include <string>

#include "gmock/gmock.h"
#include "nlohmann/json.hpp"
#include "tests/support/json_schema.h"
#include "tests/support/temp_folder.h"

namespace driftseal::testing {
namespace {

using nlohmann::json;
using serve::Monitor;
using ::testing::IsEmpty;

screen::Result ResultOf(double combined, std::optional<double> p, screen::Outcome outcome = screen::Outcome::kPass) {
  screen::Result result;
  result.fingerprint.family = {"vision", "classification", "abcd"};
  result.verdict.outcome = outcome;
  result.score.emplace();
  result.score->combined = combined;
  result.score->p_value = p;
  result.score->calibrated_on = 100;
  return result;
}

class MonitorTest : public ::testing::Test {
 protected:
  std::unique_ptr<Monitor> Open(double alpha = 0.05) {
    auto monitor = Monitor::Open(folder_ / "monitor.json", alpha, log_.get());
    EXPECT_TRUE(monitor.ok()) << monitor.status();
    return *std::move(monitor);
  }
  json File() const {
    const json file = json::parse(folder_.Read("monitor.json"));
    EXPECT_THAT(PublishedSchemaErrors("monitor", file), IsEmpty());
    return file;
  }
  TempFolder folder_;
  std::unique_ptr<serve::Log> log_ = serve::SilentLog();
};

TEST_F(MonitorTest, CountsVerdictsAndScoresOfAFamily) {
  const auto monitor = Open();
  monitor->Note(ResultOf(1, 0.5), "d@1");
  monitor->Note(ResultOf(4, 0.01, screen::Outcome::kQuarantine), "d@1");
  monitor->Note(ResultOf(-2, std::nullopt, screen::Outcome::kInconclusive), "d@1");
  screen::Result error;
  error.error = absl::InvalidArgumentError("x");
  monitor->Note(error, "d@1");
  monitor->Note(ResultOf(7, 0.5), "d@2");
  ASSERT_TRUE(monitor->Write().ok());
  const json file = File();
  ASSERT_EQ(file["detectors"].size(), 2u);
  ASSERT_EQ(file["detectors"][0]["families"].size(), 2u) << "the one of models that cannot be read";
  const json& family = file["detectors"][0]["families"][1];
  EXPECT_EQ(family["family"], "vision/classification/abcd");
  EXPECT_EQ(family["models"], 3);
  EXPECT_EQ(family["verdicts"]["pass"], 1);
  EXPECT_EQ(family["verdicts"]["quarantine"], 1);
  EXPECT_EQ(family["verdicts"]["inconclusive"], 1);
  EXPECT_EQ(family["score"], (json{{"count", 3}, {"mean", 1.0}, {"min", -2.0}, {"max", 4.0}}));
  EXPECT_EQ(family["flagged"]["all"]["judged"], 2) << "no p-value, no word";
  EXPECT_EQ(family["flagged"]["all"]["flagged"], 1);
  EXPECT_EQ(file["detectors"][0]["families"][0]["verdicts"]["error"], 1);
}

TEST_F(MonitorTest, OutlivesARestartAndGoesOn) {
  for (int run = 0; run < 3; ++run) {
    const auto monitor = Open();
    for (int i = 0; i < 600; ++i) monitor->Note(ResultOf(run, i % 2 == 0 ? 0.01 : 0.9), "d@1");
  }
  const json family = File()["detectors"][0]["families"][0];
  EXPECT_EQ(family["models"], 1800);
  EXPECT_EQ(family["flagged"]["all"]["judged"], 1800);
  EXPECT_EQ(family["flagged"]["all"]["flagged"], 900);
  EXPECT_EQ(family["flagged"]["recent"]["judged"], 1000);
  EXPECT_EQ(family["flagged"]["recent"]["flagged"], 500);
  EXPECT_NEAR(family["score"]["mean"], 1, 1e-9);
  EXPECT_EQ(family["flagged"]["recent_flags"].get<std::string>().size(), 1000u);
}

TEST_F(MonitorTest, AnotherLevelCountsFlagsAnew) {
  Open(0.05)->Note(ResultOf(1, 0.01), "d@1");
  Open(0.1)->Note(ResultOf(1, 0.07), "d@1");
  const json family = File()["detectors"][0]["families"][0];
  EXPECT_EQ(family["models"], 2);
  EXPECT_EQ(family["flagged"]["all"]["judged"], 1);
  EXPECT_EQ(family["flagged"]["all"]["flagged"], 1);
}

TEST_F(MonitorTest, ADamagedFileIsSetAside) {
  for (const char* text : {"{", "[]", "{\"format\":\"driftseal-monitor/1\",\"alpha\":0.05,\"detectors\":[{}]}"}) {
    folder_.Write("monitor.json", text);
    Open()->Note(ResultOf(1, 0.5), "d@1");
    EXPECT_EQ(File()["detectors"][0]["families"][0]["models"], 1);
    EXPECT_EQ(folder_.Read("monitor.json.damaged"), text);
  }
}

TEST_F(MonitorTest, TheNumberOfFamiliesIsBounded) {
  const auto monitor = Open();
  for (size_t i = 0; i < Monitor::kFamilies + 10; ++i) {
    screen::Result result = ResultOf(1, 0.5);
    result.fingerprint.family.architecture = std::to_string(i);
    monitor->Note(result, "d@1");
  }
  ASSERT_TRUE(monitor->Write().ok());
  EXPECT_EQ(json::parse(folder_.Read("monitor.json"))["detectors"][0]["families"].size(), Monitor::kFamilies);
}

TEST_F(MonitorTest, SaysWhenMoreIsFlaggedThanTheLevelExplains) {
  const auto flag = [&](int flagged, int of) {
    const TempFolder own;
    auto monitor = *Monitor::Open(own / "m.json", 0.05, log_.get());
    for (int i = 0; i < of; ++i) monitor->Note(ResultOf(1, i < flagged ? 0.01 : 0.5), "d@1");
    EXPECT_TRUE(monitor->Write().ok());
    return json::parse(own.Read("m.json"))["detectors"][0]["families"][0]["flagged"]["more_than_explained"].get<bool>();
  };
  EXPECT_FALSE(flag(0, 100));
  EXPECT_FALSE(flag(8, 100)) << "5 % of 100, and luck";
  EXPECT_FALSE(flag(100, 1000)) << "10 %: the draw of 100 calibration models may explain that for ever";
  EXPECT_TRUE(flag(50, 100));
  EXPECT_TRUE(flag(400, 1000));
}

// The exact values from the binomial distribution, summed here.
TEST(BinomialTailBound, IsAboveTheTailAndNotFar) {
  const auto tail = [](uint64_t k, uint64_t n, double p) {
    double sum = 0;
    for (uint64_t i = k; i <= n; ++i) {
      sum += std::exp(std::lgamma(n + 1.0) - std::lgamma(i + 1.0) - std::lgamma(n - i + 1.0) + i * std::log(p) +
                      (n - i) * std::log1p(-p));
    }
    return sum;
  };
  for (const uint64_t n : {10u, 100u, 1000u}) {
    for (uint64_t k = 0; k <= n; k += n / 10) {
      const double bound = serve::BinomialTailBound(k, n, 0.05), exact = tail(k, n, 0.05);
      EXPECT_GE(bound, exact * (1 - 1e-9)) << k << " of " << n;
      EXPECT_LE(bound, std::max(1e-300, exact * 100)) << k << " of " << n;
    }
  }
  EXPECT_EQ(serve::BinomialTailBound(0, 0, 0.05), 1);
  // P(Beta(l, n + 1 - l) > q) = P(binomial(n, q) < l), at the quantile itself.
  for (const size_t n : {19u, 99u, 500u}) {
    const auto l = static_cast<uint64_t>(0.05 * (n + 1.0) + 1e-9);
    const double q = serve::ExplainedShare(0.05, n, 0.0005);
    EXPECT_LE(1 - tail(l, n, q), 0.0005) << n;
    EXPECT_GT(q, 0.05);
  }
  EXPECT_LT(serve::ExplainedShare(0.05, 100000, 0.0005), 0.055) << "many calibration models leave only the level";
  EXPECT_EQ(serve::ExplainedShare(0.05, 10, 0.0005), 0) << "no p-value can be that small";
}

}  // namespace
}  // namespace driftseal::testing
