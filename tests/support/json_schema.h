#ifndef DRIFTSEAL_TESTS_SUPPORT_JSON_SCHEMA_H_
#define DRIFTSEAL_TESTS_SUPPORT_JSON_SCHEMA_H_

#include <string>
#include <vector>

#include "nlohmann/json.hpp"

namespace driftseal::testing {

/// What is wrong with `value` by a JSON Schema (draft 2020-12), each line with the place as a JSON pointer; empty when
/// it is valid. Knows the keywords that docs/schemas uses and throws std::invalid_argument for any other, so that none
/// is passed over in silence.
std::vector<std::string> SchemaErrors(const nlohmann::json& schema, const nlohmann::json& value);

/// The same for docs/schemas/<name>.schema.json; "report#/$defs/model" for a part of it.
std::vector<std::string> PublishedSchemaErrors(const std::string& name, const nlohmann::json& value);

}  // namespace driftseal::testing

#endif  // DRIFTSEAL_TESTS_SUPPORT_JSON_SCHEMA_H_
