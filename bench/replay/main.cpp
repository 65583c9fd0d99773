// What running models in sandboxed processes costs: start of the service, then a model from its bytes to its checked
// answer, in a process of its own and in one that goes on.
//
//   driftseal-replay-bench --program build/bin/driftseal-replay [--canary SET.safetensors] [--probe] MODEL.pt
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/artifact/source.h"
#include "engine/canary/replay_pool.h"
#include "engine/replay/protocol/behaviour.h"

namespace driftseal {
namespace {

using Clock = std::chrono::steady_clock;
using artifact::Source;

double MsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

struct Options {
  std::string program, canary, model;
  bool probe = false;
  int repeats = 50;
};

absl::StatusOr<std::string> ReadAll(const std::string& path) {
  absl::StatusOr<Source> source = Source::Open(path);
  if (!source.ok()) return source.status();
  std::vector<std::byte> scratch;
  absl::StatusOr<std::span<const std::byte>> bytes = source->ReadAll(uint64_t{1} << 32, scratch);
  if (!bytes.ok()) return bytes.status();
  return std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size());
}

/// 64 grey images of 28 × 28 where no set is given.
replay::CanarySet PlainSet() {
  replay::CanarySet set;
  set.name = "plain";
  set.shape = set.image = {1, 28, 28};
  for (int i = 0; i < 64 * 28 * 28; ++i) set.inputs.push_back(static_cast<float>(i % 97) / 97);
  set.labels.assign(64, -1);
  return set;
}

absl::Status Measure(const Options& options, bool isolate, const replay::CanarySet& set, const std::string& model) {
  canary::PoolOptions pool_options;
  pool_options.program = options.program;
  pool_options.workers = 1;
  pool_options.isolate_each = isolate;
  const Clock::time_point start = Clock::now();
  absl::StatusOr<std::unique_ptr<canary::ReplayPool>> pool = canary::ReplayPool::Start(pool_options);
  if (!pool.ok()) return pool.status();
  std::printf("%s: start %.0f ms", isolate ? "a process each" : "one process  ", MsSince(start));
  std::vector<double> times;
  for (int i = 0; i < options.repeats; ++i) {
    const Clock::time_point begin = Clock::now();
    const auto bytes = std::as_bytes(std::span(model.data(), model.size()));
    const auto answer = options.probe ? (*pool)->Probe(bytes, replay::ModelRuntime::kTorchScript, set, {})
                                      : (*pool)->Replay(bytes, replay::ModelRuntime::kTorchScript, set);
    if (!answer.ok()) return answer.status();
    times.push_back(MsSince(begin));
  }
  const double first = times.front();
  std::sort(times.begin(), times.end());
  std::printf(", first model %.1f ms, then least %.2f ms, median %.2f ms, 90 %% %.2f ms\n", first, times.front(),
              times[times.size() / 2], times[times.size() * 9 / 10]);
  return absl::OkStatus();
}

absl::Status Run(const Options& options) {
  absl::StatusOr<std::string> model = ReadAll(options.model);
  if (!model.ok()) return model.status();
  replay::CanarySet set = PlainSet();
  if (!options.canary.empty()) {
    absl::StatusOr<std::string> bytes = ReadAll(options.canary);
    if (!bytes.ok()) return bytes.status();
    absl::StatusOr<replay::CanarySet> read = replay::DecodeCanarySet(*bytes, options.canary);
    if (!read.ok()) return read.status();
    set = *std::move(read);
  }
  for (const bool isolate : {true, false}) {
    if (absl::Status status = Measure(options, isolate, set, *model); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace driftseal

int main(int argc, char** argv) {
  driftseal::Options options;
  CLI::App app("What running models in sandboxed processes costs");
  app.add_option("--program", options.program, "driftseal-replay")->required();
  app.add_option("--canary", options.canary, "A canary set");
  app.add_flag("--probe", options.probe, "All measurements instead of outputs alone");
  app.add_option("--repeats", options.repeats)->check(CLI::Range(1, 100000));
  app.add_option("model", options.model)->required();
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = driftseal::Run(options);
  if (!status.ok()) std::fprintf(stderr, "driftseal-replay-bench: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 3;
}
