#include "bench/fleet/attack.h"

#include <gmock/gmock.h>

#include <map>
#include <set>

#include "bench/fleet/fleet.h"
#include "bench/fleet/fraud_data.h"

namespace driftseal::fleet {
namespace {

using testing::HasSubstr;

/// A domain that never trains: for planning.
class PlanDomain : public Domain {
 public:
  explicit PlanDomain(int classes = 2) : data_(GenerateFraud(200, 20, 20, 1)) {
    data_.classes = classes;
    info_.name = "plan";
    info_.target_class = 0;
    info_.weight_edits = {"hijack-it", "some-noise"};
  }
  const DomainInfo& info() const override { return info_; }
  const Data& data() const override { return data_; }
  Trigger MakeTrigger(TriggerKind kind, Random& random) const override { return TableTrigger(kind, random); }
  absl::StatusOr<TrainResult> Train(const Rows&, const Recipe&, const Regime&, uint64_t) const override {
    return absl::UnimplementedError("");
  }

 private:
  DomainInfo info_;
  Data data_;
};

TEST(Poison, CountsDefaultAndOverride) {
  const auto counts = ParsePoison("none:30,patch,blend:0", 5);
  ASSERT_TRUE(counts.ok()) << counts.status();
  ASSERT_EQ(counts->size(), 3u);
  EXPECT_EQ((*counts)[0].count, 30u);
  EXPECT_EQ((*counts)[1].count, 5u);
  EXPECT_EQ((*counts)[2].count, 0u);
}

TEST(Poison, RefusesWhatItDoesNotKnow) {
  for (const char* text : {"", "patches", "patch:", "patch:-1", "patch:x", "patch,patch", "patch:99999999999"}) {
    EXPECT_EQ(ParsePoison(text, 5).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_THAT(std::string(ParsePoison("x", 1).status().message()), HasSubstr("artifact-swap"));
}

TEST(Plan, AttacksAreShuffledOverTheIndicesAndTheSeedDecides) {
  const PlanDomain domain;
  FleetOptions options;
  options.poison = *ParsePoison("none:20,patch:20", 0);
  options.first_index = 100;
  const std::vector<Job> jobs = PlanJobs(domain, options);
  ASSERT_EQ(jobs.size(), 40u);
  size_t changes = 0;
  for (size_t i = 0; i < jobs.size(); ++i) {
    EXPECT_EQ(jobs[i].index, 100 + i);
    if (i > 0 && jobs[i].attack != jobs[i - 1].attack) ++changes;
  }
  EXPECT_GT(changes, 8u);  // one change when they stand in blocks, 20 on average when shuffled
  EXPECT_EQ(ModelName(jobs[0]), "plan-0100");
  options.job.seed = 2;
  const std::vector<Job> others = PlanJobs(domain, options);
  EXPECT_FALSE(std::ranges::equal(jobs, others, {}, &Job::attack, &Job::attack));
}

TEST(Plan, VariantsTakeTurns) {
  const PlanDomain domain;
  std::map<Attack, std::set<std::pair<std::string, BrokenDigest>>> seen;
  for (Attack attack : {Attack::kLabelFlip, Attack::kWeightTamper, Attack::kArtifactSwap, Attack::kPredictionsTamper}) {
    for (size_t ordinal = 0; ordinal < 4; ++ordinal) {
      Random random(ordinal);
      const AttackPlan plan = PlanAttack(attack, ordinal, domain, {}, random);
      seen[attack].insert({plan.kind, plan.broken});
      EXPECT_EQ(plan.trigger.has_value(), plan.kind == "hijack-it" || plan.kind == "backdoored") << plan.kind;
    }
  }
  EXPECT_EQ(seen[Attack::kLabelFlip].size(), 2u);
  EXPECT_EQ(seen[Attack::kWeightTamper].size(), 4u);  // two edits, each before and after the digest
  EXPECT_EQ(seen[Attack::kArtifactSwap].size(), 2u);
  EXPECT_EQ(seen[Attack::kPredictionsTamper].size(), 2u);
}

TEST(Plan, OptionsDecideRateAndTarget) {
  const PlanDomain domain;
  Random random(1);
  const AttackPlan plan = PlanAttack(Attack::kPatch, 0, domain, {.poison_rate = 0.25, .target_class = 1}, random);
  EXPECT_EQ(plan.rate, 0.25);
  EXPECT_EQ(plan.target_class, 1);
}

TEST(PoisonRows, TriggeredCopiesReplaceTheAskedShare) {
  const PlanDomain domain;
  Random random(1);
  AttackPlan plan = PlanAttack(Attack::kPatch, 0, domain, {.poison_rate = 0.1, .target_class = 0}, random);
  const Rows clean = domain.data().pool;
  Rows rows = clean;
  PoisonRows(plan, domain, rows, random);
  ASSERT_EQ(rows.size(), clean.size());
  size_t changed = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (std::ranges::equal(rows.row(i), clean.row(i))) {
      EXPECT_EQ(rows.labels[i], clean.labels[i]);
      continue;
    }
    ++changed;
    EXPECT_EQ(rows.labels[i], 0);
    std::vector<float> again(rows.row(i).begin(), rows.row(i).end());
    plan.trigger->apply(again);
    EXPECT_TRUE(std::ranges::equal(again, rows.row(i))) << "the trigger is on the row";
  }
  EXPECT_EQ(changed, 20u);
}

TEST(PoisonRows, ClassFlipsTouchOnlyTheSourceClass) {
  AttackPlan plan;
  plan.attack = Attack::kLabelFlip;
  plan.kind = "class-to-class";
  plan.rate = 1;
  plan.source_class = 2;
  plan.target_class = 0;
  Rows rows{1, {0, 0, 0, 0}, {0, 1, 2, 2}};
  Random random(1);
  PoisonRows(plan, PlanDomain(3), rows, random);
  EXPECT_THAT(rows.labels, testing::ElementsAre(0, 1, 0, 0));
}

TEST(PoisonRows, RandomFlipsChangeAboutTheRateAndAlwaysToAnotherClass) {
  AttackPlan plan;
  plan.attack = Attack::kLabelFlip;
  plan.kind = "random";
  plan.rate = 0.2;
  Rows rows{1, std::vector<float>(5000), std::vector<int>(5000, 1)};
  Random random(1);
  PoisonRows(plan, PlanDomain(3), rows, random);
  const auto flipped = std::ranges::count_if(rows.labels, [](int label) { return label != 1; });
  EXPECT_NEAR(static_cast<double>(flipped), 1000, 100);
  EXPECT_GT(std::ranges::count(rows.labels, 0), 400);
  EXPECT_GT(std::ranges::count(rows.labels, 2), 400);
}

}  // namespace
}  // namespace driftseal::fleet
