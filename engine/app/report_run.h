#ifndef DRIFTSEAL_ENGINE_APP_REPORT_RUN_H_
#define DRIFTSEAL_ENGINE_APP_REPORT_RUN_H_

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/app/arguments.h"
#include "engine/screen/fleet.h"
#include "nlohmann/json.hpp"

// A fleet's report: the journal that outlives a crash, the list, the summary. Who screens, this program or an engine,
// is the source's affair.
namespace driftseal::app {

/// score_all or verify_all.
struct FleetCommand {
  std::string name, report_name;
  screen::Mode mode;
};

/// Entries in the order of the subjects; nothing at the end. An error ends the run, which can be gone on with.
using NextEntry = std::function<absl::StatusOr<std::optional<screen::Entry>>()>;

struct FleetSource {
  std::string root;  ///< As the report names it.
  std::vector<screen::Subject> subjects;
  nlohmann::ordered_json detector;  ///< As in the report's header; null: none.
  nlohmann::ordered_json replay;    ///< As in the report's header; null: nothing is run.
  std::string where;                ///< Where no detector was found, if there is none.
  /// Begins to screen at the subject of this index.
  std::function<NextEntry(size_t first)> begin;
};

/// "detector" of a report's header.
nlohmann::ordered_json DetectorJson(const std::string& name, int version, const std::string& schema,
                                    const std::string& sha256);

/// Screens all subjects of the source, goes on with an interrupted run, writes the report and tells what it came to.
/// The exit code.
int RunReport(const Arguments& arguments, const FleetCommand& command, const FleetSource& source,
              std::chrono::steady_clock::time_point start);

}  // namespace driftseal::app

#endif  // DRIFTSEAL_ENGINE_APP_REPORT_RUN_H_
