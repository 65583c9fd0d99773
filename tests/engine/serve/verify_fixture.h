#ifndef DRIFTSEAL_TESTS_ENGINE_SERVE_VERIFY_FIXTURE_H_
#define DRIFTSEAL_TESTS_ENGINE_SERVE_VERIFY_FIXTURE_H_

#include <memory>
#include <string>
#include <vector>

#include "driftseal/v1/detectors.grpc.pb.h"
#include "driftseal/v1/integrity.grpc.pb.h"
#include "driftseal/v1/predictions.grpc.pb.h"
#include "driftseal/v1/scoring.grpc.pb.h"
#include "engine/detector/detector.h"
#include "engine/serve/server.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "tests/support/model_files.h"
#include "tests/support/temp_folder.h"

// A real engine over a folder of generated models, reached over a real socket.
namespace driftseal::testing {

/// A folder that holds a detector of small MLPs, without the autoencoder; fitted once a process.
const std::string& ModelDetectorFolder();

/// An artifact root with what goes well and what does not, a state folder, and the engine over them.
class VerifyServer {
 public:
  struct Settings {
    bool detector = true;
    size_t threads = 2, queue = 1024;
    double requests_per_second = 0;
  };
  VerifyServer();
  explicit VerifyServer(const Settings& settings);
  ~VerifyServer();

  /// models/mNN.safetensors with meta files (every tenth tampered with), bare ones, a broken meta file, a hostile
  /// archive.
  void WriteModels(int count);
  /// Ends the server and the engine, and starts both anew over the same folders.
  void Restart();
  void Stop();

  const TempFolder& root() const { return root_; }
  const TempFolder& state() const { return state_; }
  serve::Engine& engine() { return *engine_; }
  serve::Server& server() { return *server_; }
  v1::Scoring::Stub Scoring() const { return v1::Scoring::Stub(Connect()); }
  v1::Detectors::Stub Detectors() const { return v1::Detectors::Stub(Connect()); }
  v1::Integrity::Stub Integrity() const { return v1::Integrity::Stub(Connect()); }
  v1::Predictions::Stub Predictions() const { return v1::Predictions::Stub(Connect()); }
  std::shared_ptr<grpc::Channel> Connect() const;

  /// Paths that ListArtifacts gives.
  std::vector<std::string> Paths() const;
  /// The entry of a report as screening in this process makes it.
  std::string ExpectedEntry(const std::string& path) const;

 private:
  void Start();
  Settings settings_;
  TempFolder root_, state_;
  std::unique_ptr<serve::Log> log_ = serve::SilentLog();
  std::unique_ptr<serve::Engine> engine_;
  std::unique_ptr<serve::Server> server_;
};

MATCHER_P2(FailsWith, code, text, "") {
  *result_listener << arg.error_code() << ": " << arg.error_message();
  return arg.error_code() == code && arg.error_message().find(text) != std::string::npos;
}

/// Names that lead out of `server`'s root or are no names, with the folder or file they would reach; makes the links.
struct HostilePath {
  std::string path;
  grpc::StatusCode code;
};
std::vector<HostilePath> HostilePaths(const VerifyServer& server);

}  // namespace driftseal::testing

#endif  // DRIFTSEAL_TESTS_ENGINE_SERVE_VERIFY_FIXTURE_H_
