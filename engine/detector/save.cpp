#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "engine/artifact/digest.h"
#include "engine/artifact/model_file.h"
#include "engine/artifact/source.h"
#include "engine/detector/format.h"
#include "engine/detector/state.h"
#include "engine/replay/protocol/tensors.h"

namespace driftseal::detector {
namespace {

using Json = nlohmann::json;  // keeps the keys of objects in sorted order, and doubles so that they come back exactly
using replay::Tensor;

/// Writes one detector's arrays under `prefix`.
class ArrayWriter {
 public:
  ArrayWriter(std::string prefix, std::vector<artifact::NamedTensor>& tensors)
      : prefix_(std::move(prefix)), tensors_(tensors) {}

  template <class T>
  void Add(const std::string& name, std::vector<uint64_t> shape, const std::vector<T>& values) {
    tensors_.push_back(Tensor(absl::StrCat(prefix_, ".", name), std::move(shape), std::span<const T>(values)));
  }
  template <class T>
  void Add(const std::string& name, const std::vector<T>& values) {
    Add(name, {values.size()}, values);
  }

 private:
  std::string prefix_;
  std::vector<artifact::NamedTensor>& tensors_;
};

void WriteScaler(const Scaler& scaler, ArrayWriter& arrays) {
  std::vector<int32_t> features;
  std::vector<double> centres, scales, values;
  for (const Column& column : scaler.columns) {
    features.push_back(static_cast<int32_t>(column.feature));
    centres.push_back(column.centre);
    scales.push_back(column.scale);
  }
  arrays.Add("columns.feature", features);
  arrays.Add("columns.centre", centres);
  arrays.Add("columns.scale", scales);
  features.clear();
  for (const ConstantColumn& constant : scaler.constants) {
    features.push_back(static_cast<int32_t>(constant.feature));
    values.push_back(constant.value);
  }
  arrays.Add("constants.feature", features);
  arrays.Add("constants.value", values);
}

void WriteForest(const kernels::forest::Forest& forest, ArrayWriter& arrays) {
  std::vector<int32_t> feature, left, right, roots(forest.roots.begin(), forest.roots.end());
  std::vector<float> threshold, path;
  for (const kernels::forest::Node& node : forest.nodes) {
    feature.push_back(node.feature);
    threshold.push_back(node.threshold);
    left.push_back(node.left);
    right.push_back(node.right);
    path.push_back(node.path);
  }
  arrays.Add("forest.feature", feature);
  arrays.Add("forest.threshold", threshold);
  arrays.Add("forest.left", left);
  arrays.Add("forest.right", right);
  arrays.Add("forest.path", path);
  arrays.Add("forest.roots", roots);
}

/// The other half of ReadMahalanobis.
void WriteMahalanobis(const kernels::mahalanobis::Mahalanobis& model, const std::string& name, ArrayWriter& arrays) {
  arrays.Add(name + ".mean", model.mean);
  arrays.Add(name + ".directions", {model.weights.size(), model.mean.size()}, model.directions);
  arrays.Add(name + ".weights", model.weights);
}

/// The members' arrays; returns what of them stands in the JSON.
Json WriteMembers(const MemberSet& members, size_t cols, ArrayWriter& arrays) {
  Json json = Json::object();
  if (const auto& network = members.autoencoder) {
    Json activations = Json::array();
    for (size_t l = 0; l < network->layers.size(); ++l) {
      const auto& layer = network->layers[l];
      arrays.Add(absl::StrCat("autoencoder.", l, ".weight"), {layer.outputs, layer.inputs}, layer.weights);
      arrays.Add(absl::StrCat("autoencoder.", l, ".bias"), layer.bias);
      activations.push_back(format::kActivations[static_cast<size_t>(layer.activation)]);
    }
    json["autoencoder"] = {{"activations", activations}};
  }
  if (const auto& forest = members.forest) {
    WriteForest(*forest, arrays);
    json["forest"] = {{"sample_size", forest->sample_size}};
  }
  if (const auto& svm = members.svm) {
    arrays.Add("svm.vectors", {svm->alpha.size(), cols}, svm->vectors);
    arrays.Add("svm.alpha", svm->alpha);
    json["svm"] = {{"gamma", svm->gamma}, {"rho", svm->rho}};
  }
  if (const auto& model = members.mahalanobis) {
    WriteMahalanobis(*model, "mahalanobis", arrays);
    json["mahalanobis"] = {{"isotropic", model->isotropic}};
  }
  if (const auto& knn = members.neighbours) {
    arrays.Add("knn.reference", {knn->rows(), cols}, knn->reference);
    json["knn"] = {{"k", knn->k}, {"distance", format::kDistances[static_cast<size_t>(knn->distance)]}};
  }
  return json;
}

Json WriteNormaliser(const std::optional<Normaliser>& normaliser) {
  if (!normaliser) return nullptr;
  return {{"median", normaliser->median}, {"spread", normaliser->spread}};
}

Json WriteDetector(const FamilyDetector& detector, const std::string& prefix,
                   std::vector<artifact::NamedTensor>& tensors) {
  ArrayWriter arrays(prefix, tensors);
  WriteScaler(detector.scaler, arrays);
  arrays.Add("calibration", detector.calibration);
  Json members = WriteMembers(detector.members, detector.scaler.columns.size(), arrays);
  for (size_t m = 0; m < kMemberNames.size(); ++m) {
    if (!detector.members.Has(m)) continue;
    members[std::string(kMemberNames[m])]["normaliser"] = WriteNormaliser(detector.normalisers[m]);
  }
  if (const auto& pairs = detector.pairs) {
    arrays.Add("pairs.feature", std::vector<int32_t>(pairs->features.begin(), pairs->features.end()));
    arrays.Add("pairs.mean", pairs->mean);
    arrays.Add("pairs.spread", pairs->spread);
    members[std::string(kAspectNames[kPairs])] = {{"normaliser", WriteNormaliser(pairs->normaliser)}};
  }
  if (const auto& balance = detector.balance) {
    arrays.Add("balance.column", std::vector<int32_t>(balance->columns.begin(), balance->columns.end()));
    WriteMahalanobis(balance->model, "balance", arrays);
    members[std::string(kAspectNames[kBalance])] = {{"isotropic", balance->model.isotropic},
                                                    {"normaliser", WriteNormaliser(balance->normaliser)}};
  }
  const Scaler& scaler = detector.scaler;
  std::vector<int32_t> features;
  std::vector<double> low, high;
  for (const RangeNote& range : detector.ranges) {
    features.push_back(static_cast<int32_t>(range.feature));
    low.push_back(range.low);
    high.push_back(range.high);
  }
  if (detector.view != View::kFiles) {
    arrays.Add("ranges.feature", features);
    arrays.Add("ranges.low", low);
    arrays.Add("ranges.high", high);
  }
  return {{"key", detector.key},
          {"view", format::kViews[static_cast<size_t>(detector.view)]},
          {"fitted_on", detector.fitted_on},
          {"scaling",
           {{"kind", format::kScalings[static_cast<size_t>(scaler.kind)]},
            {"clip", scaler.clip ? Json(*scaler.clip) : Json(nullptr)}}},
          {"members", members}};
}

Json WriteState(const DetectorState& state, std::vector<artifact::NamedTensor>& tensors) {
  Json families = Json::array(), small = Json::array(), sets = Json::array();
  for (size_t f = 0; f < state.families.size(); ++f) {
    families.push_back(WriteDetector(state.families[f], format::FamilyPrefix(f), tensors));
  }
  for (const CanarySetId& set : state.canary_sets) sets.push_back({{"name", set.name}, {"sha256", set.sha256}});
  for (const SmallFamily& family : state.small) {
    small.push_back({{"key", family.key}, {"models", family.models}, {"reason", family.reason}});
  }
  return {{"format", format::kFormat},
          {"format_version", format::kFormatVersion},
          {"name", state.name},
          {"version", state.version},
          {"origin", state.origin},
          {"seed", state.seed},
          {"schema",
           {{"name", state.schema.name},
            {"version", state.schema.version},
            {"digest", state.schema.digest},
            {"features", state.schema.features}}},
          {"canary_sets", sets},
          {"families", families},
          {"small_families", small},
          {"global", state.global ? WriteDetector(*state.global, format::kGlobalPrefix, tensors) : Json(nullptr)}};
}

}  // namespace

absl::Status SaveState(const DetectorState& state, const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat(directory, ": cannot be made"));
  std::vector<artifact::NamedTensor> tensors;
  Json json = WriteState(state, tensors);
  const absl::StatusOr<std::string> arrays = artifact::WriteSafetensors(tensors, {{"format", format::kFormat}});
  if (!arrays.ok()) return arrays.status();
  const artifact::Digest digest = artifact::Sha256(std::as_bytes(std::span<const char>(*arrays)));
  json["arrays"] = {{"file", format::kArraysFile}, {"sha256", digest.Hex()}};
  std::string text;
  try {
    text = json.dump(2) + "\n";
  } catch (const Json::exception& problem) {
    return absl::InvalidArgumentError(absl::StrCat("a name in the detector is not UTF-8: ", problem.what()));
  }
  // The state names the digest of the arrays it belongs to: whoever reads between the two renames sees a pair that does
  // not match, and refuses it.
  absl::Status status = artifact::WriteFileAtomically(absl::StrCat(directory, "/", format::kArraysFile), *arrays);
  if (!status.ok()) return status;
  return artifact::WriteFileAtomically(absl::StrCat(directory, "/", format::kStateFile), text);
}

}  // namespace driftseal::detector
