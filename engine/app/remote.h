#ifndef DRIFTSEAL_ENGINE_APP_REMOTE_H_
#define DRIFTSEAL_ENGINE_APP_REMOTE_H_

#include <chrono>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "driftseal/client.h"
#include "engine/app/arguments.h"
#include "engine/app/report_run.h"
#include "engine/screen/screen.h"

// The commands with --engine: a running engine does the work, beneath its artifact root, and what is told and written
// here is what the command would tell and write there with `--root .`.
namespace driftseal::app {

/// The engine of --engine, reached as --tls..., --token-file or DRIFTSEAL_TOKEN say.
absl::StatusOr<Client> ConnectEngine(const Arguments& arguments);
/// An error of the engine's. What it says about a file is told as if it had happened here; what went wrong on the way
/// names the engine and the request.
absl::Status EngineError(const Arguments& arguments, const Status& status);
/// Calls that hash files take as long as they take.
CallOptions WithoutLimit();
/// "" for "." and the like: the artifact root.
std::string BeneathRoot(const std::string& path);

/// Each gives the exit code.
int RemoteScreenOne(const Arguments& arguments, screen::Mode mode);
int RemoteScreenAll(const Arguments& arguments, const FleetCommand& command,
                    std::chrono::steady_clock::time_point start);
int RemoteFit(const Arguments& arguments);
int RemoteBackfill(const Arguments& arguments);
int RemoteSanitize(const Arguments& arguments);

}  // namespace driftseal::app

#endif  // DRIFTSEAL_ENGINE_APP_REMOTE_H_
