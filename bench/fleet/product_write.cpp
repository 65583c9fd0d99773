#include <filesystem>
#include <span>

#include "absl/strings/str_cat.h"
#include "bench/fleet/product.h"
#include "engine/artifact/digest.h"
#include "engine/artifact/source.h"

namespace driftseal::fleet {
namespace {

std::string HexSha256(const std::string& bytes) { return artifact::Sha256(std::as_bytes(std::span(bytes))).Hex(); }

}  // namespace

absl::Status WriteProduct(const Product& product, const std::string& directory) {
  const std::string model_file = product.name + product.extension, meta_file = product.name + ".meta.json";
  const std::string predictions_file = product.name + ".predictions.csv", history_file = product.name + ".history.csv";
  nlohmann::ordered_json meta = product.meta;
  meta["artifacts"] = {{"metadata_path", meta_file},
                       {"model_path", model_file},
                       {"predictions_path", predictions_file},
                       {"related_paths", {history_file}}};
  meta["fingerprint"] = {{"model_sha256", HexSha256(product.recorded_model)},
                         {"predictions_sha256", HexSha256(product.recorded_predictions)},
                         {"related_sha256", {{history_file, HexSha256(product.history)}}}};
  const std::string text = meta.dump(2) + "\n";
  const std::pair<const std::string&, const std::string&> files[] = {{model_file, product.stored_model},
                                                                     {predictions_file, product.stored_predictions},
                                                                     {history_file, product.history},
                                                                     {meta_file, text}};  // last: it says "complete"
  for (const auto& [file, bytes] : files) {
    const absl::Status status =
        artifact::WriteFileAtomically((std::filesystem::path(directory) / file).string(), bytes);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace driftseal::fleet
