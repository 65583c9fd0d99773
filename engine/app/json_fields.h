#ifndef DRIFTSEAL_ENGINE_APP_JSON_FIELDS_H_
#define DRIFTSEAL_ENGINE_APP_JSON_FIELDS_H_

#include <cstdint>
#include <limits>
#include <string>

#include "nlohmann/json.hpp"

// Fields of reports. One may come from an engine of another version: what is not there, or of another type, is empty.
namespace driftseal::app {

inline const nlohmann::ordered_json& PartOf(const nlohmann::ordered_json& object, const char* field) {
  static const nlohmann::ordered_json none;
  const auto found = object.find(field);
  return found == object.end() ? none : *found;
}

inline std::string TextOf(const nlohmann::ordered_json& object, const char* field) {
  const nlohmann::ordered_json& value = PartOf(object, field);
  return value.is_string() ? value.get<std::string>() : "";
}

/// NaN where there is none: JSON has no other word for it than null.
inline double NumberOf(const nlohmann::ordered_json& object, const char* field) {
  const nlohmann::ordered_json& value = PartOf(object, field);
  return value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

inline uint64_t CountOf(const nlohmann::ordered_json& object, const char* field) {
  const nlohmann::ordered_json& value = PartOf(object, field);
  return value.is_number_integer() && value >= 0 ? value.get<uint64_t>() : 0;
}

inline bool FlagOf(const nlohmann::ordered_json& object, const char* field) { return PartOf(object, field) == true; }

}  // namespace driftseal::app

#endif  // DRIFTSEAL_ENGINE_APP_JSON_FIELDS_H_
