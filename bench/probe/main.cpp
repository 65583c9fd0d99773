// What a probe costs, by its parts: the median over models that are trusted, since nothing holds them in. With --dump
// it also writes what was measured, for those who look for features in it.
//
//   driftseal-probe-bench --canary SET.safetensors [--dump OUT_DIR] [--threads N] MODEL...
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "engine/artifact/atomic_file.h"
#include "engine/artifact/model_file.h"
#include "engine/artifact/source.h"
#include "engine/replay/probe/probe.h"
#include "engine/replay/protocol/behaviour.h"

namespace driftseal::replay {
namespace {

constexpr uint64_t kLargestFile = uint64_t{1} << 32;

struct Options {
  std::string canary, dump;
  unsigned threads = 1;
  ProbeOptions probe;
  std::vector<std::string> models;
};

absl::StatusOr<std::vector<std::byte>> ReadFile(const std::string& path) {
  const auto source = artifact::Source::Open(path);
  if (!source.ok()) return source.status();
  std::vector<std::byte> scratch;
  const auto bytes = source->ReadAll(kLargestFile, scratch);
  if (!bytes.ok()) return bytes.status();
  return std::vector<std::byte>(bytes->begin(), bytes->end());
}

absl::StatusOr<ModelRuntime> RuntimeOf(const std::string& path) {
  const auto source = artifact::Source::Open(path);
  if (!source.ok()) return source.status();
  const auto format = artifact::DetectFormat(*source);
  if (!format.ok()) return format.status();
  switch (*format) {
    case artifact::Format::kTorchZip:
      return ModelRuntime::kTorchScript;
    case artifact::Format::kXgboostJson:
    case artifact::Format::kXgboostUbj:
      return ModelRuntime::kXgboost;
    case artifact::Format::kSafetensors:
      break;
  }
  return absl::InvalidArgumentError(absl::StrCat(path, ": no model that can be run"));
}

absl::StatusOr<RawBehaviour> ProbeFile(const std::string& path, const CanarySet& set, const Options& options) {
  const auto runtime = RuntimeOf(path);
  if (!runtime.ok()) return runtime.status();
  const auto bytes = ReadFile(path);
  if (!bytes.ok()) return bytes.status();
  return Probe(*bytes, *runtime, set, options.probe);
}

absl::Status Dump(const std::string& path, const RawBehaviour& behaviour, const CanarySet& set,
                  const std::string& folder) {
  const auto payload = EncodeBehaviour(behaviour);
  if (!payload.ok()) return payload.status();
  // What is written is what an engine would accept.
  if (const auto again = DecodeBehaviour(*payload, set); !again.ok()) return again.status();
  const std::string stem = std::filesystem::path(path).stem().string();
  return artifact::WriteFileAtomically(absl::StrCat(folder, "/", stem, ".behaviour.safetensors"), *payload);
}

/// Milliseconds of every model, by part.
class Costs {
 public:
  void Add(const RawBehaviour& behaviour) {
    const std::lock_guard lock(mutex_);
    float sum = 0;
    for (const auto& [part, milliseconds] : behaviour.cost_ms) {
      if (!of_part_.contains(part)) parts_.push_back(part);
      of_part_[part].push_back(milliseconds);
      sum += milliseconds;
    }
    all_.push_back(sum);
  }
  void Print() {
    for (const std::string& part : parts_) std::printf("%-14s %8.1f ms\n", part.c_str(), Median(of_part_[part]));
    std::printf("%-14s %8.1f ms (median of %zu models)\n", "all", Median(all_), all_.size());
  }

 private:
  static float Median(std::vector<float>& values) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  }
  std::mutex mutex_;
  std::vector<std::string> parts_;
  std::map<std::string, std::vector<float>> of_part_;
  std::vector<float> all_;
};

int Run(const Options& options) {
  const auto file = ReadFile(options.canary);
  const auto set = file.ok()
                       ? DecodeCanarySet({reinterpret_cast<const char*>(file->data()), file->size()}, options.canary)
                       : absl::StatusOr<CanarySet>(file.status());
  if (!set.ok()) {
    std::fprintf(stderr, "driftseal-probe-bench: %s\n", set.status().ToString().c_str());
    return 3;
  }
  if (!options.dump.empty()) std::filesystem::create_directories(options.dump);
  Costs costs;
  std::atomic<size_t> next{0}, failed{0};
  const auto work = [&] {
    for (size_t m = next++; m < options.models.size(); m = next++) {
      const auto behaviour = ProbeFile(options.models[m], *set, options);
      absl::Status status = behaviour.status();
      if (status.ok()) {
        costs.Add(*behaviour);
        if (!options.dump.empty()) status = Dump(options.models[m], *behaviour, *set, options.dump);
      }
      if (status.ok()) continue;
      ++failed;
      std::fprintf(stderr, "%s: %s\n", options.models[m].c_str(), status.ToString().c_str());
    }
  };
  std::vector<std::thread> others;
  for (unsigned t = 1; t < options.threads; ++t) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
  costs.Print();
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace driftseal::replay

int main(int argc, char** argv) {
  driftseal::replay::Options options;
  CLI::App app("Measures models' behaviour without a sandbox, and what that costs");
  app.add_option("--canary", options.canary, "A canary set (safetensors)")->required();
  app.add_option("--dump", options.dump, "A folder for what was measured, one file a model");
  app.add_option("--threads", options.threads, "Models at once")->check(CLI::Range(1, 64));
  app.add_option("--search-inputs", options.probe.search_inputs, "Canaries that searches use");
  app.add_option("models", options.models, "TorchScript archives, XGBoost JSON or UBJ")->required();
  CLI11_PARSE(app, argc, argv);
  try {
    return driftseal::replay::Run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "driftseal-probe-bench: %s\n", error.what());
    return 3;
  }
}
