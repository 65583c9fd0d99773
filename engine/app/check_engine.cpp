#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "engine/app/inputs.h"
#include "engine/app/serve.h"
#include "engine/app/terminal.h"
#include "engine/artifact/atomic_file.h"
#include "engine/artifact/posix.h"
#include "engine/artifact/text.h"
#include "engine/detector/detector.h"
#include "engine/serve/engine.h"
#include "engine/serve/replay_program.h"
#include "engine/serve/tokens.h"

namespace driftseal::app {
namespace {

namespace fs = std::filesystem;
using artifact::Cat;
using serve::Options;

absl::Status Named(const char* setting, const absl::Status& status) {
  return status.ok() ? status : absl::Status(status.code(), Cat(setting, ": ", status.message()));
}

// Where it, or the nearest folder above it that is there, may be written to.
absl::Status CheckWritable(const std::string& folder) {
  std::error_code error;
  fs::path there = fs::absolute(folder, error);
  while (!fs::exists(there, error) && there.has_relative_path()) there = there.parent_path();
  if (!fs::is_directory(there, error)) return absl::FailedPreconditionError(Cat(there.string(), ": is no folder"));
  if (::access(there.c_str(), W_OK | X_OK) == 0) return absl::OkStatus();
  return artifact::ErrnoStatus(errno, there.string(), "cannot be written to");
}

absl::StatusOr<std::string> DetectorLine(const Options& options) {
  std::error_code error;
  if (options.model_dir.empty() || !fs::exists(fs::path(options.model_dir) / "detector_state.json", error)) {
    return Cat("none in ", options.model_dir, ": what state_dir holds, or is fitted or loaded later");
  }
  const absl::StatusOr<detector::Detector> loaded = detector::Detector::Load(options.model_dir);
  if (!loaded.ok()) return Named("model_dir", loaded.status());
  return Cat(loaded->name(), "@", loaded->version(), " of ", options.model_dir, ", ", loaded->families().size(),
             " families");
}

absl::StatusOr<std::string> CallersLine(const Options& options) {
  const std::string certificates = options.tls_client_ca.empty() ? "" : "certificates of " + options.tls_client_ca;
  if (options.tokens_file.empty()) return certificates.empty() ? "anybody" : certificates;
  const auto tokens = serve::Tokens::Read(options.tokens_file);
  if (!tokens.ok()) return Named("tokens_file", tokens.status());
  return Cat((*tokens)->size(), " credentials of ", options.tokens_file, certificates.empty() ? "" : ", with ",
             certificates);
}

// Whether models would be run. The sandbox itself is tried when the engine starts.
absl::StatusOr<std::string> ReplayLine(const Options& options) {
  if (options.replay == "off") return std::string("never");
  const std::string program = serve::ReplayProgram();
  const bool there = ::access(program.c_str(), X_OK) == 0;
  if (!there && options.replay == "on") {
    return absl::FailedPreconditionError(Cat("replay is \"on\", and ", program, " is not there"));
  }
  if (!there) return Cat("never: ", program, " is not there");
  const std::string workers =
      options.replay_workers == 0 ? std::string("one worker a core") : Cat(options.replay_workers, " workers");
  return Cat(options.replay == "on" ? "" : "where the sandbox can be had: ", workers, ", ", options.replay_timeout_ms,
             " ms and ", options.replay_memory_bytes >> 20, " MiB a model",
             options.replay_isolate ? "" : ", many in one process",
             options.replay_allow_missing.empty() ? "" : ", also without ", options.replay_allow_missing);
}

std::string Listens(const std::string& address, const Options& options) {
  if (address.empty()) return "no";
  return Cat(address, options.tls_cert.empty() ? ", no TLS" : options.tls_client_ca.empty() ? ", TLS" : ", mutual TLS");
}

absl::StatusOr<std::vector<std::pair<const char*, std::string>>> WhatWouldRun(const Options& options) {
  if (const std::string wrong = IsBackend(options.backend); !wrong.empty()) {
    return absl::InvalidArgumentError(Cat("backend: ", wrong, ", found ", artifact::Quoted(options.backend)));
  }
  if (const absl::Status checked = serve::Engine::Check(options); !checked.ok()) return checked;
  if (const absl::Status state = CheckWritable(options.state_dir); !state.ok()) return Named("state_dir", state);
  if (!options.port_file.empty()) {
    const auto file = artifact::AtomicFile::Create(options.port_file);  // Leaves nothing behind without a Commit.
    if (!file.ok()) return Named("port_file", file.status());
  }
  const absl::StatusOr<std::string> callers = CallersLine(options), detector = DetectorLine(options);
  if (!callers.ok()) return callers.status();
  if (!detector.ok()) return detector.status();
  const absl::StatusOr<std::string> replay = ReplayLine(options);
  if (!replay.ok()) return replay.status();
  std::error_code error;
  return std::vector<std::pair<const char*, std::string>>{
      {"gRPC", Listens(options.grpc_listen, options)},
      {"HTTP", Listens(options.http_listen, options)},
      {"callers", *callers},
      {"artifacts", fs::canonical(options.artifact_root, error).string()},
      {"detector", *detector},
      {"state", fs::absolute(options.state_dir, error).string()},
      {"runs models", *replay},
      {"scores with", Cat(options.backend, ", batches of ", options.batch_rows, " rows")},
  };
}

}  // namespace

int CheckEngine(const Options& options) {
  const auto lines = WhatWouldRun(options);
  if (!lines.ok()) {
    const int code = Fail(lines.status());
    return absl::IsInvalidArgument(lines.status()) ? 2 : code;
  }
  for (const auto& [what, value] : *lines) std::printf("%-12s %s\n", what, Printable(value).c_str());
  std::printf("The configuration is good.\n");
  return 0;
}

}  // namespace driftseal::app
