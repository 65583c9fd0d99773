#ifndef DRIFTSEAL_TESTS_CLIENT_CPP_FAKE_ENGINE_H_
#define DRIFTSEAL_TESTS_CLIENT_CPP_FAKE_ENGINE_H_

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "driftseal/client.h"
#include "driftseal/v1/detectors.grpc.pb.h"
#include "driftseal/v1/errors.pb.h"
#include "driftseal/v1/scoring.grpc.pb.h"

namespace driftseal::testing {

/// An engine that does what the test says: each method is a function that the test sets, UNIMPLEMENTED until then. A
/// real gRPC server on a port of its own.
class FakeEngine {
 public:
  template <typename Request, typename Response>
  using Unary = std::function<grpc::Status(grpc::ServerContext&, const Request&, Response&)>;
  template <typename Request, typename Response>
  using Down = std::function<grpc::Status(grpc::ServerContext&, const Request&, grpc::ServerWriter<Response>&)>;
  template <typename Request, typename Response>
  using Both = std::function<grpc::Status(grpc::ServerContext&, grpc::ServerReaderWriter<Response, Request>&)>;

  /// `credentials` null: no TLS.
  explicit FakeEngine(std::shared_ptr<grpc::ServerCredentials> credentials = nullptr);
  ~FakeEngine();

  std::string address() const { return "localhost:" + std::to_string(port_); }
  /// Cuts all connections, as a crash does; what is under way is cancelled.
  void Stop();
  /// The same port again.
  void Start();
  void SetServing(bool serving) { server_->GetHealthCheckService()->SetServingStatus(serving); }

  Unary<v1::ScoreRequest, v1::ScoreResponse> score;
  Both<v1::ScoreStreamRequest, v1::ScoreStreamResponse> score_stream;
  Down<v1::VerifyRequest, v1::VerifyEvent> verify;
  Both<v1::VerifyStreamRequest, v1::VerifyStreamResponse> verify_stream;
  Down<v1::ListArtifactsRequest, v1::Artifact> list_artifacts;
  Unary<v1::GetDetectorRequest, v1::Detector> get;
  Unary<v1::FitRequest, v1::Operation> fit;
  Down<v1::WatchOperationRequest, v1::Operation> watch;

 private:
  class ScoringService;
  class DetectorsService;
  std::unique_ptr<ScoringService> scoring_;
  std::unique_ptr<DetectorsService> detectors_;
  std::shared_ptr<grpc::ServerCredentials> credentials_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

/// A client with short waits.
ClientOptions QuickOptions(const FakeEngine& engine);
Client ClientOf(const ClientOptions& options);

/// A refusal as the engine makes it, with the advice and the load.
grpc::Status Refusal(grpc::StatusCode code, std::chrono::milliseconds advice);
/// Scores that show which rows they are of: `combined` is the row's first value, `p_value` the number of rows in the
/// request.
v1::ScoreResponse ScoresOf(const v1::ScoreRequest& request, const std::string& detector = "fake@1");
/// The value of a metadata entry the client sent; empty: none.
std::string MetadataOf(const grpc::ServerContext& context, const std::string& key);

/// Something that one thread does and another waits for.
class Event {
 public:
  void Set();
  /// False after five minutes, which is a failure and no measure.
  bool Wait();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
};

}  // namespace driftseal::testing

#endif  // DRIFTSEAL_TESTS_CLIENT_CPP_FAKE_ENGINE_H_
