#ifndef DRIFTSEAL_ENGINE_SCREEN_SANITIZE_H_
#define DRIFTSEAL_ENGINE_SCREEN_SANITIZE_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/artifact/source.h"
#include "nlohmann/json.hpp"

namespace driftseal::screen {

/// A predictions CSV without the rows that stand out most.
struct Sanitized {
  size_t rows = 0;                                 ///< Of the input.
  std::vector<std::pair<size_t, double>> dropped;  ///< Row (from 1, the header not counted) and score, by row.
  std::string kept;                                ///< The header and the other rows, byte for byte.
};

/// Drops the share `contamination` (0 to 0.5, rounded down) of the rows with the highest isolation-forest scores; of
/// equal scores the later rows stay. InvalidArgument naming the file for one that is no CSV or has no rows with a
/// numeric column to judge by; errors of reading.
absl::StatusOr<Sanitized> Sanitize(const artifact::Source& source, double contamination);

/// "p.sanitized.csv" for "p.csv".
std::string SanitizedPath(const std::string& predictions_path);

/// docs/schemas/sanitize.schema.json.
nlohmann::ordered_json ToJson(const Sanitized& sanitized, const std::string& predictions_path,
                              const std::string& output_path, double contamination);

}  // namespace driftseal::screen

#endif  // DRIFTSEAL_ENGINE_SCREEN_SANITIZE_H_
