#include "engine/serve/engine.h"

#include <unistd.h>

#include <climits>
#include <string>
#include <utility>

#include "engine/artifact/text.h"
#include "engine/serve/engine_metrics.h"
#include "engine/serve/replays.h"
#include "engine/serve/tls.h"
#include "engine/serve/tokens.h"

namespace driftseal::serve {
namespace {

using artifact::Cat;

absl::Status Named(const char* setting, const absl::Status& status) {
  return status.ok() ? status : absl::Status(status.code(), Cat(setting, ": ", status.message()));
}

// Beside the program, or where an installation has it.
std::string CudaModule() {
  std::string path(PATH_MAX, '\0');
  const ssize_t length = readlink("/proc/self/exe", path.data(), path.size());
  path.resize(length < 0 ? 0 : static_cast<size_t>(length));
  const std::string folder = path.substr(0, path.rfind('/') + 1);
  for (const char* name : {"libdriftseal_cuda.so", "../lib/driftseal/libdriftseal_cuda.so"}) {
    if (access((folder + name).c_str(), R_OK) == 0) return folder + name;
  }
  return folder + "libdriftseal_cuda.so";
}

absl::StatusOr<std::shared_ptr<const detector::Backend>> OpenBackend(const Options& options, Log& log) {
  detector::BackendOptions backend;
  backend.name = options.backend;
  backend.cuda_module = CudaModule();
  backend.threads = options.score_threads;
  backend.crossover_rows = options.crossover_rows;
  backend.log = [&log](const std::string& text) { log.Info("backend", {{"note", text}}); };
  return detector::MakeBackend(backend);
}

absl::StatusOr<std::unique_ptr<detector::Registry>> OpenRegistry(const Options& options,
                                                                 std::shared_ptr<const detector::Backend> backend) {
  detector::RegistryOptions registry;
  registry.state_dir = options.state_dir;
  registry.model_dir = options.model_dir;
  registry.default_name = options.default_detector;
  // As in the CLI: single models are scored in double precision unless somebody names what computes.
  const bool named = options.backend != "auto";
  registry.backend_for_models = named;
  if (named) registry.imported_backend = backend;
  registry.backend = std::move(backend);
  return detector::Registry::Open(registry);
}

batch::Options BatchOptions(const Options& options, const detector::Backend& backend) {
  batch::Options batch;
  batch.batch_rows = options.batch_rows;
  batch.batch_wait = std::chrono::microseconds(options.batch_wait_us);
  batch.queue_rows = options.queue_rows;
  batch.queue_delay = std::chrono::milliseconds(options.queue_delay_ms);
  batch.at_once = detector::Lanes(backend);
  return batch;
}

absl::Status CheckFiles(const Options& options) {
  const absl::StatusOr<bool> tls = WantsTls(options);
  if (!tls.ok()) return tls.status();
  if (*tls) {
    if (const auto files = ReadTlsFiles(options); !files.ok()) return files.status();
  }
  if (!options.tokens_file.empty()) {
    if (const auto tokens = Tokens::Read(options.tokens_file); !tokens.ok()) {
      return Named("tokens_file", tokens.status());
    }
  }
  return absl::OkStatus();
}

}  // namespace

Engine::Engine(const Options& given, Log* to, artifact::Root beneath)
    : options(given), log(*to), root(std::move(beneath)) {}

Engine::~Engine() = default;

absl::Status Engine::Check(const Options& options) {
  if (absl::Status files = CheckFiles(options); !files.ok()) return files;
  if (const auto root = artifact::Root::Open(options.artifact_root); !root.ok()) {
    return Named("artifact_root", root.status());
  }
  Metrics metrics;
  const std::unique_ptr<Log> silent = SilentLog();
  return Gate::Open(options, &metrics, silent.get()).status();
}

absl::StatusOr<std::unique_ptr<Engine>> Engine::Open(const Options& options, Log* log, StartReplay start) {
  if (absl::Status files = CheckFiles(options); !files.ok()) return files;
  // Messages to callers do not tell where the root lies on this machine.
  absl::StatusOr<artifact::Root> root = artifact::Root::Open(options.artifact_root, ".");
  if (!root.ok()) return Named("artifact_root", root.status());
  std::unique_ptr<Engine> engine(new Engine(options, log, *std::move(root)));
  engine->metrics = std::make_unique<Metrics>();
  absl::StatusOr<std::unique_ptr<Gate>> gate = Gate::Open(options, engine->metrics.get(), log);
  if (!gate.ok()) return gate.status();
  engine->gate = *std::move(gate);
  absl::StatusOr<std::shared_ptr<const detector::Backend>> backend = OpenBackend(options, *log);
  if (!backend.ok()) return Named("backend", backend.status());
  engine->backend = *std::move(backend);
  auto detectors = OpenRegistry(options, engine->backend);
  if (!detectors.ok()) return Named("state_dir, model_dir", detectors.status());
  engine->detectors = *std::move(detectors);
  engine->batcher = std::make_unique<batch::Batcher>(BatchOptions(options, *engine->backend));
  auto replays = Replays::Open(*engine, start);
  if (!replays.ok()) return replays.status();
  engine->replays = *std::move(replays);
  if (absl::Status verifying = OpenVerifying(*engine); !verifying.ok()) return verifying;
  AddEngineMetrics(*engine);
  return engine;
}

}  // namespace driftseal::serve
