#include "engine/fingerprint/tensor_order.h"

#include <algorithm>
#include <utility>

namespace driftseal::fingerprint {
namespace {

using artifact::DType;
using artifact::TensorInfo;
using artifact::TensorTable;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Which part of a network a word of a tensor's name speaks of; kBody for the words that tell nothing.
constexpr int kBody = 2;
constexpr std::pair<std::string_view, int> kParts[] = {
    {"embed", 0},    {"embedding", 0},      {"embeddings", 0},   {"stem", 0},   {"wte", 0},
    {"wpe", 0},      {"patch_embed", 0},    {"embed_tokens", 0}, {"conv", 1},   {"convs", 1},
    {"features", 1}, {"backbone", 1},       {"fc", 3},           {"linear", 3}, {"dense", 3},
    {"pooler", 3},   {"pre_classifier", 3}, {"classifier", 4},   {"head", 4},   {"heads", 4},
    {"lm_head", 4},  {"logits", 4},         {"output", 4},       {"score", 4},
};

// Only words before the first number of a layer count: "layer.3.output.dense" is in the body of its network.
int PartOf(std::string_view name) {
  int part = kBody;
  while (!name.empty()) {
    const size_t dot = name.find('.');
    std::string_view word = name.substr(0, dot);
    name.remove_prefix(dot == name.npos ? name.size() : dot + 1);
    while (!word.empty() && IsDigit(word.back())) word.remove_suffix(1);
    if (word.empty()) break;
    for (const auto& [known, its_part] : kParts) {
      if (word == known) part = its_part;
    }
  }
  return part;
}

}  // namespace

bool IsFloat(DType type) {
  switch (type) {
    case DType::kF64:
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kF8E4M3:
    case DType::kF8E5M2:
      return true;
    default:
      return false;
  }
}

bool NaturalLess(std::string_view a, std::string_view b) {
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (!IsDigit(a[i]) || !IsDigit(b[j])) {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i, ++j;
      continue;
    }
    const auto number = [](std::string_view text, size_t& at) {
      while (at < text.size() && text[at] == '0') ++at;
      const size_t begin = at;
      while (at < text.size() && IsDigit(text[at])) ++at;
      return text.substr(begin, at - begin);
    };
    const std::string_view x = number(a, i), y = number(b, j);
    if (x.size() != y.size()) return x.size() < y.size();
    if (x != y) return x < y;
  }
  if ((i == a.size()) != (j == b.size())) return i == a.size();
  return a < b;  // "w1" and "w01": any fixed order will do.
}

std::vector<const TensorInfo*> WeightMatrices(const TensorTable& table) {
  std::vector<std::pair<int, const TensorInfo*>> found;
  for (const TensorInfo& tensor : table.tensors) {
    if (tensor.shape.size() >= 2 && IsFloat(tensor.dtype) && tensor.Elements() > 0)
      found.emplace_back(PartOf(tensor.name), &tensor);
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : NaturalLess(a.second->name, b.second->name);
  });
  std::vector<const TensorInfo*> matrices;
  matrices.reserve(found.size());
  for (const auto& [part, tensor] : found) matrices.push_back(tensor);
  return matrices;
}

const TensorInfo* BiasOf(const TensorTable& table, const TensorInfo& weight) {
  std::string name = weight.name;
  for (const std::string_view word : {"weight", "kernel"}) {
    const size_t at = name.rfind(word);
    if (at == name.npos) continue;
    name.replace(at, word.size(), "bias");
    const auto bias =
        std::find_if(table.tensors.begin(), table.tensors.end(), [&](const TensorInfo& t) { return t.name == name; });
    const bool fits = bias != table.tensors.end() && IsFloat(bias->dtype) && bias->shape.size() == 1 &&
                      bias->shape[0] == weight.shape[0];
    return fits ? &*bias : nullptr;
  }
  return nullptr;
}

}  // namespace driftseal::fingerprint
