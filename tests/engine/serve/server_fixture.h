#ifndef DRIFTSEAL_TESTS_ENGINE_SERVE_SERVER_FIXTURE_H_
#define DRIFTSEAL_TESTS_ENGINE_SERVE_SERVER_FIXTURE_H_

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "driftseal/v1/detectors.grpc.pb.h"
#include "driftseal/v1/errors.pb.h"
#include "driftseal/v1/integrity.grpc.pb.h"
#include "driftseal/v1/predictions.grpc.pb.h"
#include "driftseal/v1/scoring.grpc.pb.h"
#include "engine/serve/server.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "tests/support/temp_folder.h"

// A real engine and server in this process, reached over a real socket.
namespace driftseal::testing {

inline constexpr size_t kCols = 8;

/// A detector of kCols columns with the families "a" and "b" and all members but the autoencoder, fitted once a
/// process.
const std::string& DetectorFolder();
const detector::Detector& FittedDetector();

/// `rows` rows of kCols columns like those that it was fitted on, different ones for each seed.
std::vector<float> SomeRows(size_t rows, uint64_t seed = 1);
v1::ScoreRequest RequestOf(const std::vector<float>& rows);

/// Waits until `done`, asking again and again; false after 20 s.
bool Eventually(const std::function<bool()>& done);

struct Reply {
  grpc::Status status;
  v1::ScoreResponse response;
  std::multimap<std::string, std::string> trailers;
};

/// Metadata of a call.
using Metadata = std::map<std::string, std::string>;

class TestServer {
 public:
  /// Options of a test: a free port on loopback, no HTTP, all folders in a temporary one.
  static serve::Options DefaultOptions();
  explicit TestServer(serve::Options options = DefaultOptions());
  ~TestServer();

  serve::Engine& engine() { return *engine_; }
  serve::Server& server() { return *server_; }
  const serve::Options& options() const { return engine_->options; }
  std::string Write(const std::string& name, const std::string& text) const { return folder_.Write(name, text); }
  std::string address() const { return "127.0.0.1:" + std::to_string(server_->port()); }
  /// A connection of its own.
  std::shared_ptr<grpc::Channel> Connect(
      const std::shared_ptr<grpc::ChannelCredentials>& credentials = grpc::InsecureChannelCredentials()) const;
  Reply Score(const v1::ScoreRequest& request, const Metadata& metadata = {});
  /// Value of a line of the metrics, "driftseal_requests_total{...}"; -1 where there is none.
  double Metric(const std::string& line) const;

 private:
  TempFolder folder_;
  std::unique_ptr<serve::Log> log_ = serve::SilentLog();
  std::unique_ptr<serve::Engine> engine_;
  std::unique_ptr<serve::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

Reply ScoreOn(const std::shared_ptr<grpc::Channel>& channel, const v1::ScoreRequest& request,
              const Metadata& metadata = {});
/// The details of a status.
v1::ErrorStatus DetailsOf(const grpc::Status& status);
bool OverloadOf(const grpc::Status& status, v1::Overload* overload, v1::RetryInfo* retry);

}  // namespace driftseal::testing

#endif  // DRIFTSEAL_TESTS_ENGINE_SERVE_SERVER_FIXTURE_H_
