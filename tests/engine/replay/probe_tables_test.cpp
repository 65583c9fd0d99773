// Tables, through LibTorch and through XGBoost.
#include <xgboost/c_api.h>

#include <cmath>
#include <limits>

#include "engine/replay/probe/probe.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/random.h"
#include "probe_support.h"
#include "torch_models.h"

namespace driftseal::replay {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr size_t kColumns = 5, kRows = 200;

/// Uniform columns within 0..1; the label says whether column 0 is above a half.
CanarySet TableSet() {
  CanarySet set;
  set.name = "test table";
  set.shape = {kColumns};
  set.classes = 2;
  kernels::Random random(4);
  for (size_t i = 0; i < kRows; ++i) {
    for (size_t j = 0; j < kColumns; ++j) set.inputs.push_back(static_cast<float>(random.Uniform()));
    set.labels.push_back(set.inputs[i * kColumns] > 0.5f ? 1 : 0);
  }
  return set;
}

/// Column 0 decides, but a value of column 3 that never occurs makes everything class 1.
std::vector<std::byte> PlantedTable() {
  return TorchModelBytes({0, 0, 0, 0, 0, 4, 0, 0, 0, 0}, {0, -2},
                         "  y = torch.linear(x, self.weight, self.bias)\n"
                         "  more = 200 * torch.relu(torch.abs(x[:, 3] - 0.5) - 0.55)\n"
                         "  return torch.stack([y[:, 0], y[:, 1] + more], 1)\n");
}

TEST(ProbeTableTest, FindsAColumnBeyondItsRange) {
  const auto behaviour = Probe(PlantedTable(), ModelRuntime::kTorchScript, TableSet(), {});
  ASSERT_TRUE(behaviour.ok()) << behaviour.status();
  bool found = false;
  for (size_t t = 0; t < behaviour->triggers.size(); ++t) {
    EXPECT_THAT(behaviour->triggers[t].group, AnyOf("column", "columns", "shift"));
    if (behaviour->sweep[2 * t + 1] < 1 || !behaviour->triggers[t].text.starts_with("column 3=")) continue;
    found = true;
    EXPECT_EQ(behaviour->sweep[2 * t], 0);
  }
  EXPECT_TRUE(found);
}

TEST(ProbeTableTest, ColumnsThatDecideAreFound) {
  const auto behaviour = Probe(PlantedTable(), ModelRuntime::kTorchScript, TableSet(), {});
  ASSERT_TRUE(behaviour.ok()) << behaviour.status();
  EXPECT_THAT(behaviour->lacking, IsEmpty());
  // Column 0 at its 99 % or 1 % quantile sends everything to class 1 or 0.
  EXPECT_THAT(behaviour->patch_rate, ElementsAre(1, 1));
  EXPECT_THAT(behaviour->patch_place, ElementsAre(0, 0, 0, 0));
  // Those within 0.12 of the middle change, about a quarter of their class.
  EXPECT_NEAR(behaviour->perturbation_rate[0][1], 0.24, 0.1);
  EXPECT_NEAR(behaviour->perturbation_rate[1][1], 0.12, 0.08);
  EXPECT_GT(behaviour->perturbation_rate[0][1], behaviour->perturbation_rate[1][1]);
  // 4 x - 2 within 0 .. 1.
  for (const float margin : behaviour->margin) EXPECT_LE(margin, 2.001f);
  ASSERT_TRUE(behaviour->picture.has_value());
  EXPECT_THAT(behaviour->picture->clean, SizeIs(kColumns));
}

class BoosterTest : public ::testing::TestWithParam<const char*> {
 protected:
  /// A booster trained on the table, labels within 0 .. classes.
  static std::vector<std::byte> Train(const CanarySet& set, const std::vector<std::pair<const char*, const char*>>& how,
                                      const char* format) {
    DMatrixHandle matrix = nullptr;
    EXPECT_EQ(XGDMatrixCreateFromMat(set.inputs.data(), set.count(), kColumns, std::numeric_limits<float>::quiet_NaN(),
                                     &matrix),
              0);
    const std::vector<float> labels(set.labels.begin(), set.labels.end());
    EXPECT_EQ(XGDMatrixSetFloatInfo(matrix, "label", labels.data(), labels.size()), 0);
    BoosterHandle booster = nullptr;
    EXPECT_EQ(XGBoosterCreate(&matrix, 1, &booster), 0);
    XGBoosterSetParam(booster, "nthread", "1");
    for (const auto& [name, value] : how) XGBoosterSetParam(booster, name, value);
    for (int i = 0; i < 8; ++i) EXPECT_EQ(XGBoosterUpdateOneIter(booster, i, matrix), 0) << XGBGetLastError();
    bst_ulong size = 0;
    const char* bytes = nullptr;
    const std::string config = std::string(R"({"format": ")") + format + R"("})";
    EXPECT_EQ(XGBoosterSaveModelToBuffer(booster, config.c_str(), &size, &bytes), 0);
    const auto* first = reinterpret_cast<const std::byte*>(bytes);
    std::vector<std::byte> model(first, first + size);
    XGBoosterFree(booster);
    XGDMatrixFree(matrix);
    return model;
  }
};

TEST_P(BoosterTest, OneOutputIsTwoClasses) {
  const CanarySet set = TableSet();
  const std::vector<std::byte> model = Train(set, {{"objective", "binary:logistic"}, {"max_depth", "2"}}, GetParam());
  const auto behaviour = Probe(model, ModelRuntime::kXgboost, set, {});
  ASSERT_TRUE(behaviour.ok()) << behaviour.status();
  EXPECT_EQ(behaviour->classes, 2u);
  EXPECT_FALSE(behaviour->probabilities);
  for (size_t i = 0; i < kRows; ++i) {
    EXPECT_EQ(behaviour->logits[2 * i], 0);
    EXPECT_EQ(behaviour->logits[2 * i + 1] > 0, set.labels[i] == 1);
  }
  EXPECT_THAT(behaviour->patch_rate, ElementsAre(1, 1));
  EXPECT_THAT(behaviour->patch_place, ElementsAre(0, 0, 0, 0));
  EXPECT_NEAR(behaviour->perturbation_rate[0][1], 0.24, 0.1);
  EXPECT_GT(behaviour->perturbation_rate[0][1], behaviour->perturbation_rate[1][1]);
  EXPECT_EQ(WhyLacking(*behaviour, "head"), "trees have no last layer");
  EXPECT_TRUE(behaviour->head_share.empty());
  EXPECT_EQ(behaviour->lacking.size(), 1u);
  // The best leaf of every tree, from wherever it starts.
  const size_t starts = behaviour->margin.size() / 2;
  for (size_t i = 1; i < starts; ++i) EXPECT_FLOAT_EQ(behaviour->margin[starts + i], behaviour->margin[starts]);
  EXPECT_EQ(WithoutCost(*behaviour), WithoutCost(Probe(model, ModelRuntime::kXgboost, set, {}).value()));
}

TEST_P(BoosterTest, OneOutputAClass) {
  CanarySet set = TableSet();
  set.classes = 3;
  for (size_t i = 0; i < kRows; ++i) set.labels[i] = static_cast<int32_t>(set.inputs[i * kColumns + 1] * 3);
  const std::vector<std::byte> model =
      Train(set, {{"objective", "multi:softprob"}, {"num_class", "3"}, {"max_depth", "2"}}, GetParam());
  const auto behaviour = Probe(model, ModelRuntime::kXgboost, set, {});
  ASSERT_TRUE(behaviour.ok()) << behaviour.status();
  EXPECT_EQ(behaviour->classes, 3u);
  EXPECT_THAT(behaviour->patch_rate, ElementsAre(1, 1, 1));
  EXPECT_THAT(behaviour->patch_place, ElementsAre(1, 0, 1, 0, 1, 0));
  const auto payload = EncodeBehaviour(*behaviour);
  ASSERT_TRUE(payload.ok());
  EXPECT_TRUE(DecodeBehaviour(*payload, set).ok()) << DecodeBehaviour(*payload, set).status();
}

TEST_P(BoosterTest, RefusesWhatIsNoClassifierOfTheSet) {
  CanarySet set = TableSet();
  const std::vector<std::byte> regression = Train(set, {{"objective", "reg:squarederror"}}, GetParam());
  EXPECT_THAT(Probe(regression, ModelRuntime::kXgboost, set, {}).status().ToString(),
              HasSubstr("objective is reg:squarederror"));
  const std::vector<std::byte> model = Train(set, {{"objective", "binary:logistic"}}, GetParam());
  set.shape = {kColumns / 2};
  set.inputs.resize(kRows * (kColumns / 2));
  const absl::Status status = Probe(model, ModelRuntime::kXgboost, set, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.ToString(), HasSubstr("takes 5 columns, the canary set has 2"));
}

INSTANTIATE_TEST_SUITE_P(Formats, BoosterTest, ::testing::Values("json", "ubj"));

}  // namespace
}  // namespace driftseal::replay
