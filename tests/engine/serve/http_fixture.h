#ifndef DRIFTSEAL_TESTS_ENGINE_SERVE_HTTP_FIXTURE_H_
#define DRIFTSEAL_TESTS_ENGINE_SERVE_HTTP_FIXTURE_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "driftseal/v1/detectors.grpc.pb.h"
#include "driftseal/v1/predictions.grpc.pb.h"
#include "driftseal/v1/scoring.grpc.pb.h"
#include "engine/serve/http_server.h"
#include "grpcpp/server.h"
#include "nlohmann/json.hpp"

// The gateway in front of a small gRPC server, and a client that says byte for byte what it is told to.
namespace driftseal::testing {

/// Something that a test waits for.
class Event {
 public:
  void Set();
  bool Wait(std::chrono::seconds limit = std::chrono::seconds(20));

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
};

/// What the services do is told by the requests, see http_fixture.cpp.
class FakeEngine {
 public:
  FakeEngine();
  ~FakeEngine();
  std::shared_ptr<grpc::Channel> Channel();

  /// Metadata of the last call to Score, all values of a name.
  std::multimap<std::string, std::string> Metadata() const;
  std::atomic<int> artifacts_sent{0};  ///< Messages of ListArtifacts that were taken.
  Event blocked, cancelled;            ///< Score with the detector "block", and streams.
  void Release();                      ///< Lets blocked calls end well.
  void AddBlocked(const void* who, std::function<void()> end);
  void RemoveBlocked(const void* who);

 private:
  struct Services;
  std::unique_ptr<Services> services_;
  std::unique_ptr<grpc::Server> server_;
};

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  ///< Names in lower case.
  std::string body;
  nlohmann::json json() const { return nlohmann::json::parse(body); }
};

/// One connection.
class RawClient {
 public:
  explicit RawClient(int port, int receive_buffer = 0);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  void Send(std::string_view bytes);
  /// The next answer; throws std::runtime_error where the connection ends before it does. `head`: of a HEAD request.
  HttpAnswer Read(bool head = false);
  /// The next `bytes` of the body as they come, or what there is before the end.
  std::string ReadSome();
  /// Whether the peer closes, without saying anything more.
  bool Closed();
  void Close();
  HttpAnswer Ask(std::string_view bytes) {
    Send(bytes);
    return Read();
  }

 private:
  bool Fill();
  std::string Line();
  std::string Take(size_t bytes);
  int fd_ = -1;
  std::string buffer_;
};

std::string Get(std::string_view target, std::string_view headers = "");
std::string Post(std::string_view target, std::string_view body, std::string_view headers = "");

/// Gateway and fake engine.
class HttpFixture {
 public:
  explicit HttpFixture(const serve::Options& options = LoopbackOptions());
  static serve::Options LoopbackOptions();

  int port() const { return server->port(); }
  HttpAnswer Ask(std::string_view bytes) { return RawClient(port()).Ask(bytes); }

  FakeEngine engine;
  std::unique_ptr<serve::Log> log;
  serve::ConnectionLimit connections;
  serve::Metrics metrics;
  std::atomic<bool> serving{true};
  std::unique_ptr<serve::HttpServer> server;
};

}  // namespace driftseal::testing

#endif  // DRIFTSEAL_TESTS_ENGINE_SERVE_HTTP_FIXTURE_H_
