#include "tests/engine/app/live_engine.h"

#include <signal.h>

#include <chrono>
#include <filesystem>
#include <stdexcept>
#include <thread>
#include <utility>

#include "nlohmann/json.hpp"
#include "tests/engine/app/cli.h"

namespace driftseal::testing {

LiveEngine::LiveEngine(const std::string& artifact_root, const std::string& model_dir, std::vector<std::string> more)
    : arguments_({"serve", "--artifact-root", artifact_root, "--model-dir",
                  model_dir.empty() ? (folder_ / "no-detector").string() : model_dir, "--state-dir",
                  (folder_ / "state").string(), "--http-listen", "", "--port-file", (folder_ / "ports").string()}) {
  arguments_.insert(arguments_.end(), more.begin(), more.end());
  Start();
}

LiveEngine::~LiveEngine() = default;

void LiveEngine::Start() {
  std::filesystem::remove(folder_ / "ports");
  std::vector<std::string> arguments = arguments_;
  arguments.insert(arguments.end(), {"--grpc-listen", address()});
  ProcessOptions options;
  options.limit_seconds = 600;
  process_ = std::make_unique<Process>(Command(arguments), options);
  // The file appears whole, once both listen.
  while (!folder_.Exists("ports")) {
    if (!process_->Running()) {
      const ProcessResult result = process_->Wait();
      throw std::runtime_error("driftseal serve ended: " + result.out + result.err);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  port_ = nlohmann::json::parse(folder_.Read("ports")).at("grpc").get<int>();
}

void LiveEngine::Kill() {
  process_->Signal(SIGKILL);
  process_->Wait();
}

ProcessResult LiveEngine::Stop() {
  process_->Signal(SIGTERM);
  return process_->Wait();
}

}  // namespace driftseal::testing
