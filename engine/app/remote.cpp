#include "engine/app/remote.h"

#include <cstdlib>
#include <filesystem>

#include "engine/app/inputs.h"
#include "engine/app/tell.h"
#include "engine/artifact/text.h"

namespace driftseal::app {

absl::StatusOr<Client> ConnectEngine(const Arguments& arguments) {
  ClientOptions options;
  options.address = arguments.engine;
  options.tls.enabled =
      arguments.tls || !arguments.tls_ca.empty() || !arguments.tls_cert.empty() || !arguments.tls_key.empty();
  options.tls.ca_file = arguments.tls_ca;
  options.tls.certificate_file = arguments.tls_cert;
  options.tls.key_file = arguments.tls_key;
  options.token_file = arguments.token_file;
  options.allow_plaintext_token = arguments.plaintext_token;
  if (const char* token = std::getenv("DRIFTSEAL_TOKEN"); token != nullptr && arguments.token_file.empty()) {
    options.token = token;
  }
  Result<Client> client = Client::Create(options);
  if (!client.ok()) return absl::InvalidArgumentError(client.status().message);
  return *std::move(client);
}

absl::Status EngineError(const Arguments& arguments, const Status& status) {
  switch (status.code) {
    case Code::kInvalidArgument:
    case Code::kNotFound:
    case Code::kAlreadyExists:
    case Code::kFailedPrecondition:
    case Code::kDataLoss:
      return absl::Status(static_cast<absl::StatusCode>(status.code), status.message);
    default:
      return absl::Status(static_cast<absl::StatusCode>(status.code),
                          artifact::Cat("engine ", arguments.engine, ": ", status.ToString()));
  }
}

CallOptions WithoutLimit() {
  CallOptions options;
  options.timeout = std::chrono::milliseconds(-1);
  return options;
}

std::string BeneathRoot(const std::string& path) {
  std::filesystem::path normal = std::filesystem::path(path).lexically_normal();
  if (!normal.has_filename() && normal.has_relative_path()) normal = normal.parent_path();  // "models/"
  const std::string text = normal.generic_string();
  return text == "." ? "" : text;
}

int RemoteScreenOne(const Arguments& arguments, screen::Mode mode) {
  absl::StatusOr<Client> client = ConnectEngine(arguments);
  if (!client.ok()) return Fail(client.status());
  VerifyRequest request;
  request.path = BeneathRoot(arguments.paths.front());
  request.detector = arguments.detector;
  request.alpha = arguments.alpha;
  request.quarantine_alpha = arguments.quarantine_alpha;
  request.score_only = mode == screen::Mode::kScore;
  request.want_report_entry = true;
  request.no_replay = arguments.no_replay;
  request.priority = Priority::kHigh;
  const Result<Verdict> verdict = client->Verify(request, {}, WithoutLimit());
  if (!verdict.ok()) return Fail(EngineError(arguments, verdict.status()));
  if (verdict->outcome == Outcome::kError) return Fail(absl::UnknownError(verdict->error));
  const auto entry = nlohmann::ordered_json::parse(verdict->report_entry, nullptr, false);
  if (!entry.is_object() || !entry.value("verdict", nlohmann::ordered_json()).is_string()) {
    return Fail(absl::InternalError(artifact::Cat("engine ", arguments.engine, ": its verdict has no report entry")));
  }
  return TellEntry(arguments, entry, mode);
}

}  // namespace driftseal::app
