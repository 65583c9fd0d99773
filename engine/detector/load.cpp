#include "engine/detector/load.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "engine/artifact/digest.h"
#include "engine/artifact/source.h"
#include "engine/detector/format.h"
#include "engine/detector/load_members.h"
#include "engine/detector/state.h"
#include "engine/detector/state_reader.h"

namespace driftseal::detector {
namespace {

constexpr uint64_t kMostFeatures = 1u << 20;

Scaler ReadScaler(StateReader& in, const Json& json, const std::string& where, const std::string& prefix,
                  size_t features) {
  Scaler scaler;
  const Json& scaling = in.Object(json, where, "scaling");
  scaler.kind = static_cast<Scaling>(in.Choice(scaling, where + ".scaling", "kind", format::kScalings));
  scaler.clip = in.OptionalNumber(scaling, where + ".scaling", "clip");
  in.Expect(!scaler.clip || *scaler.clip > 0, where + ".scaling.clip", "is not positive");

  const auto check = [&](const std::vector<int32_t>& indices, const std::string& name) {
    for (size_t i = 0; i < indices.size(); ++i) {
      const bool inside = indices[i] >= 0 && static_cast<size_t>(indices[i]) < features;
      in.Expect(inside && (i == 0 || indices[i - 1] < indices[i]), "tensor " + name,
                absl::StrCat("element ", i, " is no column of the schema, or they are not in ascending order"));
    }
  };
  const auto columns = in.Vector<int32_t>(prefix + ".columns.feature");
  check(columns, prefix + ".columns.feature");
  in.Expect(!columns.empty(), "tensor " + prefix + ".columns.feature", "is empty");
  const auto centres = in.Vector<double>(prefix + ".columns.centre", columns.size());
  const auto scales = in.Vector<double>(prefix + ".columns.scale", columns.size());
  for (double scale : scales) in.Expect(scale > 0, "tensor " + prefix + ".columns.scale", "holds a scale not above 0");
  const auto constants = in.Vector<int32_t>(prefix + ".constants.feature");
  check(constants, prefix + ".constants.feature");
  const auto values = in.Vector<double>(prefix + ".constants.value", constants.size());
  if (!in.ok()) return scaler;
  for (size_t i = 0; i < columns.size(); ++i) {
    scaler.columns.push_back({static_cast<uint32_t>(columns[i]), centres[i], scales[i]});
  }
  for (size_t i = 0; i < constants.size(); ++i) {
    scaler.constants.push_back({static_cast<uint32_t>(constants[i]), values[i]});
  }
  return scaler;
}

std::optional<Normaliser> ReadNormaliser(StateReader& in, const Json& member, const std::string& where) {
  const Json* json = in.Optional(member, where, "normaliser");
  if (json == nullptr) return std::nullopt;
  const Normaliser normaliser{in.Number(*json, where + ".normaliser", "median"),
                              in.Number(*json, where + ".normaliser", "spread")};
  in.Expect(normaliser.spread > 0, where + ".normaliser.spread", "is not positive");
  return normaliser;
}

std::vector<RangeNote> ReadRanges(StateReader& in, const std::string& prefix, size_t features) {
  const auto feature = in.Vector<int32_t>(prefix + ".feature");
  const auto low = in.Vector<double>(prefix + ".low", feature.size());
  const auto high = in.Vector<double>(prefix + ".high", feature.size());
  std::vector<RangeNote> ranges;
  for (size_t i = 0; in.ok() && i < feature.size(); ++i) {
    in.Expect(feature[i] >= 0 && static_cast<size_t>(feature[i]) < features && low[i] < high[i], "tensor " + prefix,
              absl::StrCat("range ", i, " is of no column of the schema, or empty"));
    ranges.push_back({static_cast<size_t>(feature[i]), 0, low[i], high[i]});
  }
  return ranges;
}

std::vector<CanarySetId> ReadCanarySets(StateReader& in, const Json& root) {
  std::vector<CanarySetId> sets;
  if (!root.contains("canary_sets")) return sets;
  const Json& json = in.Array(root, "$", "canary_sets");
  for (size_t i = 0; in.ok() && i < json.size(); ++i) {
    const std::string where = absl::StrCat("$.canary_sets[", i, "]");
    sets.push_back({in.Text(json[i], where, "name"), in.Text(json[i], where, "sha256")});
    in.Expect(artifact::ParseDigest(sets.back().sha256).ok(), where + ".sha256", "is not a SHA-256 digest");
  }
  return sets;
}

ClassPairs ReadPairs(StateReader& in, const Json& json, const std::string& where, const std::string& prefix,
                     size_t features) {
  ClassPairs pairs;
  const auto feature = in.Vector<int32_t>(prefix + ".feature");
  pairs.mean = in.Vector<double>(prefix + ".mean", feature.size());
  pairs.spread = in.Vector<double>(prefix + ".spread", feature.size());
  in.Expect(!feature.empty(), "tensor " + prefix + ".feature", "is empty");
  for (size_t p = 0; in.ok() && p < feature.size(); ++p) {
    in.Expect(feature[p] >= 0 && static_cast<size_t>(feature[p]) < features && pairs.spread[p] > 0, "tensor " + prefix,
              absl::StrCat("pair ", p, " is of no column of the schema, or its spread is not positive"));
    pairs.features.push_back(static_cast<uint32_t>(feature[p]));
  }
  pairs.normaliser = ReadNormaliser(in, json, where);
  return pairs;
}

Balance ReadBalance(StateReader& in, const Json& json, const std::string& where, const std::string& prefix,
                    size_t columns) {
  Balance balance;
  const auto column = in.Vector<int32_t>(prefix + ".column");
  in.Expect(!column.empty(), "tensor " + prefix + ".column", "is empty");
  for (const int32_t c : column) {
    in.Expect(c >= 0 && static_cast<size_t>(c) < columns, "tensor " + prefix + ".column",
              absl::StrCat(c, " is none of the ", columns, " columns"));
    balance.columns.push_back(static_cast<uint32_t>(c));
  }
  balance.model = ReadMahalanobis(in, json, where, prefix, column.size());
  balance.normaliser = ReadNormaliser(in, json, where);
  return balance;
}

void ReadAspects(StateReader& in, const Json& members, const std::string& where, const std::string& prefix,
                 size_t features, FamilyDetector& detector) {
  for (const std::string name : {"pairs", "balance"}) {
    in.Expect(!members.contains(name) || detector.view == View::kBehaviour, absl::StrCat(where, ".", name),
              "stands beside another view than behaviour");
  }
  if (!in.ok()) return;
  if (members.contains("pairs")) {
    detector.pairs = ReadPairs(in, members["pairs"], where + ".pairs", prefix + ".pairs", features);
  }
  if (members.contains("balance")) {
    detector.balance =
        ReadBalance(in, members["balance"], where + ".balance", prefix + ".balance", detector.scaler.columns.size());
  }
}

FamilyDetector ReadDetector(StateReader& in, const Json& json, const std::string& where, const std::string& prefix,
                            size_t features) {
  FamilyDetector detector;
  detector.key = in.Text(json, where, "key");
  if (json.is_object() && json.contains("view")) {  // What came before version 2 read files alone.
    detector.view = static_cast<View>(in.Choice(json, where, "view", format::kViews));
  }
  detector.fitted_on = in.Count(json, where, "fitted_on");
  detector.scaler = ReadScaler(in, json, where, prefix, features);
  const Json& members = in.Object(json, where, "members");
  for (const auto& [name, member] : members.items()) {
    const bool known = std::find(kMemberNames.begin(), kMemberNames.end(), name) != kMemberNames.end() ||
                       std::find(kAspectNames.begin(), kAspectNames.end(), name) != kAspectNames.end();
    in.Expect(known && member.is_object(), absl::StrCat(where, ".members.", name), "is no member");
  }
  in.Expect(!members.empty(), where + ".members", "is empty");
  if (!in.ok()) return detector;
  detector.members = ReadMembers(in, members, where + ".members", prefix, detector.scaler.columns.size());
  bool normalised = false;
  for (size_t m = 0; m < kMemberNames.size(); ++m) {
    const std::string name(kMemberNames[m]);
    if (!members.contains(name)) continue;
    detector.normalisers[m] = ReadNormaliser(in, members[name], absl::StrCat(where, ".members.", name));
    normalised = normalised || detector.normalisers[m].has_value();
  }
  ReadAspects(in, members, where + ".members", prefix, features, detector);
  if (detector.view != View::kFiles) detector.ranges = ReadRanges(in, prefix + ".ranges", features);
  detector.calibration = in.Vector<double>(prefix + ".calibration");
  in.Expect(std::is_sorted(detector.calibration.begin(), detector.calibration.end()),
            "tensor " + prefix + ".calibration", "is not in ascending order");
  in.Expect(detector.calibration.empty() || normalised, "tensor " + prefix + ".calibration",
            "holds combined scores, but no member has a normaliser to combine");
  return detector;
}

SchemaId ReadSchema(StateReader& in, const Json& root) {
  SchemaId schema;
  const Json& json = in.Object(root, "$", "schema");
  schema.name = in.Text(json, "$.schema", "name");
  schema.version = static_cast<int>(in.Count(json, "$.schema", "version", INT32_MAX));
  schema.digest = in.Text(json, "$.schema", "digest");
  const Json& features = in.Array(json, "$.schema", "features");
  in.Expect(!features.empty() && features.size() <= kMostFeatures, "$.schema.features",
            absl::StrCat("has ", features.size(), " entries, expected 1 to ", kMostFeatures));
  std::set<std::string> seen;
  for (const Json& feature : features) {
    const bool fresh = feature.is_string() && seen.insert(feature.get<std::string>()).second;
    in.Expect(fresh, "$.schema.features", absl::StrCat("entry ", schema.features.size(), " is not a new name"));
    if (!in.ok()) break;
    schema.features.push_back(feature.get<std::string>());
  }
  return schema;
}

void ReadFamilies(StateReader& in, const Json& root, DetectorState& state) {
  const size_t features = state.schema.features.size();
  const Json& families = in.Array(root, "$", "families");
  for (size_t f = 0; in.ok() && f < families.size(); ++f) {
    const std::string where = absl::StrCat("$.families[", f, "]");
    state.families.push_back(ReadDetector(in, families[f], where, format::FamilyPrefix(f), features));
    const auto place = [](const FamilyDetector& family) {
      return std::pair(std::string_view(family.key), family.view);
    };
    const bool ordered = f == 0 || place(state.families[f - 1]) < place(state.families[f]);
    in.Expect(ordered && state.families[f].key != kGlobalKey, where + ".key", "is reserved or not in ascending order");
  }
  const Json& small = in.Array(root, "$", "small_families");
  for (size_t f = 0; in.ok() && f < small.size(); ++f) {
    const std::string where = absl::StrCat("$.small_families[", f, "]");
    state.small.push_back(
        {in.Text(small[f], where, "key"), in.Count(small[f], where, "models"), in.Text(small[f], where, "reason")});
    const bool ordered = f == 0 || state.small[f - 1].key < state.small[f].key;
    in.Expect(ordered && state.FindFamily(state.small[f].key) == nullptr, where + ".key",
              "is not in ascending order, or has a detector of its own");
  }
  if (const Json* global = in.Optional(root, "$", "global")) {
    state.global = ReadDetector(in, *global, "$.global", format::kGlobalPrefix, features);
    in.Expect(state.global->key == kGlobalKey, "$.global.key", absl::StrCat("is not ", kGlobalKey));
  }
  in.Expect(!state.families.empty() || state.global.has_value(), "$", "holds no detector");
}

}  // namespace

absl::StatusOr<DetectorState> ReadState(const std::string& file, const Json& root, const artifact::Source& source) {
  const absl::StatusOr<replay::TensorReader> arrays = replay::TensorReader::Open(source);
  if (!arrays.ok()) return arrays.status();
  StateReader in(file, &*arrays);
  DetectorState state;
  state.name = in.Text(root, "$", "name");
  state.version = static_cast<int>(in.Count(root, "$", "version", INT32_MAX));
  state.origin = in.Text(root, "$", "origin");
  state.seed = in.Count(root, "$", "seed");
  state.schema = ReadSchema(in, root);
  if (in.ok()) state.canary_sets = ReadCanarySets(in, root);
  if (in.ok()) ReadFamilies(in, root, state);
  if (!in.ok()) return in.status();
  return state;
}

namespace {

absl::StatusOr<Json> ReadJson(const std::string& file) {
  absl::StatusOr<artifact::Source> source = artifact::Source::Open(file);
  if (!source.ok()) return source.status();
  std::vector<std::byte> scratch;
  const auto bytes = source->ReadAll(format::kStateLimit, scratch);
  if (!bytes.ok()) return bytes.status();
  const auto* text = reinterpret_cast<const char*>(bytes->data());
  try {
    return Json::parse(text, text + bytes->size());
  } catch (const Json::exception& problem) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": is not JSON: ", problem.what()));
  }
}

/// Format, version and the digest of the arrays, before anything else is believed.
absl::StatusOr<artifact::Digest> ReadHead(const std::string& file, const Json& root) {
  StateReader in(file, nullptr);
  in.Expect(root.is_object(), "$", "is not an object");
  const std::string tag = in.Text(root, "$", "format");
  in.Expect(tag == format::kFormat, "$.format", absl::StrCat("is not \"", format::kFormat, "\""));
  const uint64_t version = in.Count(root, "$", "format_version");
  in.Expect(version >= 1 && version <= format::kFormatVersion, "$.format_version",
            absl::StrCat("is ", version, "; this program reads 1 to ", format::kFormatVersion));
  const Json& arrays = in.Object(root, "$", "arrays");
  in.Expect(in.Text(arrays, "$.arrays", "file") == format::kArraysFile, "$.arrays.file",
            absl::StrCat("is not ", format::kArraysFile));
  const absl::StatusOr<artifact::Digest> digest = artifact::ParseDigest(in.Text(arrays, "$.arrays", "sha256"));
  in.Expect(digest.ok(), "$.arrays.sha256", "is not a SHA-256 digest");
  if (!in.ok()) return in.status();
  return *digest;
}

}  // namespace

absl::StatusOr<DetectorState> LoadState(const std::string& directory) {
  const std::string state_file = absl::StrCat(directory, "/", format::kStateFile);
  const absl::StatusOr<Json> root = ReadJson(state_file);
  if (!root.ok()) return root.status();
  const absl::StatusOr<artifact::Digest> recorded = ReadHead(state_file, *root);
  if (!recorded.ok()) return recorded.status();

  const std::string arrays_file = absl::StrCat(directory, "/", format::kArraysFile);
  const absl::StatusOr<artifact::Source> source = artifact::Source::Open(arrays_file);
  if (!source.ok()) return source.status();
  const absl::StatusOr<artifact::Digest> actual = artifact::Sha256(*source);
  if (!actual.ok()) return actual.status();
  if (*actual != *recorded) {
    return absl::FailedPreconditionError(absl::StrCat(arrays_file, ": its SHA-256 is ", actual->Hex(), ", but ",
                                                      state_file, " ($.arrays.sha256) was saved with ", recorded->Hex(),
                                                      ": the two files do not belong together"));
  }
  absl::StatusOr<DetectorState> state = ReadState(state_file, *root, *source);
  if (!state.ok()) return state.status();
  if (absl::Status status = source->CheckUnchanged(); !status.ok()) return status;
  return state;
}

}  // namespace driftseal::detector
