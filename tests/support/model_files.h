#ifndef DRIFTSEAL_TESTS_SUPPORT_MODEL_FILES_H_
#define DRIFTSEAL_TESTS_SUPPORT_MODEL_FILES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nlohmann/json.hpp"

// Small models that look like the members of one fleet: weights of one recipe around a common centre, seeded.
namespace driftseal::testing {

/// Names and shapes of the tensors: what makes a family.
struct Architecture {
  std::string name;
  std::vector<std::pair<std::string, std::vector<uint64_t>>> tensors;
};
Architecture SmallMlp();    ///< 16-12-4
Architecture WideMlp();     ///< 20-10-6-3
Architecture Bottleneck();  ///< 8-3-8

/// What is done to a model after its training.
struct Alteration {
  double head_scale = 1;  ///< Factor on one row of the last weight matrix: a class that wins more than it should.
  double noise = 0;       ///< Standard deviation of noise on every weight.
};
/// A safetensors file. The same architecture and seed give the same bytes.
std::string Safetensors(const Architecture& architecture, uint64_t seed, const Alteration& alteration = {});

/// A predictions CSV of `rows` rows (id, label, prediction, confidence, margin).
std::string PredictionsCsv(uint64_t seed, int rows = 40);

/// A meta file's content with the fields that a training run writes.
nlohmann::ordered_json Meta(std::string_view name, std::string_view model_path, std::string_view predictions_path = "",
                            uint64_t seed = 0);

/// SHA-256, hex.
std::string Sha256Hex(std::string_view bytes);

}  // namespace driftseal::testing

#endif  // DRIFTSEAL_TESTS_SUPPORT_MODEL_FILES_H_
