#include "engine/serve/reflection_service.h"

#include <array>
#include <deque>
#include <set>
#include <string>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "grpc/health/v1/health.pb.h"
#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"

namespace driftseal::serve {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;

constexpr std::array kServices = {"driftseal.v1.Scoring",
                                  "driftseal.v1.Detectors",
                                  "driftseal.v1.Integrity",
                                  "driftseal.v1.Predictions",
                                  "grpc.health.v1.Health",
                                  "grpc.reflection.v1.ServerReflection",
                                  "grpc.reflection.v1alpha.ServerReflection"};

// The file and all that it imports, each before those that import it.
void Append(const FileDescriptor* file, std::set<const FileDescriptor*>& seen,
            std::vector<const FileDescriptor*>& files) {
  if (!seen.insert(file).second) return;
  for (int i = 0; i < file->dependency_count(); ++i) Append(file->dependency(i), seen, files);
  files.push_back(file);
}

template <typename Response>
void Fail(const char* message, Response& response) {
  response.mutable_error_response()->set_error_code(grpc::StatusCode::NOT_FOUND);
  response.mutable_error_response()->set_error_message(message);
}

template <typename Response>
void AnswerFile(const FileDescriptor* file, Response& response) {
  if (file == nullptr) return Fail("not found", response);
  std::set<const FileDescriptor*> seen;
  std::vector<const FileDescriptor*> files;
  Append(file, seen, files);
  // What was asked for comes first.
  for (auto it = files.rbegin(); it != files.rend(); ++it) {
    google::protobuf::FileDescriptorProto proto;
    (*it)->CopyTo(&proto);
    response.mutable_file_descriptor_response()->add_file_descriptor_proto(proto.SerializeAsString());
  }
}

template <typename Response>
void AnswerExtensions(const std::string& type, Response& response) {
  const DescriptorPool& pool = *DescriptorPool::generated_pool();
  const Descriptor* descriptor = pool.FindMessageTypeByName(type);
  if (descriptor == nullptr) return Fail("no such message", response);
  std::vector<const FieldDescriptor*> extensions;
  pool.FindAllExtensions(descriptor, &extensions);
  auto* answer = response.mutable_all_extension_numbers_response();
  answer->set_base_type_name(type);
  for (const FieldDescriptor* extension : extensions) answer->add_extension_number(extension->number());
}

template <typename Request, typename Response>
void Answer(const Request& request, Response& response) {
  const DescriptorPool& pool = *DescriptorPool::generated_pool();
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case Request::kFileByFilename:
      return AnswerFile(pool.FindFileByName(request.file_by_filename()), response);
    case Request::kFileContainingSymbol:
      return AnswerFile(pool.FindFileContainingSymbol(request.file_containing_symbol()), response);
    case Request::kFileContainingExtension: {
      const auto& wanted = request.file_containing_extension();
      const Descriptor* type = pool.FindMessageTypeByName(wanted.containing_type());
      const FieldDescriptor* extension =
          type == nullptr ? nullptr : pool.FindExtensionByNumber(type, wanted.extension_number());
      return AnswerFile(extension == nullptr ? nullptr : extension->file(), response);
    }
    case Request::kAllExtensionNumbersOfType:
      return AnswerExtensions(request.all_extension_numbers_of_type(), response);
    case Request::kListServices:
      for (const char* name : kServices) response.mutable_list_services_response()->add_service()->set_name(name);
      return;
    case Request::MESSAGE_REQUEST_NOT_SET:
      response.mutable_error_response()->set_error_code(grpc::StatusCode::INVALID_ARGUMENT);
      response.mutable_error_response()->set_error_message("nothing was asked for");
      return;
  }
}

// One question at a time, each answered before the next is read.
template <typename Request, typename Response>
class Conversation final : public grpc::ServerBidiReactor<Request, Response> {
 public:
  Conversation() { this->StartRead(&request_); }
  void OnReadDone(bool ok) override {
    if (!ok) return this->Finish(grpc::Status::OK);
    response_.Clear();
    Answer(request_, response_);
    this->StartWrite(&response_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return this->Finish(grpc::Status::CANCELLED);
    request_.Clear();
    this->StartRead(&request_);
  }
  void OnDone() override { delete this; }

 private:
  Request request_;
  Response response_;
};

template <typename Service, typename Request, typename Response>
class Reflection final : public Service {
 public:
  grpc::ServerBidiReactor<Request, Response>* ServerReflectionInfo(grpc::CallbackServerContext*) override {
    return new Conversation<Request, Response>;
  }
};

namespace now = grpc::reflection::v1;
namespace older = grpc::reflection::v1alpha;

}  // namespace

struct ReflectionService::State {
  Reflection<now::ServerReflection::CallbackService, now::ServerReflectionRequest, now::ServerReflectionResponse> v1;
  Reflection<older::ServerReflection::CallbackService, older::ServerReflectionRequest, older::ServerReflectionResponse>
      v1alpha;
};

ReflectionService::ReflectionService() : state_(std::make_unique<State>()) {
  // So that the linker keeps the descriptor of gRPC's own health service, too.
  grpc::health::v1::HealthCheckRequest::descriptor();
}
ReflectionService::~ReflectionService() = default;

void ReflectionService::Register(grpc::ServerBuilder& builder) {
  builder.RegisterService(&state_->v1);
  builder.RegisterService(&state_->v1alpha);
}

}  // namespace driftseal::serve
