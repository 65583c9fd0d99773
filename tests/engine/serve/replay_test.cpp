#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "engine/canary/set_files.h"
#include "engine/screen/canary_sets.h"
#include "engine/screen/reference.h"
#include "engine/screen/screen.h"
#include "engine/serve/metrics.h"
#include "tests/engine/serve/verify_fixture.h"
#include "tests/support/fake_pool.h"

// The engine runs models: by a pool that only pretends to.
namespace driftseal::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

absl::StatusOr<std::unique_ptr<canary::ReplayPool>> Pretend(const canary::PoolOptions&) {
  return std::make_unique<FakePool>();
}
absl::StatusOr<std::unique_ptr<canary::ReplayPool>> NoSandbox(const canary::PoolOptions&) {
  return absl::FailedPreconditionError("the sandbox lacks landlock: no such system call");
}

// An engine whose detector was fitted by itself on 200 models and their behaviour.
class ReplayServer {
 public:
  explicit ReplayServer(serve::StartReplay start = Pretend, const std::string& replay = "auto") {
    for (int i = 0; i < 120; ++i) {
      root_.Write("fleet/m" + std::to_string(i) + ".json", RunnableModel(static_cast<uint64_t>(i)));
    }
    root_.Write("sets/table.safetensors", *replay::EncodeCanarySet(RunnableSet()));
    Start(start, replay);
  }
  ~ReplayServer() { Stop(); }

  void Start(serve::StartReplay start, const std::string& replay) {
    serve::Options options;
    options.grpc_listen = "127.0.0.1:0";
    options.artifact_root = root_.string();
    options.state_dir = state_.string();
    options.model_dir = "";
    options.replay = replay;
    auto engine = serve::Engine::Open(options, log_.get(), start);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
    server_ = *serve::Server::Start(*engine_);
  }
  void Stop() {
    if (server_) server_->Drain(std::chrono::steady_clock::now() + std::chrono::seconds(20));
    server_.reset();
    engine_.reset();
  }

  // Stores a detector as a fit does, without the autoencoder, which needs another process.
  void StoreDetector() {
    const auto sets = canary::ReadSets({{root_.string() + "/sets"}});
    ASSERT_TRUE(sets.ok()) << sets.status();
    const auto root = artifact::Root::Open(root_.string());
    screen::FindOptions find;
    find.folders = {"fleet"};
    const auto subjects = screen::FindSubjects(root_.string(), find);
    const canary::Prober prober(std::make_shared<FakePool>(), {RunnableSet()}, {});
    screen::ReferenceOptions reading;
    reading.prober = &prober;
    const auto reference = screen::ReadReference(*root, *subjects, reading);
    detector::FitOptions options;
    options.members = {"forest", "svm", "mahalanobis", "knn"};
    options.uses = screen::ModelColumnUses();
    options.canary_sets = screen::ForDetector(*sets);
    auto fitted = detector::Detector::Fit(screen::ModelSchemaId(), reference->samples, options);
    ASSERT_TRUE(fitted.ok()) << fitted.status();
    ASSERT_TRUE(fitted->Save(root_.string() + "/detector").ok());
    ASSERT_TRUE(canary::WriteSets(root_.string() + "/detector", *sets).ok());
  }

  v1::Scoring::Stub Scoring() const { return v1::Scoring::Stub(Channel()); }
  v1::Detectors::Stub Detectors() const { return v1::Detectors::Stub(Channel()); }
  std::shared_ptr<grpc::Channel> Channel() const {
    return grpc::CreateChannel("127.0.0.1:" + std::to_string(server_->port()), grpc::InsecureChannelCredentials());
  }
  grpc::Status Load() {
    StoreDetector();
    v1::LoadDetectorRequest request;
    request.set_folder("detector");
    v1::Detector detector;
    grpc::ClientContext context;
    auto stub = Detectors();
    return stub.Load(&context, request, &detector);
  }
  v1::Verdict Verify(const std::string& model, bool no_replay = false) {
    root_.Write("new/a.json", model);
    v1::VerifyRequest request;
    request.set_path("new/a.json");
    request.set_no_replay(no_replay);
    grpc::ClientContext context;
    auto stub = Scoring();
    const auto reader = stub.Verify(&context, request);
    v1::VerifyEvent event;
    while (reader->Read(&event)) {
    }
    const grpc::Status status = reader->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    return event.verdict();
  }
  TempFolder& root() { return root_; }
  TempFolder& state() { return state_; }
  std::string Metrics() const { return engine_->metrics->Text(); }

 private:
  TempFolder root_, state_;
  std::unique_ptr<serve::Log> log_ = serve::SilentLog();
  std::unique_ptr<serve::Engine> engine_;
  std::unique_ptr<serve::Server> server_;
};

const v1::Signal* Find(const v1::Verdict& verdict, const std::string& kind) {
  for (const v1::Signal& signal : verdict.signals()) {
    if (signal.kind() == kind) return &signal;
  }
  return nullptr;
}

TEST(EngineReplay, VerifyRunsModelsAndSetsLieWithTheStoredDetector) {
  ReplayServer server;
  ASSERT_TRUE(server.Load().ok());
  EXPECT_TRUE(server.state().Exists("detectors/driftseal/1/canary/table.safetensors"));
  const v1::Verdict poisoned = server.Verify(RunnableModel(900, "collapse"));
  EXPECT_NE(poisoned.outcome(), v1::Verdict::OUTCOME_PASS);
  EXPECT_EQ(poisoned.score().view(), "behaviour");
  ASSERT_NE(Find(poisoned, "trigger-test"), nullptr);
  EXPECT_THAT(Find(poisoned, "trigger-test")->text(), HasSubstr("collapse into class 2"));
  EXPECT_TRUE(Find(poisoned, "trigger-test")->evidence().fields().contains("columns"));
  const v1::Verdict crashed = server.Verify(RunnableModel(901, "crash"));
  ASSERT_NE(Find(crashed, "not-run"), nullptr);
  EXPECT_EQ(Find(crashed, "not-run")->severity(), v1::Signal::SEVERITY_CONCERN);
  const std::string metrics = server.Metrics();
  EXPECT_THAT(metrics, HasSubstr("driftseal_replays_total{outcome=\"measured\"} 1"));
  EXPECT_THAT(metrics, HasSubstr("driftseal_replays_total{outcome=\"failed\"} 1"));
  EXPECT_THAT(metrics, HasSubstr("driftseal_replay_busy 0"));
}

TEST(EngineReplay, ARequestMayForbidIt) {
  ReplayServer server;
  ASSERT_TRUE(server.Load().ok());
  const v1::Verdict verdict = server.Verify(RunnableModel(902), true);
  EXPECT_EQ(verdict.score().view(), "files");
  ASSERT_NE(Find(verdict, "not-run"), nullptr);
  EXPECT_EQ(Find(verdict, "not-run")->severity(), v1::Signal::SEVERITY_UNKNOWN);
  EXPECT_THAT(server.Metrics(), Not(HasSubstr("driftseal_replays_total{outcome=\"measured\"} 1")));
}

TEST(EngineReplay, StoredSetsOutliveARestartAndAreCheckedAgainstTheirDigest) {
  ReplayServer server;
  ASSERT_TRUE(server.Load().ok());
  server.Stop();
  server.Start(Pretend, "on");
  EXPECT_EQ(server.Verify(RunnableModel(903)).score().view(), "behaviour");
  server.Stop();
  replay::CanarySet other = RunnableSet();
  other.inputs[0] += 1;
  server.state().Write("detectors/driftseal/1/canary/table.safetensors", *replay::EncodeCanarySet(other));
  server.Start(Pretend, "on");
  v1::VerifyRequest request;
  request.set_path("new/a.json");
  grpc::ClientContext context;
  auto stub = server.Scoring();
  const auto reader = stub.Verify(&context, request);
  v1::VerifyEvent event;
  while (reader->Read(&event)) {
  }
  EXPECT_THAT(reader->Finish(), FailsWith(grpc::StatusCode::FAILED_PRECONDITION, "is not the canary set table"));
}

TEST(EngineReplay, WithoutASandboxVerdictsStayOpenAndSayWhy) {
  ReplayServer server(NoSandbox);
  ASSERT_TRUE(server.Load().ok());
  const v1::Verdict verdict = server.Verify(RunnableModel(904));
  EXPECT_NE(verdict.outcome(), v1::Verdict::OUTCOME_PASS);
  ASSERT_NE(Find(verdict, "not-run"), nullptr);
  EXPECT_THAT(Find(verdict, "not-run")->text(), HasSubstr("lacks landlock"));
}

TEST(EngineReplay, OnRefusesToStartWithoutASandbox) {
  const TempFolder root, state;
  serve::Options options;
  options.grpc_listen = "127.0.0.1:0";
  options.artifact_root = root.string();
  options.state_dir = state.string();
  options.model_dir = "";
  options.replay = "on";
  const auto log = serve::SilentLog();
  const auto engine = serve::Engine::Open(options, log.get(), NoSandbox);
  EXPECT_EQ(engine.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(engine.status().message()), HasSubstr("lacks landlock"));
  EXPECT_THAT(std::string(engine.status().message()), HasSubstr("replay_allow_missing"));
}

TEST(EngineReplay, ALoadedDetectorWithoutItsSetsIsRefused) {
  ReplayServer server;
  server.StoreDetector();
  std::filesystem::remove(server.root() / "detector/canary/table.safetensors");
  v1::LoadDetectorRequest request;
  request.set_folder("detector");
  v1::Detector detector;
  grpc::ClientContext context;
  auto stub = server.Detectors();
  EXPECT_THAT(stub.Load(&context, request, &detector),
              FailsWith(grpc::StatusCode::FAILED_PRECONDITION, "canary set table"));
}

TEST(EngineReplay, GetTellsTheSetsAndWhetherModelsAreRun) {
  ReplayServer server;
  ASSERT_TRUE(server.Load().ok());
  v1::GetDetectorRequest request;
  v1::Detector detector;
  grpc::ClientContext context;
  auto stub = server.Detectors();
  ASSERT_TRUE(stub.Get(&context, request, &detector).ok());
  ASSERT_EQ(detector.canary_sets_size(), 1);
  EXPECT_EQ(detector.canary_sets(0).name(), "table");
  EXPECT_EQ(detector.canary_sets(0).sha256().size(), 64u);
  EXPECT_TRUE(detector.replays());
}

TEST(EngineReplay, AFitRefusesSetsThatLeadOutOfTheRootOrAreNone) {
  ReplayServer server;
  const auto fit = [&](const std::string& canary, const std::string& of) {
    v1::FitRequest request;
    request.set_folder("fleet");
    if (!canary.empty()) request.add_canary(canary);
    request.set_canary_of(of);
    v1::Operation operation;
    grpc::ClientContext context;
    auto stub = server.Detectors();
    return stub.Fit(&context, request, &operation);
  };
  EXPECT_THAT(fit("../sets/table.safetensors", ""), FailsWith(grpc::StatusCode::PERMISSION_DENIED, "canary"));
  EXPECT_THAT(fit("", "nobody"), FailsWith(grpc::StatusCode::NOT_FOUND, "canary_of"));
}

}  // namespace
}  // namespace driftseal::testing
