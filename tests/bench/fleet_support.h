#ifndef DRIFTSEAL_TESTS_BENCH_FLEET_SUPPORT_H_
#define DRIFTSEAL_TESTS_BENCH_FLEET_SUPPORT_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/fleet/fleet.h"
#include "nlohmann/json.hpp"

namespace driftseal::fleet {

/// A fresh folder of the running test.
std::string TestFolder();
std::string ReadFile(const std::string& path);
/// Runs the program's own parsing and making, with these arguments.
absl::StatusOr<FleetSummary> RunFleet(std::vector<std::string> arguments, bool stopped = false);
/// File name → bytes of all regular files of a folder.
std::map<std::string, std::string> ReadFolder(const std::string& folder);
/// model_name → record
std::map<std::string, nlohmann::json> ReadTruth(const std::string& path);
std::string HexSha256(const std::string& bytes);

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_TESTS_BENCH_FLEET_SUPPORT_H_
