#ifndef DRIFTSEAL_ENGINE_APP_TELL_H_
#define DRIFTSEAL_ENGINE_APP_TELL_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/app/arguments.h"
#include "engine/screen/backfill.h"
#include "engine/screen/screen.h"
#include "nlohmann/json.hpp"

// What a command says, made from its JSON: whoever did the work, this program or an engine, it reads the same.
namespace driftseal::app {

/// One model's entry of a report (docs/schemas/report.schema.json, "model"). Writes it to --output-path where asked,
/// prints it as text or JSON, and gives the exit code. Of Mode::kVerify the picture in the evidence of its trigger test
/// becomes a file.
int TellEntry(const Arguments& arguments, const nlohmann::ordered_json& entry, screen::Mode mode);

/// Writes the picture of the triggered input that the entry holds to --picture, or beneath --model-dir, and says where;
/// empty where it holds none, or where JSON is printed and no path was given.
absl::StatusOr<std::string> WritePicture(const Arguments& arguments, const nlohmann::ordered_json& entry);

/// What was fitted (fit.schema.json): `place` is where it lies, `next` the flags by which the next command finds it.
void TellFit(const Arguments& arguments, const nlohmann::ordered_json& summary, double seconds,
             const std::string& place, const std::string& next);

/// What became of meta files (backfill.schema.json, describe.schema.json; `format` is that field). The exit code.
int TellChanges(const Arguments& arguments, const std::vector<screen::Change>& changes, const char* format);

/// What became of a predictions CSV (sanitize.schema.json).
void TellSanitized(const Arguments& arguments, const nlohmann::ordered_json& report);

}  // namespace driftseal::app

#endif  // DRIFTSEAL_ENGINE_APP_TELL_H_
