#include "tests/engine/serve/http_fixture.h"

#include <limits>
#include <stdexcept>

#include "driftseal/v1/errors.pb.h"
#include "grpcpp/server_builder.h"

namespace driftseal::testing {
namespace {

grpc::Status Overloaded() {
  v1::Overload overload;
  overload.set_resource(v1::Overload::RESOURCE_QUEUE);
  overload.set_used(7);
  overload.set_limit(9);
  v1::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(1);
  retry.mutable_retry_delay()->set_nanos(200'000'000);
  v1::ErrorStatus details;
  details.add_details()->PackFrom(overload);
  auto* any = details.add_details();
  any->set_type_url("type.googleapis.com/google.rpc.RetryInfo");
  any->set_value(retry.SerializeAsString());
  return {grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full", details.SerializeAsString()};
}

// Messages until the folder's number is reached, then its word: "3", "3,fail", "endless", "0,fail", "quiet".
class ArtifactWriter final : public grpc::ServerWriteReactor<v1::Artifact> {
 public:
  ArtifactWriter(FakeEngine& engine, const std::string& folder) : engine_(engine) {
    fails_ = folder.ends_with(",fail");
    quiet_ = folder == "quiet";
    left_ = folder == "endless" || quiet_ ? 100'000'000 : std::stoi(folder);
    Next();
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    ++engine_.artifacts_sent;
    if (!quiet_) return Next();
    engine_.blocked.Set();  // From now on it says nothing, and ends when it is cancelled.
  }
  void OnCancel() override {
    engine_.cancelled.Set();
    if (quiet_) Finish(grpc::Status::CANCELLED);
  }
  void OnDone() override { delete this; }

 private:
  void Next() {
    if (left_-- == 0) {
      return Finish(fails_ ? grpc::Status(grpc::StatusCode::INTERNAL, "the disk is on fire") : grpc::Status::OK);
    }
    artifact_.set_path("models/" + std::string(200, 'x') + ".meta.json");
    StartWrite(&artifact_);
  }
  FakeEngine& engine_;
  v1::Artifact artifact_;
  int left_ = 0;
  bool fails_ = false, quiet_ = false;
};

// Ends when it is told to or cancelled.
class BlockedScore final : public grpc::ServerUnaryReactor {
 public:
  explicit BlockedScore(FakeEngine& engine) : engine_(engine) {
    engine_.AddBlocked(this, [this] { End(grpc::Status::OK); });
    engine_.blocked.Set();
  }
  void OnCancel() override {
    engine_.cancelled.Set();
    End(grpc::Status::CANCELLED);
  }
  void OnDone() override {
    engine_.RemoveBlocked(this);
    delete this;
  }

 private:
  void End(const grpc::Status& status) {
    if (!ended_.exchange(true)) Finish(status);
  }
  FakeEngine& engine_;
  std::atomic<bool> ended_{false};
};

}  // namespace

void Event::Set() {
  const std::lock_guard lock(mutex_);
  set_ = true;
  changed_.notify_all();
}

bool Event::Wait(std::chrono::seconds limit) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, limit, [this] { return set_; });
}

struct FakeEngine::Services {
  explicit Services(FakeEngine* engine) : scoring{engine, this} {}

  struct Scoring final : v1::Scoring::CallbackService {
    Scoring(FakeEngine* e, Services* s) : engine(e), services(s) {}
    // Scores are the sums of the rows; the detector's name may ask for something else.
    grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext* context, const v1::ScoreRequest* request,
                                    v1::ScoreResponse* response) override {
      {
        const std::lock_guard lock(services->mutex);
        services->metadata.clear();
        for (const auto& [name, value] : context->client_metadata()) {
          services->metadata.emplace(std::string(name.data(), name.size()), std::string(value.data(), value.size()));
        }
      }
      if (request->detector() == "block") return new BlockedScore(*engine);
      response->set_detector(request->detector());
      const auto& rows = request->rows();
      for (int i = 0; rows.cols() > 0 && i + static_cast<int>(rows.cols()) <= rows.values_size();
           i += static_cast<int>(rows.cols())) {
        double sum = 0;
        for (int c = 0; c < static_cast<int>(rows.cols()); ++c) sum += rows.values(i + c);
        response->add_combined(sum);
      }
      grpc::Status status;
      if (request->detector() == "full") status = Overloaded();
      if (request->detector() == "nowhere") status = {grpc::StatusCode::NOT_FOUND, "no detector \"nowhere\""};
      auto* reactor = context->DefaultReactor();
      reactor->Finish(status);
      return reactor;
    }
    grpc::ServerWriteReactor<v1::Artifact>* ListArtifacts(grpc::CallbackServerContext*,
                                                          const v1::ListArtifactsRequest* request) override {
      return new ArtifactWriter(*engine, request->folder());
    }
    FakeEngine* engine;
    Services* services;
  };
  struct Detectors final : v1::Detectors::CallbackService {
    grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context, const v1::GetDetectorRequest* request,
                                  v1::Detector* response) override {
      response->set_name(request->detector());
      auto* reactor = context->DefaultReactor();
      reactor->Finish(grpc::Status::OK);
      return reactor;
    }
    grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context, const v1::ListDetectorsRequest* request,
                                   v1::ListDetectorsResponse* response) override {
      response->add_detectors()->set_name("listed:" + request->name());
      auto* reactor = context->DefaultReactor();
      reactor->Finish(grpc::Status::OK);
      return reactor;
    }
  };
  struct Predictions final : v1::Predictions::CallbackService {
    grpc::ServerUnaryReactor* Sanitize(grpc::CallbackServerContext* context, const v1::SanitizeRequest* request,
                                       v1::SanitizeResponse* response) override {
      response->set_output_path(request->output_path());
      response->set_rows(40);
      response->set_dropped(request->has_contamination() ? static_cast<uint64_t>(40 * request->contamination()) : 2);
      response->set_report(request->predictions_path());
      auto* reactor = context->DefaultReactor();
      reactor->Finish(grpc::Status::OK);
      return reactor;
    }
    grpc::ServerUnaryReactor* RetrainPlan(grpc::CallbackServerContext* context, const v1::RetrainPlanRequest* request,
                                          v1::RetrainPlanResponse* response) override {
      response->mutable_verdict()->set_path(request->meta_path());
      auto* reactor = context->DefaultReactor();
      reactor->Finish(grpc::Status::OK);
      return reactor;
    }
    grpc::ServerUnaryReactor* ScoreModel(grpc::CallbackServerContext* context, const v1::ScoreModelRequest* request,
                                         v1::Verdict* response) override {
      response->set_path(request->meta_path());
      response->set_outcome(v1::Verdict::OUTCOME_REVIEW);
      auto* signal = response->add_signals();
      (*signal->mutable_evidence()->mutable_fields())["p_value"].set_number_value(0.25);
      response->mutable_score()->set_combined(std::numeric_limits<double>::quiet_NaN());
      auto* reactor = context->DefaultReactor();
      reactor->Finish(grpc::Status::OK);
      return reactor;
    }
  };

  Scoring scoring;
  Detectors detectors;
  Predictions predictions;
  mutable std::mutex mutex;
  std::multimap<std::string, std::string> metadata;
  std::map<const void*, std::function<void()>> blocked;
};

void FakeEngine::AddBlocked(const void* who, std::function<void()> end) {
  const std::lock_guard lock(services_->mutex);
  services_->blocked.emplace(who, std::move(end));
}

void FakeEngine::RemoveBlocked(const void* who) {
  const std::lock_guard lock(services_->mutex);
  services_->blocked.erase(who);
}

void FakeEngine::Release() {
  std::vector<std::function<void()>> ends;
  {
    const std::lock_guard lock(services_->mutex);
    for (const auto& [who, end] : services_->blocked) ends.push_back(end);
  }
  for (const auto& end : ends) end();
}

FakeEngine::FakeEngine() : services_(std::make_unique<Services>(this)) {
  grpc::ServerBuilder builder;
  builder.RegisterService(&services_->scoring);
  builder.RegisterService(&services_->detectors);
  builder.RegisterService(&services_->predictions);
  builder.SetMaxReceiveMessageSize(-1);
  server_ = builder.BuildAndStart();
}

FakeEngine::~FakeEngine() {
  Release();
  server_->Shutdown();
}

std::shared_ptr<grpc::Channel> FakeEngine::Channel() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  return server_->InProcessChannel(arguments);
}

std::multimap<std::string, std::string> FakeEngine::Metadata() const {
  const std::lock_guard lock(services_->mutex);
  return services_->metadata;
}

serve::Options HttpFixture::LoopbackOptions() {
  serve::Options options;
  options.http_listen = "127.0.0.1:0";
  return options;
}

HttpFixture::HttpFixture(const serve::Options& options)
    : log(serve::SilentLog()), connections(options.max_connections) {
  serve::HttpParts parts;
  parts.channel = engine.Channel();
  parts.connections = &connections;
  parts.log = log.get();
  parts.metrics = &metrics;
  parts.health = [this] { return serve::HttpHealth{serving, {"driftseal@3"}, "1.2.3"}; };
  parts.may_call = [](std::string_view authorization, std::string_view, int) {
    return authorization == "Bearer wrong" ? absl::UnauthenticatedError("unknown token") : absl::OkStatus();
  };
  auto started = serve::HttpServer::Start(options, parts);
  if (!started.ok()) throw std::runtime_error(started.status().ToString());
  server = *std::move(started);
}

}  // namespace driftseal::testing
