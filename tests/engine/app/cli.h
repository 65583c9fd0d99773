#ifndef DRIFTSEAL_TESTS_ENGINE_APP_CLI_H_
#define DRIFTSEAL_TESTS_ENGINE_APP_CLI_H_

#include <ostream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "nlohmann/json.hpp"
#include "tests/support/process.h"
#include "tests/support/temp_folder.h"

namespace driftseal::testing {

/// Runs driftseal with these arguments.
ProcessResult Driftseal(const std::vector<std::string>& arguments, const ProcessOptions& options = {});
/// The same in a folder.
ProcessResult DriftsealIn(const TempFolder& folder, const std::vector<std::string>& arguments);
std::vector<std::string> Command(const std::vector<std::string>& arguments);

void PrintTo(const ProcessResult& result, std::ostream* out);

/// Standard output as JSON, which nothing else may stand around. Fails the test when it is none, or when it is not
/// valid by docs/schemas/<schema>.
nlohmann::ordered_json JsonOf(const ProcessResult& result, const std::string& schema);

MATCHER_P(ExitsWith, code, "") { return arg.code == code; }

}  // namespace driftseal::testing

#endif  // DRIFTSEAL_TESTS_ENGINE_APP_CLI_H_
