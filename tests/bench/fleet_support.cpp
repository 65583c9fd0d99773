#include "fleet_support.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "bench/fleet/options.h"
#include "engine/artifact/digest.h"

namespace driftseal::fleet {

namespace fs = std::filesystem;

std::string TestFolder() {
  const auto* info = testing::UnitTest::GetInstance()->current_test_info();
  const fs::path folder = fs::path(testing::TempDir()) / (std::string("fleet-") + info->name());
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder.string();
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

absl::StatusOr<FleetSummary> RunFleet(std::vector<std::string> arguments, bool stopped) {
  std::vector<const char*> argv = {"driftseal-fleet"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  const auto options = ParseOptions(static_cast<int>(argv.size()), argv.data());
  if (!options.ok()) return options.status();
  return MakeFleet(*options, std::atomic<bool>(stopped));
}

std::map<std::string, std::string> ReadFolder(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_regular_file()) files[entry.path().filename().string()] = ReadFile(entry.path().string());
  }
  return files;
}

std::map<std::string, nlohmann::json> ReadTruth(const std::string& path) {
  std::map<std::string, nlohmann::json> records;
  std::istringstream text(ReadFile(path));
  for (std::string line; std::getline(text, line);) {
    const auto record = nlohmann::json::parse(line);
    records[record.at("model_name")] = record;
  }
  return records;
}

std::string HexSha256(const std::string& bytes) { return artifact::Sha256(std::as_bytes(std::span(bytes))).Hex(); }

}  // namespace driftseal::fleet
