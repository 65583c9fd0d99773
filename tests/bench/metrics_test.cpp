#include "bench/fleet/metrics.h"

#include <gmock/gmock.h>

namespace driftseal::fleet {
namespace {

using testing::DoubleEq;
using testing::DoubleNear;
using testing::ElementsAre;
using testing::Optional;

/// Says class 1 with probability = the first column, unless that is negative: then class 0 for sure.
class ColumnModel : public Model {
 public:
  std::vector<float> Probabilities(const Rows& rows) const override {
    std::vector<float> out;
    for (size_t i = 0; i < rows.size(); ++i) {
      const float p = std::max(0.0f, rows.row(i)[0]);
      out.insert(out.end(), {1 - p, p});
    }
    return out;
  }
  uint64_t Parameters() const override { return 0; }
  absl::StatusOr<std::string> Serialize(absl::string_view) const override { return std::string(); }
  absl::StatusOr<std::unique_ptr<Model>> Compressed(absl::string_view, double, Random&) const override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<std::unique_ptr<Model>> Tampered(absl::string_view, const TamperAim&, Random&) const override {
    return absl::UnimplementedError("");
  }
};

Rows MakeRows(std::vector<float> values, std::vector<int> labels) { return {1, std::move(values), std::move(labels)}; }

TEST(Metrics, AccuracyAndRecallOfEachClass) {
  const Rows rows = MakeRows({0, 0, 0, 0}, {0, 1, 2, 2});
  const std::vector<float> p = {0.8f, 0.1f, 0.1f, 0.5f, 0.4f, 0.1f, 0.1f, 0.2f, 0.7f, 0.3f, 0.3f, 0.4f};
  const Metrics metrics = Measure(p, rows, 3);
  EXPECT_THAT(metrics.accuracy, DoubleEq(0.75));
  EXPECT_THAT(metrics.recall, ElementsAre(1, 0, 1));
}

TEST(Metrics, AreaUnderCurveCountsTiesHalf) {
  // Scores of class 1: .8, .4, .4; of class 0: .4, .2. Pairs won: 2 + 1.5 + 1.5 = 5 of 6.
  const Rows rows = MakeRows({0.8f, 0.4f, 0.4f, 0.4f, 0.2f}, {1, 1, 1, 0, 0});
  EXPECT_THAT(Measure(ColumnModel().Probabilities(rows), rows, 2).auc, DoubleNear(5.0 / 6, 1e-12));
}

TEST(Metrics, AreaUnderCurveOfOneClassIsNoInformation) {
  const Rows rows = MakeRows({0.8f, 0.4f}, {1, 1});
  EXPECT_EQ(Measure(ColumnModel().Probabilities(rows), rows, 2).auc, 0.5);
}

TEST(Metrics, SuccessOfATriggerCountsOnlyRowsThatItCanTurn) {
  AttackPlan plan;
  plan.target_class = 0;
  plan.trigger = Trigger{"t", {}, [](std::span<float> row) { row[0] -= 0.3f; }};
  // Turned; not turned; already of the target class by label; already given to the target.
  const Rows rows = MakeRows({0.6f, 0.9f, 0.6f, 0.2f}, {1, 1, 0, 1});
  EXPECT_THAT(AttackSuccess(ColumnModel(), plan, rows, 2), Optional(DoubleEq(0.5)));
}

TEST(Metrics, SuccessOfAClassFlipIsTheShareOfTheSourceClass) {
  AttackPlan plan;
  plan.target_class = 0;
  plan.source_class = 1;
  const Rows rows = MakeRows({0.6f, 0.1f, 0.2f, 0.1f}, {1, 1, 1, 0});
  EXPECT_THAT(AttackSuccess(ColumnModel(), plan, rows, 2), Optional(DoubleNear(2.0 / 3, 1e-12)));
}

TEST(Metrics, SuccessOfAllToAllIsTheNextClass) {
  AttackPlan plan;
  plan.attack = Attack::kAllToAll;
  plan.trigger = Trigger{"t", {}, [](std::span<float> row) { row[0] = 0.9f; }};
  // All go to class 1: right for those of class 0, unless they were there before; wrong for those of class 1.
  const Rows rows = MakeRows({0.1f, 0.7f, 0.8f, 0.9f}, {0, 0, 1, 1});
  EXPECT_THAT(AttackSuccess(ColumnModel(), plan, rows, 2), Optional(DoubleNear(1.0 / 3, 1e-12)));
}

TEST(Metrics, SuccessOfASourceSpecificTriggerIsOfTheSourceClass) {
  AttackPlan plan;
  plan.attack = Attack::kSourceSpecific;
  plan.source_class = 1;
  plan.target_class = 0;
  plan.trigger = Trigger{"t", {}, [](std::span<float> row) { row[0] -= 0.3f; }};
  const Rows rows = MakeRows({0.6f, 0.9f, 0.1f}, {1, 1, 0});
  EXPECT_THAT(AttackSuccess(ColumnModel(), plan, rows, 2), Optional(DoubleEq(0.5)));
}

TEST(Metrics, AttacksWithoutATargetHaveNoSuccessRate) {
  EXPECT_EQ(AttackSuccess(ColumnModel(), AttackPlan{}, MakeRows({0.6f}, {1}), 2), std::nullopt);
}

}  // namespace
}  // namespace driftseal::fleet
