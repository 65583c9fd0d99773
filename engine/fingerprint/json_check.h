#ifndef DRIFTSEAL_ENGINE_FINGERPRINT_JSON_CHECK_H_
#define DRIFTSEAL_ENGINE_FINGERPRINT_JSON_CHECK_H_

#include <string_view>

#include "absl/status/status.h"

namespace driftseal::fingerprint {

/// Why a text is not the strict JSON that a meta file must be: InvalidArgument naming file, line, the path of the field
/// and what was expected there. `parser_message` is what the fast parser said, for what a second reading cannot tell.
absl::Status ExplainBadJson(std::string_view json, std::string_view file_name, int depth_limit,
                            std::string_view parser_message);

}  // namespace driftseal::fingerprint

#endif  // DRIFTSEAL_ENGINE_FINGERPRINT_JSON_CHECK_H_
