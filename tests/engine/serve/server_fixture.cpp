#include "tests/engine/serve/server_fixture.h"

#include <cstdlib>
#include <cstring>
#include <random>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace driftseal::testing {
namespace {

std::vector<double> RowLike(std::mt19937_64& random, double level) {
  std::normal_distribution<double> normal;
  const double cause = normal(random);
  std::vector<double> row;
  for (size_t c = 0; c < kCols; ++c) row.push_back(level + cause * static_cast<double>(c % 3) + normal(random));
  return row;
}

detector::Detector Fit() {
  detector::SchemaId schema{"rows", 1, "5ca1ab1e", {}};
  for (size_t c = 0; c < kCols; ++c) schema.features.push_back("f" + std::to_string(c));
  std::mt19937_64 random(7);
  std::vector<detector::Sample> samples;
  for (const char* family : {"a", "b"}) {
    for (int i = 0; i < 120; ++i) {
      samples.push_back(
          {family + std::to_string(i), family, RowLike(random, std::strcmp(family, "a") == 0 ? 0.0 : 4.0)});
    }
  }
  detector::FitOptions options;
  options.members = {"forest", "svm", "mahalanobis", "knn"};
  auto fitted = detector::Detector::Fit(schema, std::move(samples), options);
  if (!fitted.ok()) throw std::runtime_error(std::string(fitted.status().message()));
  return *std::move(fitted);
}

}  // namespace

const detector::Detector& FittedDetector() {
  static const detector::Detector detector = Fit();
  return detector;
}

const std::string& DetectorFolder() {
  static const TempFolder folder;
  static const std::string path = [] {
    const std::string name = folder.string();
    if (!FittedDetector().Save(name).ok()) throw std::runtime_error("the test's detector cannot be saved");
    return name;
  }();
  return path;
}

std::vector<float> SomeRows(size_t rows, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<float> values;
  for (size_t r = 0; r < rows; ++r) {
    for (const double value : RowLike(random, 0)) values.push_back(static_cast<float>(value));
  }
  return values;
}

v1::ScoreRequest RequestOf(const std::vector<float>& rows) {
  v1::ScoreRequest request;
  request.mutable_rows()->set_cols(kCols);
  request.mutable_rows()->set_float32_le(rows.data(), rows.size() * sizeof(float));
  return request;
}

bool Eventually(const std::function<bool()>& done) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!done()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

serve::Options TestServer::DefaultOptions() {
  serve::Options options;
  options.grpc_listen = "127.0.0.1:0";
  options.http_listen = "";
  options.queue_delay_ms = 60000;  // Nothing is refused for a machine that is slow.
  options.artifact_root = options.state_dir = "";  // The constructor's.
  options.model_dir = DetectorFolder();
  return options;
}

TestServer::TestServer(serve::Options options) {
  if (options.artifact_root.empty()) {
    options.artifact_root = folder_ / "artifacts";
    std::filesystem::create_directory(options.artifact_root);
  }
  if (options.state_dir.empty()) options.state_dir = folder_ / "state";
  auto engine = serve::Engine::Open(options, log_.get());
  if (!engine.ok()) throw std::runtime_error(std::string(engine.status().message()));
  engine_ = *std::move(engine);
  auto server = serve::Server::Start(*engine_);
  if (!server.ok()) throw std::runtime_error(std::string(server.status().message()));
  server_ = *std::move(server);
}

TestServer::~TestServer() = default;

std::shared_ptr<grpc::Channel> TestServer::Connect(const std::shared_ptr<grpc::ChannelCredentials>& credentials) const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetSslTargetNameOverride("localhost");
  return grpc::CreateCustomChannel(address(), credentials, arguments);
}

Reply ScoreOn(const std::shared_ptr<grpc::Channel>& channel, const v1::ScoreRequest& request,
              const Metadata& metadata) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  for (const auto& [name, value] : metadata) context.AddMetadata(name, value);
  Reply reply;
  reply.status = v1::Scoring::NewStub(channel)->Score(&context, request, &reply.response);
  for (const auto& [name, value] : context.GetServerTrailingMetadata()) {
    reply.trailers.emplace(std::string(name.data(), name.size()), std::string(value.data(), value.size()));
  }
  return reply;
}

Reply TestServer::Score(const v1::ScoreRequest& request, const Metadata& metadata) {
  if (channel_ == nullptr) channel_ = Connect();
  return ScoreOn(channel_, request, metadata);
}

double TestServer::Metric(const std::string& line) const {
  std::istringstream text(engine_->metrics->Text());
  for (std::string found; std::getline(text, found);) {
    if (found.rfind(line + " ", 0) == 0) return std::strtod(found.c_str() + line.size(), nullptr);
  }
  return -1;
}

v1::ErrorStatus DetailsOf(const grpc::Status& status) {
  v1::ErrorStatus details;
  details.ParseFromString(status.error_details());
  return details;
}

bool OverloadOf(const grpc::Status& status, v1::Overload* overload, v1::RetryInfo* retry) {
  bool has_overload = false, has_retry = false;
  const v1::ErrorStatus details = DetailsOf(status);
  for (const google::protobuf::Any& any : details.details()) {
    if (any.type_url() == "type.googleapis.com/driftseal.v1.Overload") {
      has_overload = overload->ParseFromString(any.value());
    }
    if (any.type_url() == "type.googleapis.com/google.rpc.RetryInfo") {
      has_retry = retry->ParseFromString(any.value());
    }
  }
  return has_overload && has_retry;
}

}  // namespace driftseal::testing
