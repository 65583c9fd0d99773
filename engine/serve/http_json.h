#ifndef DRIFTSEAL_ENGINE_SERVE_HTTP_JSON_H_
#define DRIFTSEAL_ENGINE_SERVE_HTTP_JSON_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "google/protobuf/message.h"

// JSON to messages and back, by the proto3 JSON mapping: names as in the .proto files, NaN and infinities as strings,
// 64-bit integers as strings.
namespace driftseal::serve {

/// `text` must be one strict JSON object; empty text is an empty message. InvalidArgument, naming the field, for
/// fields that the message lacks, fields given twice, values of the wrong type or out of range, and nesting deeper
/// than 32. Takes fields in camelCase as well.
absl::Status FromJson(std::string_view text, google::protobuf::Message* message);

/// Appends one line without its end. Fields without presence are there even when they are zero.
absl::Status ToJson(const google::protobuf::Message& message, std::string* out);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_HTTP_JSON_H_
