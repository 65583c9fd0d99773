#include "engine/screen/sanitize.h"

#include <filesystem>
#include <string>
#include <system_error>

#include "engine/app/commands.h"
#include "engine/app/inputs.h"
#include "engine/app/remote.h"
#include "engine/app/tell.h"
#include "engine/artifact/source.h"
#include "engine/artifact/text.h"

namespace driftseal::app {

int SanitizePredictions(const Arguments& arguments) {
  if (!arguments.engine.empty()) return RemoteSanitize(arguments);
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
  TellSanitized(arguments, screen::ToJson(*sanitized, input, output, arguments.contamination));
  return 0;
}

}  // namespace driftseal::app
