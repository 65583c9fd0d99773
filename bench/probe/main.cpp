// What a probe costs, by its parts: the median over models that are trusted, since nothing holds them in. With --dump
// it also writes what was measured, for those who look for features in it.
//
//   driftseal-probe-bench --canary SET.safetensors [--dump OUT_DIR] [--threads N] MODEL...
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <map>
#include <string>
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
  void Add(const std::string& part, double milliseconds) {
    if (!of_part_.contains(part)) parts_.push_back(part);
    of_part_[part].push_back(milliseconds);
  }
  void Print() {
    for (const std::string& part : parts_) std::printf("%-14s %8.1f ms\n", part.c_str(), Median(of_part_[part]));
    std::printf("(medians of %zu models)\n", of_part_["all"].size());
  }

 private:
  static double Median(std::vector<double>& values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  }
  std::vector<std::string> parts_;
  std::map<std::string, std::vector<double>> of_part_;
};

double ProcessorMilliseconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) * 1e-6;
}

/// Every `threads`-th model from `first`; what each part of each cost goes to `out`. The number of models that failed.
int Work(const Options& options, const CanarySet& set, size_t first, std::FILE* out) {
  int failed = 0;
  for (size_t m = first; m < options.models.size(); m += options.threads) {
    const double before = ProcessorMilliseconds();
    const auto behaviour = ProbeFile(options.models[m], set, options);
    absl::Status status = behaviour.status();
    if (status.ok()) {
      double all = 0;
      for (const auto& [part, milliseconds] : behaviour->cost_ms) {
        std::fprintf(out, "%s %g\n", part.c_str(), milliseconds);
        all += milliseconds;
      }
      std::fprintf(out, "all %g\nprocessor %g\n", all, ProcessorMilliseconds() - before);
      if (!options.dump.empty()) status = Dump(options.models[m], *behaviour, set, options.dump);
    }
    if (status.ok()) continue;
    ++failed;
    std::fprintf(stderr, "%s: %s\n", options.models[m].c_str(), status.ToString().c_str());
  }
  std::fflush(out);
  return failed;
}

/// Processes rather than threads: a probe sets LibTorch up for itself, and LibTorch's settings are the process's.
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
  std::vector<std::FILE*> outs(options.threads);
  std::vector<pid_t> children(options.threads);
  for (size_t t = 0; t < options.threads; ++t) {
    outs[t] = std::tmpfile();
    children[t] = outs[t] == nullptr ? -1 : fork();
    if (children[t] == 0) _exit(Work(options, *set, t, outs[t]) == 0 ? 0 : 1);
    if (children[t] < 0) return std::perror("driftseal-probe-bench: fork"), 3;
  }
  bool failed = false;
  Costs costs;
  for (size_t t = 0; t < options.threads; ++t) {
    int status = 0;
    waitpid(children[t], &status, 0);
    failed = failed || status != 0;
    std::rewind(outs[t]);
    char part[64];
    double milliseconds = 0;
    while (std::fscanf(outs[t], "%63s %lg", part, &milliseconds) == 2) costs.Add(part, milliseconds);
    std::fclose(outs[t]);
  }
  costs.Print();
  return failed ? 1 : 0;
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
