#ifndef DRIFTSEAL_TESTS_ENGINE_APP_FLEET_H_
#define DRIFTSEAL_TESTS_ENGINE_APP_FLEET_H_

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "nlohmann/json.hpp"
#include "tests/engine/app/cli.h"
#include "tests/support/model_files.h"
#include "tests/support/temp_folder.h"

namespace driftseal::testing {

/// Bare safetensors files as a new user has them, and the detector that `driftseal fit` made of them: 60 small MLPs, 50
/// wide ones and 3 bottlenecks.
class TrustedFleet {
 public:
  static constexpr int kSmall = 60, kWide = 50, kBottleneck = 3;
  static constexpr int kModels = kSmall + kWide + kBottleneck;

  /// Made once a process; throws when it cannot be.
  static const TrustedFleet& Get();
  /// Writes those models into folder/`name`.
  static void WriteModels(const TempFolder& folder, const std::string& name);

  std::string models() const { return (folder_ / "models").string(); }
  std::string detector() const { return (folder_ / "detector").string(); }
  const ProcessResult& fit() const { return fit_; }
  /// Bytes of the small MLP that lies deepest in its family: one that passes.
  const std::string& typical() const { return typical_; }

 private:
  TrustedFleet();
  TempFolder folder_;
  ProcessResult fit_;
  std::string typical_;
};

/// A test that needs the fleet.
class FleetTest : public ::testing::Test {
 protected:
  void SetUp() override;
  const TrustedFleet& fleet() const { return TrustedFleet::Get(); }
  /// driftseal `command` `path` with the fleet's detector, and a report in the test's folder.
  ProcessResult Screen(const std::string& command, const std::string& path, std::vector<std::string> more = {}) const;
  /// verify of one file, as JSON.
  nlohmann::ordered_json Verify(const std::string& name, int code) const;
  nlohmann::ordered_json Report() const;
  /// The entry of a path in the report; an empty one when there is none.
  nlohmann::ordered_json EntryOf(const std::string& path) const;
  /// A meta file that puts its model into the family of the bare ones.
  static nlohmann::ordered_json BareMeta(const std::string& name, const std::string& model_path);

  TempFolder folder_;
};

/// Kinds of the signals of an entry, in their order.
std::vector<std::string> Kinds(const nlohmann::ordered_json& entry);
/// The first signal of this kind; null when there is none.
nlohmann::ordered_json SignalOf(const nlohmann::ordered_json& entry, const std::string& kind);

}  // namespace driftseal::testing

#endif  // DRIFTSEAL_TESTS_ENGINE_APP_FLEET_H_
