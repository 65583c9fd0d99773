#include "engine/detector/detector.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/detector/format.h"
#include "engine/detector/score.h"
#include "engine/detector/state.h"

namespace driftseal::detector {
namespace {

template <class Entry>
const Entry* Find(const std::vector<Entry>& entries, const std::string& key) {
  const auto found = std::lower_bound(entries.begin(), entries.end(), key,
                                      [](const Entry& entry, const std::string& k) { return entry.key < k; });
  return found != entries.end() && found->key == key ? &*found : nullptr;
}

absl::Status CheckRow(const SchemaId& schema, std::span<const double> row) {
  if (row.size() != schema.features.size()) {
    return absl::InvalidArgumentError(absl::StrCat("a row of ", row.size(), " columns; schema ", schema.name,
                                                   " version ", schema.version, " has ", schema.features.size()));
  }
  for (size_t c = 0; c < row.size(); ++c) {
    if (std::isinf(row[c])) {
      return absl::InvalidArgumentError(absl::StrCat("column ", schema.features[c], " is infinite"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string_view ViewName(View view) { return format::kViews[static_cast<size_t>(view)]; }

const FamilyDetector* DetectorState::FindFamily(const std::string& key, View view) const {
  const FamilyDetector* found = Find(families, key);
  for (; found != nullptr && found != families.data() + families.size() && found->key == key; ++found) {
    if (found->view == view) return found;
  }
  return nullptr;
}
const SmallFamily* DetectorState::FindSmall(const std::string& key) const { return Find(small, key); }

absl::StatusOr<Choice> Choose(const DetectorState& state, const std::string& family, View view) {
  if (view != View::kFiles) {
    if (const FamilyDetector* own = state.FindFamily(family, view)) return Choice{own, Basis::kFamily};
  }
  if (const FamilyDetector* own = state.FindFamily(family)) return Choice{own, Basis::kFamily};
  if (!state.global) {
    return absl::NotFoundError(absl::StrCat("detector ", state.name, "@", state.version, " has none for family ",
                                            family, " and no global one"));
  }
  return Choice{&*state.global, state.FindSmall(family) != nullptr ? Basis::kGlobal : Basis::kUnseenFamily};
}

struct Detector::State : DetectorState {};

const DetectorState& StateOf(const Detector& detector) { return *detector.state_; }

Detector::Detector(std::unique_ptr<State> state) : state_(std::move(state)) {}
Detector::Detector(Detector&&) noexcept = default;
Detector& Detector::operator=(Detector&&) noexcept = default;
Detector::~Detector() = default;

absl::StatusOr<Detector> Detector::Fit(const SchemaId& schema, std::vector<Sample> samples, const FitOptions& options) {
  absl::StatusOr<DetectorState> state = FitState(schema, std::move(samples), options);
  if (!state.ok()) return state.status();
  return Detector(std::make_unique<State>(State{*std::move(state)}));
}

absl::StatusOr<Detector> Detector::Load(const std::string& directory) {
  absl::StatusOr<DetectorState> state = LoadState(directory);
  if (!state.ok()) return state.status();
  return Detector(std::make_unique<State>(State{*std::move(state)}));
}

absl::Status Detector::Save(const std::string& directory) const { return SaveState(*state_, directory); }

const std::string& Detector::name() const { return state_->name; }
int Detector::version() const { return state_->version; }
const SchemaId& Detector::schema() const { return state_->schema; }

std::vector<Detector::FamilySummary> Detector::families() const {
  std::vector<FamilySummary> summaries;
  const auto add = [&](const FamilyDetector& detector) {
    summaries.push_back({detector.key, detector.view, detector.fitted_on, detector.calibration.size(),
                         detector.scaler.columns.size(), true});
  };
  for (const FamilyDetector& family : state_->families) add(family);
  const size_t global_columns = state_->global ? state_->global->scaler.columns.size() : 0;
  for (const SmallFamily& small : state_->small)
    summaries.push_back({small.key, View::kFiles, small.models, 0, global_columns, false});
  if (state_->global) add(*state_->global);
  return summaries;
}

absl::Status Detector::CheckSchema(const SchemaId& rows) const {
  const SchemaId& own = state_->schema;
  if (rows.name == own.name && rows.version == own.version && rows.digest == own.digest &&
      rows.features == own.features) {
    return absl::OkStatus();
  }
  const auto describe = [](const SchemaId& schema) {
    return absl::StrCat(schema.name, " version ", schema.version, " (", schema.features.size(), " columns, digest ",
                        schema.digest.substr(0, 12), ")");
  };
  return absl::FailedPreconditionError(absl::StrCat("detector ", name(), "@", version(), " reads rows of schema ",
                                                    describe(own), "; these are of ", describe(rows)));
}

absl::Status Detector::Use(std::shared_ptr<const Backend> backend, Bulk bulk) {
  std::vector<FamilyDetector*> detectors;
  for (FamilyDetector& family : state_->families) detectors.push_back(&family);
  if (state_->global) detectors.push_back(&*state_->global);
  std::vector<std::unique_ptr<const Prepared>> prepared;
  for (const FamilyDetector* detector : detectors) {
    auto one = backend->Prepare(detector->members.View(), detector->scaler.columns.size());
    if (!one.ok()) {
      return absl::Status(one.status().code(), absl::StrCat("detector ", name(), "@", version(), ", family ",
                                                            detector->key, ": ", one.status().message()));
    }
    prepared.push_back(*std::move(one));
  }
  for (size_t i = 0; i < detectors.size(); ++i) detectors[i]->prepared = std::move(prepared[i]);
  state_->backend = std::move(backend);
  state_->backend_for_models = bulk == Bulk::kAndModels;
  return absl::OkStatus();
}

const std::string& Detector::origin() const { return state_->origin; }
const std::vector<CanarySetId>& Detector::canary_sets() const { return state_->canary_sets; }
bool Detector::ReadsBehaviour(const std::string& family) const {
  return state_->FindFamily(family, View::kBehaviour) != nullptr;
}

absl::StatusOr<Score> Detector::ScoreRow(std::span<const double> row, const std::string& family) const {
  const Row one{row, family};
  absl::StatusOr<std::vector<Score>> scores = ScoreRows({&one, 1});
  if (!scores.ok()) return scores.status();
  return std::move(scores->front());
}

absl::StatusOr<std::vector<Score>> Detector::ScoreRows(std::span<const Row> rows) const {
  std::vector<Choice> choices;
  std::vector<ScaledRow> scaled;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto failed = [&](const absl::Status& status) {
      if (rows.size() == 1) return status;
      return absl::Status(status.code(), absl::StrCat("row ", i + 1, ": ", status.message()));
    };
    if (absl::Status status = CheckRow(state_->schema, rows[i].values); !status.ok()) return failed(status);
    const View view = ViewFor(*state_, rows[i].family, rows[i].values);
    const absl::StatusOr<Choice> choice = Choose(*state_, rows[i].family, view);
    if (!choice.ok()) return failed(choice.status());
    choices.push_back(*choice);
    scaled.push_back(Scale(choice->detector->scaler, rows[i].values));
  }
  std::vector<const FamilyDetector*> detectors;
  for (const Choice& choice : choices) detectors.push_back(choice.detector);
  const absl::StatusOr<std::vector<RawScores>> raw = ScoreAll(*state_, detectors, scaled);
  if (!raw.ok()) return raw.status();
  std::vector<Score> scores;
  for (size_t i = 0; i < rows.size(); ++i) {
    scores.push_back(
        Explain(*state_, *choices[i].detector, choices[i].basis, rows[i].values, rows[i].family, scaled[i], (*raw)[i]));
  }
  return scores;
}

absl::StatusOr<std::vector<MemberScore>> Detector::ScoreMembers(std::span<const double> row,
                                                                const std::string& family) const {
  if (absl::Status status = CheckRow(state_->schema, row); !status.ok()) return status;
  const absl::StatusOr<Choice> choice = Choose(*state_, family, ViewFor(*state_, family, row));
  if (!choice.ok()) return choice.status();
  const FamilyDetector* detector = choice->detector;
  const ScaledRow scaled = Scale(detector->scaler, row);
  const absl::StatusOr<std::vector<RawScores>> raw = ScoreAll(*state_, {&detector, 1}, {&scaled, 1});
  if (!raw.ok()) return raw.status();
  return MemberScores(*detector, raw->front(), AspectsOf(*detector, row));
}

Guarantee Detector::GuaranteeFor(const std::string& family, double alpha, double delta, View view) const {
  const absl::StatusOr<Choice> choice = Choose(*state_, family, view);
  const bool calibrated = choice.ok() && choice->basis != Basis::kUnseenFamily;
  return OrderStatisticGuarantee(
      calibrated ? std::span<const double>(choice->detector->calibration) : std::span<const double>(), alpha, delta);
}

}  // namespace driftseal::detector
