#ifndef DRIFTSEAL_ENGINE_SCREEN_REPORT_H_
#define DRIFTSEAL_ENGINE_SCREEN_REPORT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "engine/screen/screen.h"
#include "nlohmann/json.hpp"

namespace driftseal::screen {

/// One model's entry in a report (docs/schemas/report.schema.json, "model").
nlohmann::ordered_json ToJson(const Result& result);

/// What a run came to, counted.
struct Tally {
  size_t models = 0, pass = 0, review = 0, quarantine = 0, inconclusive = 0, errors = 0, skipped = 0;
};
/// Counts one entry as ToJson wrote it, or by its verdict alone.
void Count(const nlohmann::ordered_json& entry, Tally& tally);
void Count(std::string_view verdict, Tally& tally);
nlohmann::ordered_json ToJson(const Tally& tally);

/// 0 pass, 1 review or quarantine, 3 a file could not be read, 4 inconclusive: the first of 1, 3, 4 that occurred.
int ExitCode(const Tally& tally);

}  // namespace driftseal::screen

#endif  // DRIFTSEAL_ENGINE_SCREEN_REPORT_H_
