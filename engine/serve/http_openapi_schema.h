#ifndef DRIFTSEAL_ENGINE_SERVE_HTTP_OPENAPI_SCHEMA_H_
#define DRIFTSEAL_ENGINE_SERVE_HTTP_OPENAPI_SCHEMA_H_

#include <map>
#include <string>
#include <string_view>

#include "google/protobuf/descriptor.h"
#include "nlohmann/json.hpp"

namespace driftseal::serve {

/// Schemas of messages by the proto3 JSON mapping, gathered as they are referred to.
class OpenApiSchemas {
 public:
  /// `descriptors`: a serialised FileDescriptorSet with source information.
  explicit OpenApiSchemas(std::string_view descriptors);

  /// {"$ref": ...}; the message and what it holds will be among the schemas. Of a request unknown fields are refused,
  /// and every field may be left out; of an answer fields without presence are always there.
  nlohmann::ordered_json Reference(const google::protobuf::Descriptor* message, bool request = false);
  /// The schema of one field that holds no message.
  nlohmann::ordered_json Field(const google::protobuf::FieldDescriptor* field, bool description) const;
  /// All that were referred to, by name.
  nlohmann::ordered_json Take() const;

  /// The comment before a declaration, its lines joined; empty where there is none.
  std::string Comment(const google::protobuf::Descriptor* message) const;
  std::string Comment(const google::protobuf::FieldDescriptor* field) const;
  std::string Comment(const google::protobuf::MethodDescriptor* method) const;
  std::string Comment(const google::protobuf::ServiceDescriptor* service) const;

 private:
  nlohmann::ordered_json Message(const google::protobuf::Descriptor* message, bool request);
  nlohmann::ordered_json Property(const google::protobuf::FieldDescriptor* field, bool request);

  google::protobuf::DescriptorPool pool_;
  std::map<std::string, nlohmann::ordered_json> schemas_;
  std::map<std::string, bool> of_request_;  ///< Who has which of them under its own name.
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_HTTP_OPENAPI_SCHEMA_H_
