#include "engine/detector/batch.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/detector/score.h"
#include "engine/detector/state.h"

namespace driftseal::detector {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr size_t kMembers = kernels::ensemble::kMembers;

/// Rows of the plain loops in double, and rows that are explained, against rows of the float32 kernels: measured on
/// detectors of fingerprints.
constexpr size_t kDoubleCost = 32, kDriversCost = 8;

/// Grows only: what is there is overwritten, and zeroing it each time would cost more than filling it.
template <class T>
void MakeRoom(std::vector<T>& values, size_t size) {
  if (values.size() < size) values.resize(size);
}

bool AnyInfinite(const float* values, size_t n) {
  constexpr uint32_t kMagnitude = 0x7fffffff, kInfinity = 0x7f800000;
  uint32_t found = 0;
  for (size_t i = 0; i < n; ++i) found |= (std::bit_cast<uint32_t>(values[i]) & kMagnitude) == kInfinity;
  return found != 0;
}

/// Memory beyond this is given back after a call: a caller's one large batch is no reason to hold it for good.
constexpr size_t kKeptValues = size_t{4} << 20;

template <class T>
void GiveBack(std::vector<T>& values) {
  if (values.size() > kKeptValues) std::vector<T>().swap(values);
}

/// "" is the only family there is.
absl::StatusOr<Choice> ChooseForRows(const DetectorState& state, const std::string& family, View view) {
  const bool only = state.families.size() == 1 && state.small.empty() && !state.global;
  return Choose(state, family.empty() && only ? state.families.front().key : family, view);
}

/// Rows of one call are judged alike: by the narrowest view that any of them calls for.
View ViewForRows(const DetectorState& state, const std::string& family, kernels::RowsView<float> rows) {
  View view = rows.rows > 0 ? View::kBehaviour : View::kFiles;
  for (size_t r = 0; r < rows.rows && view != View::kFiles; ++r) {
    const View own = ViewFor(state, family, std::span(rows.row(r), rows.cols));
    if (own != View::kBehaviour) view = own;
  }
  return view;
}

/// As many as MembersOf names.
size_t CountMembers(const FamilyDetector& detector) {
  size_t members = 0;
  for (size_t m = 0; m < kMembers; ++m) members += detector.members.Has(m);
  for (size_t a = 0; a < kAspects; ++a) members += detector.HasAspect(a);
  return members;
}

}  // namespace

std::vector<std::string> MembersOf(const BatchItem& item) {
  std::vector<std::string> names;
  for (size_t m = 0; m < kMembers; ++m) {
    if (item.chosen->members.Has(m)) names.emplace_back(kMemberNames[m]);
  }
  for (size_t a = 0; a < kAspects; ++a) {
    if (item.chosen->HasAspect(a)) names.emplace_back(kAspectNames[a]);
  }
  return names;
}

absl::Status CheckRows(const Detector& detector, kernels::RowsView<float> rows) {
  const SchemaId& schema = detector.schema();
  if (rows.cols != schema.features.size()) {
    return absl::InvalidArgumentError(absl::StrCat("rows of ", rows.cols, " columns; schema ", schema.name, " version ",
                                                   schema.version, " has ", schema.features.size()));
  }
  if (!AnyInfinite(rows.data, rows.rows * rows.cols)) return absl::OkStatus();
  size_t at = 0;
  while (!AnyInfinite(rows.data + at, 1)) ++at;
  return absl::InvalidArgumentError(
      absl::StrCat("row ", at / rows.cols + 1, ": column ", schema.features[at % rows.cols], " is infinite"));
}

absl::Status Prepare(BatchItem& item) {
  const DetectorState& state = StateOf(*item.detector);
  const View view = ViewForRows(state, item.family, item.rows);
  const absl::StatusOr<Choice> choice = ChooseForRows(state, item.family, view);
  if (!choice.ok()) return choice.status();
  item.chosen = choice->detector;
  item.basis = choice->basis;
  const size_t members = CountMembers(*item.chosen);
  const size_t rows = item.rows.rows;
  const bool drivers = item.detail == Detail::kDrivers;
  item.scores.combined.resize(rows);
  item.scores.p_value.resize(rows);
  item.scores.members.resize(item.detail == Detail::kScores ? 0 : rows * members);
  item.scores.drivers.resize(drivers ? rows : 0);
  item.scores.remarks.resize(drivers ? rows : 0);
  return absl::OkStatus();
}

size_t RowCost(const BatchItem& item) {
  const Backend* backend = StateOf(*item.detector).backend.get();
  const bool fast = backend != nullptr && backend->reads_floats();
  return (fast ? 1 : kDoubleCost) + (item.detail == Detail::kDrivers ? kDriversCost : 0);
}

/// What one call works in, one run of parts after the other: those of detectors with the same backend.
struct BatchScorer::Space {
  struct Entry {
    const Backend* backend;
    BatchPart part;
    bool operator<(const Entry& other) const {
      if (backend != other.backend) return std::less<>()(backend, other.backend);
      return std::less<>()(part.item->chosen, other.part.item->chosen);
    }
  };
  std::vector<Entry> entries;  ///< Sorted, so that rows of one detector lie side by side.
  std::vector<RowMarks> marks;
  std::vector<float> floats;
  std::vector<FloatGroup> groups;
  std::array<std::vector<float>, kMembers> scores;
  std::vector<double> doubles;
  std::vector<RawScores> double_scores;

  absl::Status ScoreFloats(std::span<const Entry> run, size_t rows, bool spread);
  absl::Status ScoreDoubles(std::span<const Entry> run, size_t rows);
  template <class Out>
  void Fill(std::span<const Entry> run, Out* out);
  template <class RawOf>
  void Tell(std::span<const Entry> run, const RawOf& raw_of);
  template <class RawOf>
  void TellPart(const BatchPart& part, size_t row, const RawOf& raw_of);
};

/// Scales the rows of all parts, one after the other.
template <class Out>
void BatchScorer::Space::Fill(std::span<const Entry> run, Out* out) {
  RowMarks* mark = marks.data();
  groups.clear();
  const FamilyDetector* last = nullptr;
  for (const auto& [backend, part] : run) {
    const FamilyDetector* chosen = part.item->chosen;
    const size_t cols = chosen->scaler.columns.size();
    if (chosen != last) groups.push_back({chosen->prepared.get(), 0, cols});
    last = chosen;
    groups.back().rows += part.count;
    for (size_t r = part.first; r < part.first + part.count; ++r, out += cols) {
      *mark++ = ScaleInto(chosen->scaler, part.item->rows.row(r), out);
    }
  }
}

/// Rows row, row + 1, ... of the run are those of this part.
template <class RawOf>
void BatchScorer::Space::TellPart(const BatchPart& part, size_t row, const RawOf& raw_of) {
  BatchItem& item = *part.item;
  const FamilyDetector& detector = *item.chosen;
  const DetectorState& state = StateOf(*item.detector);
  std::array<bool, kMembers> has;
  for (size_t m = 0; m < kMembers; ++m) has[m] = detector.members.Has(m);
  const size_t members = CountMembers(detector);
  for (size_t r = part.first; r < part.first + part.count; ++r, ++row) {
    RawScores raw;
    for (size_t m = 0; m < kMembers; ++m) raw[m] = has[m] ? raw_of(m, row) : kNan;
    const RawAspects aspects = AspectsOf(detector, std::span(item.rows.row(r), item.rows.cols));
    const double combined = Combine(detector, raw, aspects, marks[row].departed);
    const bool calibrated =
        IsCalibrated(detector, item.basis, combined, MostlyMissing(detector.scaler, marks[row].imputed));
    item.scores.combined[r] = combined;
    item.scores.p_value[r] = calibrated ? ConformalP(detector.calibration, combined) : kNan;
    if (item.detail == Detail::kScores) continue;
    double* of_members = item.scores.members.data() + r * members;
    for (size_t m = 0; m < kMembers; ++m) {
      if (has[m]) *of_members++ = raw[m];
    }
    for (size_t a = 0; a < kAspects; ++a) {
      if (detector.HasAspect(a)) *of_members++ = aspects[a];
    }
    if (item.detail == Detail::kMembers) continue;
    const std::vector<double> values(item.rows.row(r), item.rows.row(r) + item.rows.cols);
    detector::Score score =
        Explain(state, detector, item.basis, values, item.family, Scale(detector.scaler, values), raw);
    item.scores.drivers[r] = std::move(score.drivers);
    item.scores.remarks[r] = std::move(score.remark);
  }
}

template <class RawOf>
void BatchScorer::Space::Tell(std::span<const Entry> run, const RawOf& raw_of) {
  size_t row = 0;
  for (const Entry& entry : run) {
    TellPart(entry.part, row, raw_of);
    row += entry.part.count;
  }
}

absl::Status BatchScorer::Space::ScoreFloats(std::span<const Entry> run, size_t rows, bool spread) {
  size_t values = 0;
  for (const auto& [backend, part] : run) values += part.count * part.item->chosen->scaler.columns.size();
  MakeRoom(floats, values);
  Fill(run, floats.data());
  FloatCall call{groups, floats.data(), spread};
  for (size_t m = 0; m < kMembers; ++m) {
    MakeRoom(scores[m], rows);
    call.scores[m] = scores[m].data();
  }
  if (absl::Status status = run.front().backend->ScoreFloats(call); !status.ok()) return status;
  Tell(run, [this](size_t member, size_t row) { return static_cast<double>(scores[member][row]); });
  return absl::OkStatus();
}

absl::Status BatchScorer::Space::ScoreDoubles(std::span<const Entry> run, size_t rows) {
  size_t values = 0;
  for (const auto& [backend, part] : run) values += part.count * part.item->chosen->scaler.columns.size();
  MakeRoom(doubles, values);
  MakeRoom(double_scores, rows);
  Fill(run, doubles.data());
  const double* next = doubles.data();
  RawScores* out = double_scores.data();
  if (const Backend* backend = run.front().backend) {
    std::vector<Task> tasks;
    for (const FloatGroup& group : groups) {
      tasks.push_back({group.detector, {next, group.rows, group.cols}, {out, group.rows}});
      next += group.rows * group.cols;
      out += group.rows;
    }
    if (absl::Status status = backend->Score(tasks); !status.ok()) return status;
  } else {
    for (const auto& [none, part] : run) {
      const size_t cols = part.item->chosen->scaler.columns.size();
      for (size_t r = 0; r < part.count; ++r, next += cols) {
        *out++ = ScoreScaled(part.item->chosen->members, {next, cols});
      }
    }
  }
  Tell(run, [this](size_t member, size_t row) { return double_scores[row][member]; });
  return absl::OkStatus();
}

BatchScorer::BatchScorer() : space_(std::make_unique<Space>()) {}
BatchScorer::~BatchScorer() = default;
BatchScorer::BatchScorer(BatchScorer&&) noexcept = default;

absl::Status BatchScorer::Score(std::span<const BatchPart> parts, bool spread) {
  Space& space = *space_;
  space.entries.clear();
  for (const BatchPart& part : parts) {
    if (part.count > 0) space.entries.push_back({StateOf(*part.item->detector).backend.get(), part});
  }
  auto& entries = space.entries;
  if (!std::is_sorted(entries.begin(), entries.end())) std::sort(entries.begin(), entries.end());
  absl::Status status;
  for (size_t first = 0, last; first < entries.size() && status.ok(); first = last) {
    const Backend* backend = entries[first].backend;
    size_t rows = 0;
    for (last = first; last < entries.size() && entries[last].backend == backend; ++last)
      rows += entries[last].part.count;
    const auto run = std::span<const Space::Entry>(entries).subspan(first, last - first);
    MakeRoom(space.marks, rows);
    const bool floats = backend != nullptr && backend->reads_floats();
    status = floats ? space.ScoreFloats(run, rows, spread) : space.ScoreDoubles(run, rows);
  }
  GiveBack(space.floats);
  GiveBack(space.doubles);
  GiveBack(space.double_scores);
  GiveBack(space.marks);
  for (auto& scores : space.scores) GiveBack(scores);
  return status;
}

absl::Status ScoreBatch(std::span<BatchItem* const> items) {
  std::vector<BatchPart> parts;
  for (BatchItem* item : items) {
    if (absl::Status status = Prepare(*item); !status.ok()) return status;
    parts.push_back({item, 0, item->rows.rows});
  }
  return BatchScorer().Score(parts);
}

}  // namespace driftseal::detector
