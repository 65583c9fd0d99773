#include "model_io.h"

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace driftseal::kernels::bench {
namespace {

constexpr size_t kLengthBytes = 8;  // The header's length, little-endian, before the header.

template <class From, class To>
void Convert(const char* data, size_t bytes, std::vector<To>& out) {
  out.resize(bytes / sizeof(From));
  for (size_t i = 0; i < out.size(); ++i) {
    From value;
    std::memcpy(&value, data + i * sizeof(From), sizeof(From));
    out[i] = static_cast<To>(value);
  }
}

forest::Forest ReadForest(const Arrays& arrays) {
  forest::Forest forest;
  const auto feature = arrays.As<int32_t>("forest.feature"), left = arrays.As<int32_t>("forest.left");
  const auto right = arrays.As<int32_t>("forest.right");
  const auto threshold = arrays.As<float>("forest.threshold"), path = arrays.As<float>("forest.path");
  for (size_t i = 0; i < feature.size(); ++i) {
    forest.nodes.push_back({feature[i], threshold.at(i), left.at(i), right.at(i), path.at(i)});
  }
  forest.roots = arrays.As<uint32_t>("forest.roots");
  forest.sample_size = static_cast<uint32_t>(arrays.Number("forest.sample_size"));
  return forest;
}

svm::Svm ReadSvm(const Arrays& arrays) {
  svm::Svm svm;
  svm.cols = arrays.Columns("svm.vectors");
  svm.vectors = arrays.As<double>("svm.vectors");
  svm.alpha = arrays.As<double>("svm.alpha");
  svm.gamma = arrays.Number("svm.gamma");
  svm.rho = arrays.Number("svm.rho");
  return svm;
}

autoencoder::Network ReadAutoencoder(const Arrays& arrays) {
  autoencoder::Network network;
  for (size_t i = 0; arrays.Has("autoencoder." + std::to_string(i) + ".weight"); ++i) {
    const std::string layer = "autoencoder." + std::to_string(i);
    autoencoder::Layer read;
    read.weights = arrays.As<double>(layer + ".weight");
    read.bias = arrays.As<double>(layer + ".bias");
    read.inputs = arrays.Columns(layer + ".weight");
    read.outputs = read.bias.size();
    read.activation = static_cast<autoencoder::Activation>(static_cast<int>(arrays.Number(layer + ".activation")));
    network.layers.push_back(std::move(read));
  }
  return network;
}

mahalanobis::Mahalanobis ReadMahalanobis(const Arrays& arrays) {
  return {arrays.As<double>("mahalanobis.mean"), arrays.Number("mahalanobis.isotropic"),
          arrays.As<double>("mahalanobis.directions"), arrays.As<double>("mahalanobis.weights")};
}

neighbours::Neighbours ReadNeighbours(const Arrays& arrays) {
  neighbours::Neighbours neighbours;
  neighbours.cols = arrays.Columns("neighbours.reference");
  neighbours.reference = arrays.As<double>("neighbours.reference");
  neighbours.k = static_cast<size_t>(arrays.Number("neighbours.k"));
  return neighbours;
}

}  // namespace

Arrays::Arrays(const std::string& path) : path_(path) {
  std::ifstream in(path, std::ios::binary);
  data_.assign(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  if (!in || data_.size() < kLengthBytes) throw std::runtime_error(path + " cannot be read");
  uint64_t length = 0;
  std::memcpy(&length, data_.data(), kLengthBytes);
  if (length > data_.size() - kLengthBytes) throw std::runtime_error(path + " is no safetensors file");
  const size_t base = kLengthBytes + length;
  const auto header = nlohmann::json::parse(data_.begin() + kLengthBytes, data_.begin() + static_cast<long>(base));
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const auto offsets = entry.at("data_offsets").get<std::vector<size_t>>();
    Slice slice{entry.at("dtype"), entry.at("shape"), base + offsets.at(0), base + offsets.at(1)};
    if (slice.begin > slice.end || slice.end > data_.size() || slice.shape.empty()) {
      throw std::runtime_error(path + ": " + name + " lies outside the file or has no axis");
    }
    entries_[name] = std::move(slice);
  }
}

const Arrays::Slice& Arrays::Entry(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) throw std::runtime_error(path_ + ": " + name + " is not there");
  return found->second;
}

template <class T>
std::vector<T> Arrays::As(const std::string& name) const {
  const Slice& slice = Entry(name);
  const char* data = data_.data() + slice.begin;
  const size_t bytes = slice.end - slice.begin;
  std::vector<T> out;
  if (slice.type == "F32") {
    Convert<float>(data, bytes, out);
  } else if (slice.type == "F64") {
    Convert<double>(data, bytes, out);
  } else if (slice.type == "I32") {
    Convert<int32_t>(data, bytes, out);
  } else {
    throw std::runtime_error(path_ + ": " + name + " is " + slice.type + ", expected F32, F64 or I32");
  }
  return out;
}

Model ReadModel(const std::string& path) {
  const Arrays arrays(path);
  Model model;
  if (arrays.Has("forest.roots")) model.forest = ReadForest(arrays);
  if (arrays.Has("svm.vectors")) model.svm = ReadSvm(arrays);
  if (arrays.Has("autoencoder.0.weight")) model.autoencoder = ReadAutoencoder(arrays);
  if (arrays.Has("mahalanobis.mean")) model.mahalanobis = ReadMahalanobis(arrays);
  if (arrays.Has("neighbours.reference")) model.neighbours = ReadNeighbours(arrays);
  return model;
}

Rows ReadRows(const std::string& path) {
  const Arrays arrays(path);
  return {arrays.As<float>("rows"), arrays.Columns("rows")};
}

}  // namespace driftseal::kernels::bench
