#include "engine/fingerprint/schema.h"

#include <cstdio>

#include "engine/app/commands.h"
#include "engine/screen/fleet.h"

namespace driftseal::app {

int PrintSchema(const Arguments& arguments) {
  const fingerprint::Schema& schema = fingerprint::ModelSchema();
  if (!arguments.json) {
    std::fputs(fingerprint::SchemaMarkdown(schema).c_str(), stdout);
    return 0;
  }
  nlohmann::ordered_json json = {{"name", schema.name}, {"version", schema.version}, {"digest", schema.digest}};
  auto features = nlohmann::ordered_json::array();
  for (const fingerprint::Feature& feature : schema.features) {
    features.push_back({{"name", feature.name},
                        {"group", fingerprint::GroupName(feature.group)},
                        {"unit", feature.unit},
                        {"definition", feature.definition}});
  }
  json["features"] = std::move(features);
  std::printf("%s\n", screen::Dump(json, 2).c_str());
  return 0;
}

}  // namespace driftseal::app
