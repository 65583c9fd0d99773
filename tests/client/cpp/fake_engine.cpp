#include "tests/client/cpp/fake_engine.h"

#include <cstring>
#include <stdexcept>

namespace driftseal::testing {
namespace {

grpc::Status NotSet() { return {grpc::StatusCode::UNIMPLEMENTED, "the test has no such method"}; }

}  // namespace

class FakeEngine::ScoringService final : public v1::Scoring::Service {
 public:
  explicit ScoringService(FakeEngine* engine) : engine_(engine) {}
  grpc::Status Score(grpc::ServerContext* context, const v1::ScoreRequest* request,
                     v1::ScoreResponse* response) override {
    return engine_->score ? engine_->score(*context, *request, *response) : NotSet();
  }
  grpc::Status ScoreStream(grpc::ServerContext* context,
                           grpc::ServerReaderWriter<v1::ScoreStreamResponse, v1::ScoreStreamRequest>* io) override {
    return engine_->score_stream ? engine_->score_stream(*context, *io) : NotSet();
  }
  grpc::Status Verify(grpc::ServerContext* context, const v1::VerifyRequest* request,
                      grpc::ServerWriter<v1::VerifyEvent>* out) override {
    return engine_->verify ? engine_->verify(*context, *request, *out) : NotSet();
  }
  grpc::Status VerifyStream(grpc::ServerContext* context,
                            grpc::ServerReaderWriter<v1::VerifyStreamResponse, v1::VerifyStreamRequest>* io) override {
    return engine_->verify_stream ? engine_->verify_stream(*context, *io) : NotSet();
  }
  grpc::Status ListArtifacts(grpc::ServerContext* context, const v1::ListArtifactsRequest* request,
                             grpc::ServerWriter<v1::Artifact>* out) override {
    return engine_->list_artifacts ? engine_->list_artifacts(*context, *request, *out) : NotSet();
  }

 private:
  FakeEngine* engine_;
};

class FakeEngine::DetectorsService final : public v1::Detectors::Service {
 public:
  explicit DetectorsService(FakeEngine* engine) : engine_(engine) {}
  grpc::Status Get(grpc::ServerContext* context, const v1::GetDetectorRequest* request,
                   v1::Detector* response) override {
    return engine_->get ? engine_->get(*context, *request, *response) : NotSet();
  }
  grpc::Status Fit(grpc::ServerContext* context, const v1::FitRequest* request, v1::Operation* response) override {
    return engine_->fit ? engine_->fit(*context, *request, *response) : NotSet();
  }
  grpc::Status WatchOperation(grpc::ServerContext* context, const v1::WatchOperationRequest* request,
                              grpc::ServerWriter<v1::Operation>* out) override {
    return engine_->watch ? engine_->watch(*context, *request, *out) : NotSet();
  }

 private:
  FakeEngine* engine_;
};

FakeEngine::FakeEngine(std::shared_ptr<grpc::ServerCredentials> credentials)
    : scoring_(std::make_unique<ScoringService>(this)),
      detectors_(std::make_unique<DetectorsService>(this)),
      credentials_(credentials == nullptr ? grpc::InsecureServerCredentials() : std::move(credentials)) {
  grpc::EnableDefaultHealthCheckService(true);
  Start();
}

FakeEngine::~FakeEngine() { Stop(); }

void FakeEngine::Stop() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  server_ = nullptr;
}

void FakeEngine::Start() {
  grpc::ServerBuilder builder;
  // A port that a server of another test has just left is not shared with one that lives.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddListeningPort("localhost:" + std::to_string(port_), credentials_, &port_);
  builder.RegisterService(scoring_.get());
  builder.RegisterService(detectors_.get());
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || port_ == 0) throw std::runtime_error("the fake engine got no port");
}

ClientOptions QuickOptions(const FakeEngine& engine) {
  ClientOptions options;
  options.address = engine.address();
  options.timeout = std::chrono::minutes(5);  // A process may be stopped for a while.
  options.retry.initial_backoff = std::chrono::milliseconds(2);
  options.retry.max_backoff = std::chrono::milliseconds(20);
  return options;
}

Client ClientOf(const ClientOptions& options) { return Client::Create(options).value(); }

grpc::Status Refusal(grpc::StatusCode code, std::chrono::milliseconds advice) {
  v1::ErrorStatus details;
  details.set_code(code);
  v1::Overload overload;
  overload.set_resource(v1::Overload::RESOURCE_CLIENT_QUEUE);
  overload.set_used(41);
  overload.set_limit(42);
  details.add_details()->PackFrom(overload);
  v1::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(advice.count() / 1000);
  info.mutable_retry_delay()->set_nanos(static_cast<int32_t>(advice.count() % 1000 * 1'000'000));
  google::protobuf::Any* packed = details.add_details();
  packed->set_type_url("type.googleapis.com/google.rpc.RetryInfo");
  packed->set_value(info.SerializeAsString());
  return {code, "refused by the test", details.SerializeAsString()};
}

v1::ScoreResponse ScoresOf(const v1::ScoreRequest& request, const std::string& detector) {
  v1::ScoreResponse response;
  response.set_detector(detector);
  const size_t row_bytes = request.rows().cols() * sizeof(float);
  const std::string& bytes = request.rows().float32_le();
  const size_t rows = row_bytes == 0 ? 0 : bytes.size() / row_bytes;
  for (size_t row = 0; row < rows; ++row) {
    float first = 0;
    std::memcpy(&first, bytes.data() + row * row_bytes, sizeof first);
    response.add_combined(first);
    response.add_p_value(static_cast<double>(rows));
  }
  return response;
}

std::string MetadataOf(const grpc::ServerContext& context, const std::string& key) {
  const auto found = context.client_metadata().find(key);
  if (found == context.client_metadata().end()) return "";
  return {found->second.data(), found->second.size()};
}

void Event::Set() {
  const std::lock_guard lock(mutex_);
  set_ = true;
  changed_.notify_all();
}

bool Event::Wait() {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::minutes(5), [this] { return set_; });
}

}  // namespace driftseal::testing
