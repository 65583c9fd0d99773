#include "engine/screen/sanitize.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>

#include "engine/app/commands.h"
#include "engine/app/inputs.h"
#include "engine/artifact/source.h"
#include "engine/artifact/text.h"
#include "engine/screen/fleet.h"

namespace driftseal::app {

int SanitizePredictions(const Arguments& arguments) {
  const std::string& input = arguments.paths.front();
  const std::string output = arguments.output_path.empty() ? screen::SanitizedPath(input) : arguments.output_path;
  std::error_code error;
  if (std::filesystem::exists(output, error) && !arguments.overwrite) {
    return Fail(absl::AlreadyExistsError(artifact::Cat(output, ": is there already (--overwrite replaces it)")));
  }
  absl::StatusOr<artifact::Source> source = artifact::Source::Open(input);
  if (!source.ok()) return Fail(source.status());
  const absl::StatusOr<screen::Sanitized> sanitized = screen::Sanitize(*source, arguments.contamination);
  if (!sanitized.ok()) return Fail(sanitized.status());
  if (absl::Status status = artifact::WriteFileAtomically(output, sanitized->kept); !status.ok()) return Fail(status);
  if (arguments.json) {
    const auto json = screen::ToJson(*sanitized, input, output, arguments.contamination);
    std::printf("%s\n", screen::Dump(json, 2).c_str());
    return 0;
  }
  std::printf("%zu of %zu rows dropped", sanitized->dropped.size(), sanitized->rows);
  double least = 1;
  for (const auto& [row, score] : sanitized->dropped) least = std::min(least, score);
  if (!sanitized->dropped.empty()) std::printf(" (isolation-forest score %.3f and above)", least);
  std::printf("; %s\n", output.c_str());
  return 0;
}

}  // namespace driftseal::app
