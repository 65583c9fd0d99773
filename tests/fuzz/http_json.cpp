// Requests of the HTTP gateway, "METHOD TARGET\nBODY": any bytes either become the message of a method or are refused
// as INVALID_ARGUMENT with a message; a message that was made is written as JSON and read again as the same.
#include "engine/serve/http_json.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "engine/serve/http_routes.h"
#include "engine/serve/http_status.h"

namespace {

using driftseal::serve::HttpRoutes;

void Require(bool holds) {
  if (!holds) std::abort();
}

void RequireRefusal(const absl::Status& status) {
  Require(status.code() == absl::StatusCode::kInvalidArgument && !status.message().empty());
  Require(driftseal::serve::HttpErrorReply(status, "id").status == 400);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const HttpRoutes routes = *HttpRoutes::OfContract();
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\n'), input.size());
  const std::string_view line = input.substr(0, end), body = input.substr(std::min(end + 1, size));
  const std::string_view method = line.substr(0, line.find(' '));
  const std::string_view target = line.substr(std::min(method.size() + 1, line.size()));
  const std::string_view path = target.substr(0, target.find('?'));
  const std::string_view query = target.substr(std::min(path.size() + 1, target.size()));

  const auto match = routes.Find(method, path);
  if (!match.ok()) return RequireRefusal(match.status()), 0;
  if (match->route == nullptr) return 0;
  Require(!match->allow.empty());
  const auto* prototype =
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(match->route->method->input_type());
  const std::unique_ptr<google::protobuf::Message> request(prototype->New()), again(prototype->New());
  const absl::Status filled = FillRequest(*match->route, match->captures, query, body, request.get());
  if (!filled.ok()) return RequireRefusal(filled), 0;
  // The mapping keeps all but the sign of zero.
  const std::unique_ptr<google::protobuf::Message> last(prototype->New());
  std::string text, text_again;
  Require(driftseal::serve::ToJson(*request, &text).ok());
  Require(driftseal::serve::FromJson(text, again.get()).ok());
  Require(driftseal::serve::ToJson(*again, &text_again).ok());
  Require(driftseal::serve::FromJson(text_again, last.get()).ok());
  Require(last->SerializeAsString() == again->SerializeAsString());
  return 0;
}
