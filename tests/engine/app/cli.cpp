#include "tests/engine/app/cli.h"

#include "tests/support/json_schema.h"

namespace driftseal::testing {

std::vector<std::string> Command(const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {DRIFTSEAL_PROGRAM};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

ProcessResult Driftseal(const std::vector<std::string>& arguments, const ProcessOptions& options) {
  return Run(Command(arguments), options);
}

ProcessResult DriftsealIn(const TempFolder& folder, const std::vector<std::string>& arguments) {
  ProcessOptions options;
  options.folder = folder.string();
  return Driftseal(arguments, options);
}

void PrintTo(const ProcessResult& result, std::ostream* out) {
  *out << "code " << result.code << ", signal " << result.signal << "\n--- standard output\n"
       << result.out << "--- standard error\n"
       << result.err;
}

nlohmann::ordered_json JsonOf(const ProcessResult& result, const std::string& schema) {
  nlohmann::ordered_json json = nlohmann::ordered_json::parse(result.out, nullptr, false);
  EXPECT_FALSE(json.is_discarded()) << "standard output is no JSON:\n"
                                    << result.out << "\nstandard error:\n"
                                    << result.err;
  if (json.is_discarded()) return {};
  EXPECT_THAT(PublishedSchemaErrors(schema, nlohmann::json(json)), ::testing::IsEmpty());
  return json;
}

}  // namespace driftseal::testing
