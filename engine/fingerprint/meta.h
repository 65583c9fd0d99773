#ifndef DRIFTSEAL_ENGINE_FINGERPRINT_META_H_
#define DRIFTSEAL_ENGINE_FINGERPRINT_META_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/artifact/digest.h"
#include "engine/artifact/source.h"

namespace driftseal::fingerprint {

/// What the model takes, where its meta file says so.
struct ModelInputs {
  std::vector<uint32_t> shape;  ///< Of one input, without the batch dimension; 1 to 8 sizes, none of them 0.
  std::vector<uint32_t> image;  ///< Channels, height, width of images (as many elements as shape); empty for tables.
  double low = 0, high = 1;     ///< Range of the values; low < high.
};

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
  std::optional<ModelInputs> inputs;
  // fingerprint: digests recorded when the model was made
  std::optional<artifact::Digest> model_sha256, predictions_sha256, canary_sha256;
  std::optional<artifact::Digest> behaviour_hash;  ///< Of the outputs in the canary file (docs/formats/canary.md).
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

/// What was recorded of a model's canaries.
struct RecordedCanaries {
  std::string path;  ///< artifacts.canary_path; at most 4,096 bytes of UTF-8.
  artifact::Digest sha256, behaviour_hash;
};
/// The meta file's text with artifacts.canary_path, fingerprint.canary_sha256 and fingerprint.behaviour_hash replaced,
/// and everything else kept as it was, in the same order.
absl::StatusOr<std::string> WithRecordedCanaries(std::string_view json, std::string_view file_name,
                                                 const RecordedCanaries& canaries);

}  // namespace driftseal::fingerprint

#endif  // DRIFTSEAL_ENGINE_FINGERPRINT_META_H_
