#include "engine/app/replaying.h"

#include <memory>
#include <string>
#include <utility>

#include "engine/app/replay.h"
#include "engine/artifact/text.h"
#include "engine/screen/canary_sets.h"

namespace driftseal::app {
namespace {

absl::StatusOr<screen::Replaying> RunOn(const Arguments& arguments, std::vector<canary::SetFile> sets,
                                        const char* way_out) {
  absl::StatusOr<std::shared_ptr<canary::ReplayPool>> pool = StartReplay(arguments);
  if (!pool.ok()) {
    return absl::Status(pool.status().code(), artifact::Cat(std::string(pool.status().message()), "; ", way_out));
  }
  return screen::Replaying{
      std::make_shared<canary::Prober>(*std::move(pool), canary::SetsOf(std::move(sets)), replay::ProbeOptions()), ""};
}

}  // namespace

absl::StatusOr<screen::Replaying> OpenReplaying(const Arguments& arguments, const detector::Detector* detector) {
  if (detector == nullptr) return screen::Replaying();
  const std::vector<canary::SetId> ids = screen::CanarySetsOf(*detector);
  if (ids.empty()) return screen::Replaying();
  if (arguments.no_replay) return screen::Replaying{nullptr, screen::kNoReplay};
  absl::StatusOr<std::vector<canary::SetFile>> sets = canary::LoadSets(arguments.model_dir, ids);
  if (!sets.ok()) return sets.status();
  return RunOn(arguments, *std::move(sets), "--no-replay reads the models' files alone");
}

absl::StatusOr<screen::Replaying> OpenReplaying(const Arguments& arguments, const std::vector<canary::SetFile>& sets) {
  if (sets.empty()) return screen::Replaying();
  return RunOn(arguments, sets, "without --canary the models' files are read alone");
}

nlohmann::ordered_json ReplayJson(const std::vector<canary::SetId>& sets) {
  if (sets.empty()) return nullptr;
  auto json = nlohmann::ordered_json::array();
  for (const canary::SetId& id : sets) json.push_back({{"name", id.name}, {"sha256", id.sha256}});
  return {{"canary_sets", std::move(json)}};
}

}  // namespace driftseal::app
