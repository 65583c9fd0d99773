#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <span>

#include "absl/strings/str_cat.h"
#include "engine/detector/autoencoder.h"
#include "engine/detector/members.h"
#include "engine/detector/plan.h"
#include "engine/detector/score.h"
#include "engine/detector/state.h"
#include "kernels/parallel.h"
#include "kernels/random.h"

namespace driftseal::detector {
namespace {

using Networks = std::vector<kernels::autoencoder::Network>;

constexpr size_t kLeastFamilyMinimum = 8;  ///< Half of it fits, in folds.

bool Wants(const FitOptions& options, Aspect aspect) {
  return std::find(options.members.begin(), options.members.end(), kAspectNames[aspect]) != options.members.end();
}

absl::StatusOr<MemberChoice> CheckOptions(const FitOptions& options, size_t columns) {
  if (!(options.calibration_share >= 0 && options.calibration_share <= 0.9)) {
    return absl::InvalidArgumentError(
        absl::StrCat("calibration_share is ", options.calibration_share, ", expected 0 to 0.9"));
  }
  if (options.family_minimum < kLeastFamilyMinimum) {
    return absl::InvalidArgumentError(
        absl::StrCat("family_minimum is ", options.family_minimum, ", expected at least ", kLeastFamilyMinimum));
  }
  if (!options.uses.empty() && options.uses.size() != columns) {
    return absl::InvalidArgumentError(
        absl::StrCat("uses has ", options.uses.size(), " entries; the schema has ", columns, " columns"));
  }
  if (options.name.empty()) return absl::InvalidArgumentError("a detector's name is empty");
  MemberChoice choice;
  for (const std::string& member : options.members) {
    if (std::find(kAspectNames.begin(), kAspectNames.end(), member) != kAspectNames.end()) continue;
    const auto found = std::find(kMemberNames.begin(), kMemberNames.end(), member);
    if (found == kMemberNames.end()) return absl::InvalidArgumentError(absl::StrCat("there is no member ", member));
    choice.set(static_cast<size_t>(found - kMemberNames.begin()));
  }
  if (choice.none()) {
    return absl::InvalidArgumentError("members has none that reads all columns: there is nothing to fit");
  }
  return choice;
}

absl::Status CheckSample(const SchemaId& schema, const Sample& sample) {
  if (sample.id.empty()) return absl::InvalidArgumentError("a model has an empty id");
  if (sample.family == kGlobalKey) {
    return absl::InvalidArgumentError(absl::StrCat(sample.id, ": the family key ", kGlobalKey, " is reserved"));
  }
  if (sample.values.size() != schema.features.size()) {
    return absl::InvalidArgumentError(absl::StrCat(sample.id, ": ", sample.values.size(), " columns, schema ",
                                                   schema.name, " version ", schema.version, " has ",
                                                   schema.features.size()));
  }
  for (size_t c = 0; c < sample.values.size(); ++c) {
    if (std::isinf(sample.values[c])) {
      return absl::InvalidArgumentError(absl::StrCat(sample.id, ": column ", schema.features[c], " is infinite"));
    }
  }
  return absl::OkStatus();
}

using Families = std::map<std::string, std::vector<size_t>>;

/// "3 in a, 2 in b", at most five of them.
std::string Counts(const Families& families) {
  std::string text;
  size_t shown = 0;
  for (const auto& [key, members] : families) {
    if (shown++ == 5) return absl::StrCat(text, " and more");
    absl::StrAppend(&text, text.empty() ? "" : ", ", members.size(), " in ", key);
  }
  return text;
}

/// `samples` are in the order of their ids.
absl::Status CheckSamples(const SchemaId& schema, const std::vector<Sample>& samples, const Families& families,
                          const FitOptions& options) {
  for (size_t i = 0; i < samples.size(); ++i) {
    if (absl::Status status = CheckSample(schema, samples[i]); !status.ok()) return status;
    if (i > 0 && samples[i].id == samples[i - 1].id) {
      return absl::InvalidArgumentError(absl::StrCat("two models have the id ", samples[i].id));
    }
  }
  if (samples.size() < options.family_minimum) {
    const std::string found = families.empty() ? "" : absl::StrCat(" (", Counts(families), ")");
    return absl::FailedPreconditionError(absl::StrCat("fitting needs at least ", options.family_minimum,
                                                      " models, and there are ", samples.size(), found));
  }
  return absl::OkStatus();
}

std::vector<Plan> MakePlans(const std::vector<Sample>& samples, const Families& families, const FitOptions& options,
                            std::vector<SmallFamily>& small) {
  std::vector<Plan> plans;
  for (const auto& [key, members] : families) {
    if (members.size() < options.family_minimum) {
      small.push_back({key, members.size(),
                       absl::StrCat("the family had ", members.size(), " models, and ", options.family_minimum,
                                    " are needed for a detector of its own")});
      continue;
    }
    Plan plan = PlanFamily(key, samples, members, options);
    if (plan.problem.empty()) {
      plans.push_back(std::move(plan));
    } else {
      small.push_back({key, members.size(), "the family has no detector of its own: " + plan.problem});
    }
    const std::vector<size_t> measured = WithBehaviour(samples, members, options);
    if (measured.size() < options.family_minimum) continue;
    for (const View view : {View::kBehaviour, View::kStill}) {
      plan = PlanFamily(key, samples, measured, options, view);
      if (plan.problem.empty()) plans.push_back(std::move(plan));
    }
  }
  plans.push_back(PlanGlobal(samples, options));
  return plans;
}

/// One plan while it is being fitted: what the folds and the final fit write, each to a place of its own.
struct Work {
  const Plan* plan;
  Networks networks;                   ///< One a fold and the final one; empty without the autoencoder.
  std::vector<RawScores> out_of_fold;  ///< One a fitting row.
  MemberSet members;                   ///< Fitted on all fitting rows.
};

/// Fits without the rows of `fold` and scores these; kFolds leaves none out and keeps the members.
void FitFold(Work& work, size_t fold, const MemberChoice& choice, uint64_t seed) {
  const Matrix& rows = work.plan->rows;
  Matrix kept;
  for (size_t r = 0; r < rows.rows; ++r) {
    if (fold == kFolds || r % kFolds != fold) kept.Append({rows.View().row(r), rows.cols});
  }
  MemberSet members = FitMembers(kept.View(), choice, kernels::Random(seed, fold).Next());
  if (!work.networks.empty()) members.autoencoder = std::move(work.networks[fold]);
  for (size_t r = fold; fold < kFolds && r < rows.rows; r += kFolds) {
    work.out_of_fold[r] = ScoreScaled(members, {rows.View().row(r), rows.cols});
  }
  if (fold == kFolds) work.members = std::move(members);
}

FamilyDetector Finish(Work work, const std::vector<Sample>& samples, const FitOptions& options) {
  FamilyDetector detector;
  detector.key = work.plan->key;
  detector.view = work.plan->view;
  detector.ranges = work.plan->ranges;
  detector.fitted_on = work.plan->rows.rows;
  detector.scaler = work.plan->scaler;
  detector.members = std::move(work.members);
  for (size_t m = 0; m < detector.normalisers.size(); ++m) {
    if (!detector.members.Has(m)) continue;
    std::vector<double> scores;
    for (const RawScores& raw : work.out_of_fold) scores.push_back(raw[m]);
    detector.normalisers[m] = FitNormaliser(std::move(scores));
  }
  if (detector.view == View::kBehaviour) {
    if (Wants(options, kPairs)) detector.pairs = FitPairs(samples, work.plan->fit, options.uses);
    if (Wants(options, kBalance)) detector.balance = FitBalance(*work.plan, options.uses);
  }
  for (size_t sample : work.plan->calibrate) {
    const std::span<const double> values = samples[sample].values;
    const ScaledRow row = Scale(detector.scaler, values);
    const double combined =
        Combine(detector, ScoreScaled(detector.members, row.values), AspectsOf(detector, values), row.departed.size());
    if (std::isfinite(combined)) detector.calibration.push_back(combined);
  }
  std::sort(detector.calibration.begin(), detector.calibration.end());
  return detector;
}

constexpr size_t kFits = kFolds + 1;  ///< Of each plan.

absl::Status Stopped() { return absl::CancelledError("the fit was stopped"); }

absl::StatusOr<std::vector<FamilyDetector>> FitPlans(const std::vector<Plan>& plans, std::vector<Networks> networks,
                                                     const std::vector<Sample>& samples, const MemberChoice& choice,
                                                     const FitOptions& options) {
  std::vector<Work> works;
  for (size_t p = 0; p < plans.size(); ++p) {
    works.push_back({&plans[p],
                     networks.empty() ? Networks() : std::move(networks[p]),
                     std::vector<RawScores>(plans[p].rows.rows),
                     {}});
  }
  kernels::ParallelFor(works.size() * kFits, options.threads, [&](size_t task, size_t) {
    if (options.stop.stop_requested()) return;
    FitFold(works[task / kFits], task % kFits, choice, options.seed);
    if (options.progress != nullptr) ++options.progress->done;
  });
  if (options.stop.stop_requested()) return Stopped();
  std::vector<FamilyDetector> detectors(plans.size());
  kernels::ParallelFor(works.size(), options.threads,
                       [&](size_t p, size_t) { detectors[p] = Finish(std::move(works[p]), samples, options); });
  return detectors;
}

}  // namespace

absl::StatusOr<DetectorState> FitState(const SchemaId& schema, std::vector<Sample> samples, const FitOptions& options) {
  const absl::StatusOr<MemberChoice> choice = CheckOptions(options, schema.features.size());
  if (!choice.ok()) return choice.status();
  if (schema.features.empty())
    return absl::InvalidArgumentError(absl::StrCat("schema ", schema.name, " has no columns"));

  // From here on the order in which the samples came is gone.
  std::sort(samples.begin(), samples.end(), [](const Sample& a, const Sample& b) { return a.id < b.id; });
  Families families;
  for (size_t i = 0; i < samples.size(); ++i) families[samples[i].family].push_back(i);
  if (absl::Status status = CheckSamples(schema, samples, families, options); !status.ok()) return status;

  DetectorState state;
  state.name = options.name;
  state.version = options.version;
  state.schema = schema;
  state.origin = "driftseal";
  state.seed = options.seed;
  state.canary_sets = options.canary_sets;
  const std::vector<Plan> plans = MakePlans(samples, families, options, state.small);
  if (const Plan& global = plans.back(); !global.problem.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("nothing can be fitted on these ", samples.size(), " models: ", global.problem));
  }
  if (options.stop.stop_requested()) return Stopped();
  const bool trains = (*choice)[kernels::ensemble::kAutoencoder];
  if (options.progress != nullptr) options.progress->total = plans.size() * kFits * (trains ? 2 : 1);
  std::vector<Networks> networks;
  if (trains) {
    absl::StatusOr<std::vector<Networks>> trained = TrainAutoencoders(plans, options);
    if (options.stop.stop_requested()) return Stopped();
    if (!trained.ok()) return trained.status();
    networks = *std::move(trained);
  }
  auto detectors = FitPlans(plans, std::move(networks), samples, *choice, options);
  if (!detectors.ok()) return detectors.status();
  state.global = std::move(detectors->back());
  detectors->pop_back();
  state.families = *std::move(detectors);
  return state;
}

}  // namespace driftseal::detector
