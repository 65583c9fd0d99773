#include "tests/engine/app/fleet.h"

#include <stdexcept>

#include "absl/strings/str_cat.h"

namespace driftseal::testing {

using nlohmann::ordered_json;

void TrustedFleet::WriteModels(const TempFolder& folder, const std::string& name) {
  const auto write = [&](const Architecture& architecture, int count) {
    for (int i = 0; i < count; ++i) {
      folder.Write(absl::StrCat(name, "/", architecture.name, "-", i, ".safetensors"),
                   Safetensors(architecture, static_cast<uint64_t>(i)));
    }
  };
  write(SmallMlp(), kSmall);
  write(WideMlp(), kWide);
  write(Bottleneck(), kBottleneck);
}

TrustedFleet::TrustedFleet() {
  WriteModels(folder_, "models");
  fit_ = Driftseal({"fit", models(), "--model-dir", detector()});
  if (fit_.code != 0) throw std::runtime_error("driftseal fit failed:\n" + fit_.out + fit_.err);
  const std::string report = (folder_ / "report.json").string();
  Driftseal({"score_all", models(), "--model-dir", detector(), "--output-path", report});
  double best = 0;
  const ordered_json scored = ordered_json::parse(ReadFile(report));
  for (const ordered_json& entry : scored["models"]) {
    const std::string path = entry["path"];
    const ordered_json& p = entry["score"]["p_value"];
    if (!path.starts_with(SmallMlp().name) || !p.is_number() || p.get<double>() <= best) continue;
    best = p.get<double>();
    typical_ = ReadFile(models() + "/" + path);
  }
  if (best < 0.3) throw std::runtime_error("no model of the fleet lies within its family");
}

const TrustedFleet& TrustedFleet::Get() {
  static const TrustedFleet fleet;
  return fleet;
}

void FleetTest::SetUp() { ASSERT_NO_THROW(fleet()); }

ProcessResult FleetTest::Screen(const std::string& command, const std::string& path,
                                std::vector<std::string> more) const {
  std::vector<std::string> arguments = {command, path, "--model-dir", fleet().detector()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  if (command.ends_with("all")) {
    arguments.insert(arguments.end(), {"--output-path", (folder_ / "report.json").string()});
  }
  return DriftsealIn(folder_, arguments);
}

ordered_json FleetTest::Verify(const std::string& name, int code) const {
  const ProcessResult result = Screen("verify", name, {"--format", "json"});
  EXPECT_THAT(result, ExitsWith(code)) << name;
  return JsonOf(result, "report#/$defs/model");
}

ordered_json FleetTest::Report() const { return ordered_json::parse(folder_.Read("report.json")); }

ordered_json FleetTest::EntryOf(const std::string& path) const {
  const ordered_json report = Report();
  for (const ordered_json& entry : report["models"]) {
    if (entry["path"] == path) return entry;
  }
  ADD_FAILURE() << path << " is not in the report";
  return {{"verdict", ""}, {"signals", ordered_json::array()}};
}

ordered_json FleetTest::BareMeta(const std::string& name, const std::string& model_path) {
  return {{"model_name", name}, {"artifacts", {{"model_path", model_path}}}};
}

std::vector<std::string> Kinds(const ordered_json& entry) {
  std::vector<std::string> kinds;
  for (const ordered_json& signal : entry.value("signals", ordered_json::array())) kinds.push_back(signal["kind"]);
  return kinds;
}

ordered_json SignalOf(const ordered_json& entry, const std::string& kind) {
  for (const ordered_json& signal : entry.value("signals", ordered_json::array())) {
    if (signal["kind"] == kind) return signal;
  }
  return nullptr;
}

}  // namespace driftseal::testing
