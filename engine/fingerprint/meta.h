#ifndef DRIFTSEAL_ENGINE_FINGERPRINT_META_H_
#define DRIFTSEAL_ENGINE_FINGERPRINT_META_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/artifact/digest.h"
#include "engine/artifact/source.h"

namespace driftseal::fingerprint {

/// A `*.meta.json` (docs/formats/meta.md). Every field except `model_name` may be missing; numbers are finite.
struct ModelMeta {
  std::string model_name, domain, model_kind, framework;
  // artifacts
  std::string metadata_path, model_path, predictions_path, canary_path;
  std::vector<std::string> related_paths;
  // promotion
  std::string task, primary_metric;
  std::optional<double> primary, baseline;
  std::optional<bool> eligible;
  // training
  std::optional<double> training_seconds, parameter_count, training_samples, final_loss, train_score;
  std::map<std::string, double> recipe;                ///< Numeric recipe covariates: epochs, learning_rate, width, ...
  std::map<std::string, std::string> recipe_category;  ///< The others: optimizer, ...
  // fingerprint: digests recorded when the model was made
  std::optional<artifact::Digest> model_sha256, predictions_sha256;
  std::optional<artifact::Digest> canary_sha256, behaviour_hash;
  std::map<std::string, artifact::Digest> related_sha256;
};

inline constexpr uint64_t kMetaLimitBytes = 4u << 20;
inline constexpr int kMetaDepthLimit = 32;

/// InvalidArgument naming file, field (as a path, "promotion.primary") and expectation.
absl::StatusOr<ModelMeta> ParseMeta(std::string_view json, std::string_view file_name);
absl::StatusOr<ModelMeta> ReadMeta(const artifact::Source& source);

/// The meta file's text with the fields of `fingerprint` (digests) set and everything else kept as it was, in the same
/// order. Used by backfill_hashes and describe.
absl::StatusOr<std::string> WithRecordedDigests(std::string_view json, std::string_view file_name,
                                                const std::map<std::string, artifact::Digest>& fields,
                                                const std::map<std::string, artifact::Digest>& related, bool overwrite);

}  // namespace driftseal::fingerprint

#endif  // DRIFTSEAL_ENGINE_FINGERPRINT_META_H_
