#include "engine/detector/load_members.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "engine/detector/format.h"

namespace driftseal::detector {
namespace {

constexpr size_t kMostLayers = 64;

kernels::autoencoder::Network ReadAutoencoder(StateReader& in, const Json& json, const std::string& where,
                                              const std::string& prefix, size_t cols) {
  kernels::autoencoder::Network network;
  const Json& activations = in.Array(json, where, "activations");
  in.Expect(!activations.empty() && activations.size() <= kMostLayers, where + ".activations",
            absl::StrCat("has ", activations.size(), " layers, expected 1 to ", kMostLayers));
  size_t inputs = cols;
  for (size_t l = 0; in.ok() && l < activations.size(); ++l) {
    const std::string name = absl::StrCat(prefix, ".autoencoder.", l);
    kernels::autoencoder::Layer layer;
    layer.activation = static_cast<kernels::autoencoder::Activation>(
        in.Choice(activations[l], absl::StrCat(where, ".activations[", l, "]"), format::kActivations));
    layer.bias = in.Vector<double>(name + ".bias");
    layer.inputs = inputs;
    layer.outputs = layer.bias.size();
    layer.weights = in.Rows(name + ".weight", layer.outputs, layer.inputs);
    in.Expect(layer.outputs > 0, "tensor " + name + ".bias", "is empty");
    inputs = layer.outputs;
    network.layers.push_back(std::move(layer));
  }
  in.Expect(inputs == cols, where, absl::StrCat("gives back ", inputs, " values for a row of ", cols));
  return network;
}

/// Children stand behind their parents, so that every walk ends.
bool IsInner(const kernels::forest::Node& node, size_t index, size_t nodes, size_t cols) {
  const auto behind = [&](int32_t child) {
    return child > 0 && static_cast<size_t>(child) > index && static_cast<size_t>(child) < nodes;
  };
  return node.feature >= 0 && static_cast<size_t>(node.feature) < cols && behind(node.left) && behind(node.right);
}

bool IsLeaf(const kernels::forest::Node& node) {
  return node.feature == -1 && node.left == -1 && node.right == -1 && node.path >= 0;
}

kernels::forest::Forest ReadForest(StateReader& in, const Json& json, const std::string& where,
                                   const std::string& prefix, size_t cols) {
  kernels::forest::Forest forest;
  forest.sample_size = static_cast<uint32_t>(in.Count(json, where, "sample_size", UINT32_MAX));
  const auto feature = in.Vector<int32_t>(prefix + ".forest.feature");
  const auto threshold = in.Vector<float>(prefix + ".forest.threshold", feature.size());
  const auto left = in.Vector<int32_t>(prefix + ".forest.left", feature.size());
  const auto right = in.Vector<int32_t>(prefix + ".forest.right", feature.size());
  const auto path = in.Vector<float>(prefix + ".forest.path", feature.size());
  const auto roots = in.Vector<int32_t>(prefix + ".forest.roots");
  if (!in.ok()) return forest;
  forest.nodes.reserve(feature.size());
  for (size_t i = 0; i < feature.size(); ++i) {
    const kernels::forest::Node node{feature[i], threshold[i], left[i], right[i], path[i]};
    if (!IsLeaf(node) && !IsInner(node, i, feature.size(), cols)) {
      in.Fail(absl::StrCat("tensor ", prefix, ".forest.feature"),
              absl::StrCat("node ", i,
                           " is neither a leaf (feature, left, right -1; path >= 0) nor an inner node (feature below ",
                           cols, ", children behind it)"));
      return forest;
    }
    forest.nodes.push_back(node);
  }
  in.Expect(!roots.empty(), absl::StrCat("tensor ", prefix, ".forest.roots"), "is empty");
  for (int32_t root : roots) {
    in.Expect(root >= 0 && static_cast<size_t>(root) < forest.nodes.size(),
              absl::StrCat("tensor ", prefix, ".forest.roots"), absl::StrCat(root, " is no node"));
    forest.roots.push_back(static_cast<uint32_t>(root));
  }
  if (!in.ok()) return forest;
  if (const auto why = kernels::forest::WhyUnfit(forest))
    in.Fail(absl::StrCat("tensor ", prefix, ".forest.feature"), *why);
  return forest;
}

kernels::svm::Svm ReadSvm(StateReader& in, const Json& json, const std::string& where, const std::string& prefix,
                          size_t cols) {
  kernels::svm::Svm svm;
  svm.cols = cols;
  svm.gamma = in.Number(json, where, "gamma");
  svm.rho = in.Number(json, where, "rho");
  in.Expect(svm.gamma > 0, where + ".gamma", "is not positive");
  svm.alpha = in.Vector<double>(prefix + ".svm.alpha");
  svm.vectors = in.Rows(prefix + ".svm.vectors", svm.alpha.size(), cols);
  in.Expect(!svm.alpha.empty(), "tensor " + prefix + ".svm.alpha", "is empty");
  return svm;
}

kernels::neighbours::Neighbours ReadNeighbours(StateReader& in, const Json& json, const std::string& where,
                                               const std::string& prefix, size_t cols) {
  kernels::neighbours::Neighbours model;
  model.cols = cols;
  model.reference = in.Rows(prefix + ".knn.reference", std::nullopt, cols);
  model.k = in.Count(json, where, "k");
  in.Expect(model.k >= 1 && model.k <= model.rows(), where + ".k",
            absl::StrCat("is ", model.k, ", expected 1 to the ", model.rows(), " reference rows"));
  model.distance = static_cast<kernels::neighbours::Distance>(in.Choice(json, where, "distance", format::kDistances));
  return model;
}

}  // namespace

kernels::mahalanobis::Mahalanobis ReadMahalanobis(StateReader& in, const Json& json, const std::string& where,
                                                  const std::string& prefix, size_t cols) {
  kernels::mahalanobis::Mahalanobis model;
  model.isotropic = in.Number(json, where, "isotropic");
  in.Expect(model.isotropic >= 0, where + ".isotropic", "is negative");
  model.mean = in.Vector<double>(prefix + ".mean", cols);
  model.weights = in.Vector<double>(prefix + ".weights");
  model.directions = in.Rows(prefix + ".directions", model.weights.size(), cols);
  return model;
}

MemberSet ReadMembers(StateReader& in, const Json& json, const std::string& where, const std::string& prefix,
                      size_t cols) {
  MemberSet members;
  if (json.contains("autoencoder")) {
    members.autoencoder = ReadAutoencoder(in, json["autoencoder"], where + ".autoencoder", prefix, cols);
  }
  if (json.contains("forest")) members.forest = ReadForest(in, json["forest"], where + ".forest", prefix, cols);
  if (json.contains("svm")) members.svm = ReadSvm(in, json["svm"], where + ".svm", prefix, cols);
  if (json.contains("mahalanobis")) {
    members.mahalanobis =
        ReadMahalanobis(in, json["mahalanobis"], where + ".mahalanobis", prefix + ".mahalanobis", cols);
  }
  if (json.contains("knn")) members.neighbours = ReadNeighbours(in, json["knn"], where + ".knn", prefix, cols);
  return members;
}

}  // namespace driftseal::detector
