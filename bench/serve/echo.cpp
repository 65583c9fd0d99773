#include "bench/serve/echo.h"

#include <signal.h>

#include <cstdio>
#include <fstream>
#include <memory>

#include "driftseal/v1/scoring.grpc.pb.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"

namespace driftseal::bench {
namespace {

class Echo final : public v1::Scoring::CallbackService {
 public:
  grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext* context, const v1::ScoreRequest* request,
                                  v1::ScoreResponse* response) override {
    const size_t columns = request->rows().cols();
    const size_t rows = columns == 0 ? 0 : request->rows().float32_le().size() / (columns * sizeof(float));
    response->set_detector("bench@1");
    for (size_t i = 0; i < rows; ++i) {
      response->add_combined(0.5);
      response->add_p_value(0.5);
    }
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

}  // namespace

absl::Status ServeEcho(const std::string& port_file) {
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  sigaddset(&ending, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);
  Echo service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return absl::UnavailableError("cannot listen on 127.0.0.1");
  std::ofstream(port_file + ".new") << "{\"grpc\": " << port << "}\n";
  if (std::rename((port_file + ".new").c_str(), port_file.c_str()) != 0) {
    return absl::UnavailableError(port_file + ": cannot be written");
  }
  int signal = 0;
  sigwait(&ending, &signal);
  server->Shutdown();
  return absl::OkStatus();
}

}  // namespace driftseal::bench
