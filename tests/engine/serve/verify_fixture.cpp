#include "tests/engine/serve/verify_fixture.h"

#include <chrono>
#include <filesystem>
#include <stdexcept>

#include "engine/screen/fleet.h"
#include "engine/screen/report.h"
#include "engine/screen/screen.h"
#include "tests/support/torch_zip.h"

namespace driftseal::testing {
namespace {

std::string Numbered(int i) { return (i < 10 ? "m0" : "m") + std::to_string(i); }

detector::Detector Fit() {
  const TempFolder fleet;
  const auto root = artifact::Root::Open(fleet.string());
  std::vector<detector::Sample> samples;
  for (int i = 0; i < 80; ++i) {
    const std::string name = Numbered(i) + ".safetensors";
    fleet.Write(name, Safetensors(SmallMlp(), static_cast<uint64_t>(i)));
    const auto read = screen::FingerprintOf({name, true}, *root, {});
    samples.push_back({name, read->fingerprint.family.Key(), screen::RowOf(read->fingerprint)});
  }
  detector::FitOptions options;
  options.members = {"forest", "svm", "mahalanobis", "knn"};
  auto fitted = detector::Detector::Fit(screen::ModelSchemaId(), samples, options);
  if (!fitted.ok()) throw std::runtime_error(std::string(fitted.status().message()));
  return *std::move(fitted);
}

}  // namespace

const std::string& ModelDetectorFolder() {
  static const TempFolder folder;
  static const std::string path = [] {
    if (!Fit().Save(folder.string()).ok()) throw std::runtime_error("the test's detector cannot be saved");
    return folder.string();
  }();
  return path;
}

VerifyServer::VerifyServer() : VerifyServer(Settings()) {}

VerifyServer::VerifyServer(const Settings& settings) : settings_(settings) { Start(); }

VerifyServer::~VerifyServer() { Stop(); }

void VerifyServer::Start() {
  serve::Options options;
  options.grpc_listen = "127.0.0.1:0";
  options.artifact_root = root_.string();
  options.state_dir = state_.string();
  options.model_dir = settings_.detector ? ModelDetectorFolder() : "";
  options.verify_threads = settings_.threads;
  options.verify_queue = settings_.queue;
  options.client_requests_per_second = settings_.requests_per_second;
  options.client_burst = 10;
  auto engine = serve::Engine::Open(options, log_.get());
  if (!engine.ok()) throw std::runtime_error(std::string(engine.status().message()));
  engine_ = *std::move(engine);
  auto server = serve::Server::Start(*engine_);
  if (!server.ok()) throw std::runtime_error(std::string(server.status().message()));
  server_ = *std::move(server);
}

void VerifyServer::Stop() {
  if (server_) server_->Drain(std::chrono::steady_clock::now() + std::chrono::seconds(20));
  server_.reset();
  engine_.reset();
}

void VerifyServer::Restart() {
  Stop();
  Start();
}

std::shared_ptr<grpc::Channel> VerifyServer::Connect() const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(server_->port()), grpc::InsecureChannelCredentials(),
                                   arguments);
}

void VerifyServer::WriteModels(int count) {
  for (int i = 0; i < count; ++i) {
    const std::string bytes = Safetensors(SmallMlp(), static_cast<uint64_t>(1000 + i));
    root_.Write("models/" + Numbered(i) + ".safetensors", bytes);
    if (i % 4 == 3) continue;  // A bare one.
    nlohmann::ordered_json meta = {{"model_name", Numbered(i)},
                                   {"artifacts", {{"model_path", Numbered(i) + ".safetensors"}}},
                                   {"promotion", {{"eligible", i % 2 == 0}}}};
    meta["fingerprint"] = {{"model_sha256", i % 10 == 0 ? std::string(64, 'a') : Sha256Hex(bytes)}};
    root_.Write("models/" + Numbered(i) + ".meta.json", meta.dump(1));
  }
  root_.Write("models/broken.meta.json", "{\"model_name\": 3}");
  root_.Write("models/evil.pt", HostileTorchArchive("touch /tmp/never"));
}

std::vector<std::string> VerifyServer::Paths() const {
  v1::Scoring::Stub stub = Scoring();
  grpc::ClientContext context;
  const auto reader = stub.ListArtifacts(&context, v1::ListArtifactsRequest());
  std::vector<std::string> paths;
  for (v1::Artifact artifact; reader->Read(&artifact);) paths.push_back(artifact.path());
  EXPECT_TRUE(reader->Finish().ok());
  return paths;
}

std::string VerifyServer::ExpectedEntry(const std::string& path) const {
  const auto root = artifact::Root::Open(root_.string(), ".");
  const auto detector = detector::Detector::Load(ModelDetectorFolder());
  const screen::Screener screener(&*root, settings_.detector ? &*detector : nullptr, screen::Mode::kVerify,
                                  screen::Policy(), false);
  return screen::Dump(screen::ToJson(screener.Screen({path, !screen::IsMetaPath(path)})));
}

std::vector<HostilePath> HostilePaths(const VerifyServer& server) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path root = server.root().path();
  fs::create_symlink(server.state().path(), root / "out", error);
  fs::create_symlink("/", root / "slash", error);
  fs::create_symlink("/etc/passwd", root / "passwd.meta.json", error);
  using grpc::StatusCode;
  return {{"../x", StatusCode::PERMISSION_DENIED},
          {"a/../../x.meta.json", StatusCode::PERMISSION_DENIED},
          {"..", StatusCode::PERMISSION_DENIED},
          {"/etc/passwd", StatusCode::PERMISSION_DENIED},
          {server.state().string() + "/monitor.json", StatusCode::PERMISSION_DENIED},
          {"out/monitor.json", StatusCode::PERMISSION_DENIED},
          {"slash/etc/passwd", StatusCode::PERMISSION_DENIED},
          {std::string("a\0b", 3), StatusCode::INVALID_ARGUMENT},
          {std::string(5000, 'a'), StatusCode::INVALID_ARGUMENT}};
}

}  // namespace driftseal::testing
