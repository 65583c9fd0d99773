#include "files.h"

#include <cstdint>
#include <cstring>

namespace driftseal::replay {

CanarySet SmallSet() {
  CanarySet set;
  set.name = "small";
  set.domain = "vision";
  set.task = "shapes";
  set.shape = {1, 3, 4};
  set.image = {1, 3, 4};
  set.classes = 4;
  for (size_t i = 0; i < 36; ++i) set.inputs.push_back(static_cast<float>(i) / 36);
  set.labels = {0, 3, -1};
  return set;
}

std::string EditFile(const std::string& file, const std::function<void(nlohmann::json&)>& edit) {
  uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof(length));
  nlohmann::json header = nlohmann::json::parse(file.substr(sizeof(length), length));
  edit(header);
  const std::string text = header.dump(), data = file.substr(sizeof(length) + length);
  length = text.size();
  std::string edited(sizeof(length), '\0');
  std::memcpy(edited.data(), &length, sizeof(length));
  return edited + text + data;
}

void EditText(nlohmann::json& header, const std::string& name, const std::function<void(nlohmann::json&)>& edit) {
  nlohmann::json& place = header["__metadata__"][name];
  nlohmann::json json = nlohmann::json::parse(place.get<std::string>());
  edit(json);
  place = json.dump();
}

}  // namespace driftseal::replay
