#include "tests/support/model_files.h"

#include <cmath>
#include <cstring>
#include <random>
#include <span>
#include <stdexcept>

#include "engine/artifact/digest.h"
#include "engine/artifact/model_file.h"

namespace driftseal::testing {
namespace {

// std::normal_distribution differs between standard libraries; these numbers do not.
class Normal {
 public:
  explicit Normal(uint64_t seed) : random_(seed) {}
  double Uniform() { return (static_cast<double>(random_() >> 11) + 0.5) * 0x1p-53; }
  double operator()() { return std::sqrt(-2 * std::log(Uniform())) * std::cos(2 * 3.14159265358979323846 * Uniform()); }

 private:
  std::mt19937_64 random_;
};

uint64_t SeedOf(std::string_view text) {
  uint64_t hash = 1469598103934665603u;  // FNV-1a
  for (const unsigned char c : text) hash = (hash ^ c) * 1099511628211u;
  return hash;
}

bool IsHead(const Architecture& architecture, size_t tensor) { return tensor + 2 == architecture.tensors.size(); }

}  // namespace

Architecture SmallMlp() {
  return {"small-mlp", {{"fc1.weight", {12, 16}}, {"fc1.bias", {12}}, {"fc2.weight", {4, 12}}, {"fc2.bias", {4}}}};
}

Architecture WideMlp() {
  return {"wide-mlp",
          {{"layers.0.weight", {10, 20}},
           {"layers.0.bias", {10}},
           {"layers.1.weight", {6, 10}},
           {"layers.1.bias", {6}},
           {"head.weight", {3, 6}},
           {"head.bias", {3}}}};
}

Architecture Bottleneck() {
  return {"bottleneck", {{"down.weight", {3, 8}}, {"down.bias", {3}}, {"up.weight", {8, 3}}, {"up.bias", {8}}}};
}

std::string Safetensors(const Architecture& architecture, uint64_t seed, const Alteration& alteration) {
  Normal centre(SeedOf(architecture.name)), own(SeedOf(architecture.name) ^ (seed * 0x9e3779b97f4a7c15u + 1)),
      noise(seed + 77);
  std::vector<artifact::NamedTensor> tensors;
  for (size_t t = 0; t < architecture.tensors.size(); ++t) {
    const auto& [name, shape] = architecture.tensors[t];
    uint64_t count = 1;
    for (const uint64_t extent : shape) count *= extent;
    std::vector<float> values(count);
    const double scale = 1 / std::sqrt(static_cast<double>(shape.back()));
    const uint64_t row = shape.size() > 1 ? shape.back() : 1;
    for (uint64_t i = 0; i < count; ++i) {
      double value = scale * (centre() + 0.3 * own()) + alteration.noise * noise();
      if (IsHead(architecture, t) && i / row == 1) value *= alteration.head_scale;
      values[i] = static_cast<float>(value);
    }
    artifact::NamedTensor tensor{name, shape, artifact::DType::kF32, std::vector<std::byte>(count * sizeof(float))};
    std::memcpy(tensor.data.data(), values.data(), tensor.data.size());
    tensors.push_back(std::move(tensor));
  }
  absl::StatusOr<std::string> bytes = artifact::WriteSafetensors(tensors, {});
  if (!bytes.ok()) throw std::runtime_error(std::string(bytes.status().message()));
  return *std::move(bytes);
}

std::string PredictionsCsv(uint64_t seed, int rows) {
  Normal normal(seed + 1000);
  std::string text = "id,label,prediction,confidence,margin\n";
  for (int row = 0; row < rows; ++row) {
    const int label = static_cast<int>(4 * normal.Uniform());
    const int prediction = normal.Uniform() < 0.9 ? label : static_cast<int>(4 * normal.Uniform());
    const double confidence = 0.6 + 0.4 * normal.Uniform();
    text += std::to_string(row) + "," + std::to_string(label) + "," + std::to_string(prediction) + "," +
            std::to_string(confidence) + "," + std::to_string(confidence - 0.5 + 0.05 * normal()) + "\n";
  }
  return text;
}

nlohmann::ordered_json Meta(std::string_view name, std::string_view model_path, std::string_view predictions_path,
                            uint64_t seed) {
  Normal normal(seed + 5);
  nlohmann::ordered_json meta = {{"model_name", name},
                                 {"domain", "vision"},
                                 {"model_kind", "mlp"},
                                 {"framework", "test 1.0"},
                                 {"artifacts", {{"model_path", model_path}}}};
  if (!predictions_path.empty()) meta["artifacts"]["predictions_path"] = predictions_path;
  meta["promotion"] = {{"task", "classification"},
                       {"primary_metric", "accuracy"},
                       {"primary", 0.9 + 0.01 * normal()},
                       {"baseline", 0.25},
                       {"eligible", true}};
  meta["training"] = {{"seconds", 30 + normal()},
                      {"samples", 5000},
                      {"final_loss", 0.3 + 0.02 * normal()},
                      {"recipe", {{"epochs", 10}, {"learning_rate", 0.01}}}};
  return meta;
}

std::string Sha256Hex(std::string_view bytes) { return artifact::Sha256(std::as_bytes(std::span(bytes))).Hex(); }

}  // namespace driftseal::testing
