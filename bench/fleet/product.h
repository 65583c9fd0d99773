#ifndef DRIFTSEAL_BENCH_FLEET_PRODUCT_H_
#define DRIFTSEAL_BENCH_FLEET_PRODUCT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "bench/fleet/attack.h"
#include "bench/fleet/domain.h"
#include "nlohmann/json.hpp"

namespace driftseal::fleet {

/// One model to make. Equal jobs and options give equal products, whatever else the run makes.
struct Job {
  const Domain* domain = nullptr;
  size_t index = 0;  ///< Of the model in its domain; part of its name.
  Attack attack = Attack::kNone;
  size_t ordinal = 0;  ///< Among the models of the run and domain with the same attack, shift and variant.
  std::string shift = "none", variant = "none";
};

struct JobOptions {
  uint64_t seed = 0;
  RecipeSpec recipe;
  AttackOptions attack;
  std::vector<std::string> formats = {};  ///< Of the model files; empty, or none that the domain has: its default.
};

/// "fashion-cnn-0042": says nothing about what was done to the model.
std::string ModelName(const Job& job);

/// Everything about one model, in memory. The files of an honest model are the recorded ones; tampering shows where the
/// stored bytes differ from those whose digest was recorded.
struct Product {
  std::string name, extension;  ///< Ending of the model file: ".pt", ".json", ...
  std::string recorded_model, stored_model;
  std::string recorded_predictions, stored_predictions;  ///< CSV
  std::string history;                                   ///< CSV: loss by epoch.
  nlohmann::ordered_json meta;                           ///< docs/formats/meta.md, but for artifacts and fingerprint.
  nlohmann::ordered_json truth;                          ///< docs/fleet.md; never written where the screening looks.
  double train_seconds = 0;
};

absl::StatusOr<Product> MakeProduct(const Job& job, const JobOptions& options);

/// Writes the files into `directory`, each atomically, the meta file last.
absl::Status WriteProduct(const Product& product, const std::string& directory);

/// CSV of predictions: id, y_true, y_pred, then p_0... or for two classes the score of class 1.
std::string PredictionsCsv(const Rows& rows, std::span<const float> probabilities, int classes);

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_PRODUCT_H_
