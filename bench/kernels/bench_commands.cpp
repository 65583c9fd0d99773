#include "bench_commands.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <fstream>
#include <stdexcept>

#include "bench_clock.h"
#include "bench_limits.h"

namespace driftseal::kernels::bench {
namespace {

using Json = nlohmann::json;

const device::Isa& IsaOf(const Json& request) {
  const std::string name = request.at("isa");
  const device::Isa* isa = device::FindIsa(name);
  if (isa == nullptr) throw std::runtime_error("instruction set " + name + " does not run here");
  return *isa;
}

template <class T>
void Write(const std::string& path, const std::vector<T>& values) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
  if (!out.flush()) throw std::runtime_error(path + " cannot be written");
}

Json Machine() {
  Json isas = Json::array();
  for (const device::Isa& isa : device::SupportedIsas()) {
    isas.push_back({{"name", isa.name}, {"target", isa.target}});
  }
  return {{"isas", isas}};
}

Json AnswerLimit(const Json& request) {
  const std::string name = request.at("name");
  const device::Isa& isa = IsaOf(request);
  for (const Limit& limit : LimitsFor(isa)) {
    if (limit.name != name) continue;
    const Rate rate = MeasureLimit(limit, request.at("threads"), request.at("seconds"));
    return {{"per_second", rate.per_second},
            {"per_cpu_second", rate.per_cpu_second},
            {"unit", limit.unit},
            {"target", rate.target}};
  }
  throw std::runtime_error("there is no limit " + name);
}

// Nearest rank: the smallest value that at least a share of `q` does not exceed.
double Quantile(const std::vector<double>& sorted, double q) {
  const auto rank = static_cast<size_t>(std::ceil(q * static_cast<double>(sorted.size())));
  return sorted[std::clamp<size_t>(rank, 1, sorted.size()) - 1];
}

}  // namespace

Json Commands::Answer(const Json& request) {
  try {
    const std::string op = request.at("op");
    if (op == "machine") return Machine();
    if (op == "load") return Load(request);
    if (op == "score") return Score(request);
    if (op == "reference") return Reference(request);
    if (op == "time") return Time(request);
    if (op == "latency") return Latency(request);
    if (op == "limit") return AnswerLimit(request);
    throw std::runtime_error("there is no op " + op);
  } catch (const std::exception& error) {
    return {{"error", error.what()}, {"request", request}};
  }
}

Json Commands::Load(const Json& request) {
  scorers_.clear();
  model_ = ReadModel(request.at("model"));
  rows_ = ReadRows(request.at("rows"));
  Json members = Json::object();
  if (model_.forest)
    members["forest"] = {{"trees", model_.forest->roots.size()}, {"nodes", model_.forest->nodes.size()}};
  if (model_.svm) members["svm"] = {{"vectors", model_.svm->alpha.size()}};
  if (model_.autoencoder) {
    size_t weights = 0;
    for (const auto& layer : model_.autoencoder->layers) weights += layer.weights.size();
    members["autoencoder"] = {{"weights", weights}};
  }
  if (model_.mahalanobis) members["mahalanobis"] = {{"directions", model_.mahalanobis->weights.size()}};
  if (model_.neighbours) members["neighbours"] = {{"rows", model_.neighbours->rows()}};
  Json work = {{"transpose", WorkPerRow(model_, "transpose", rows_.cols)}};
  for (const auto& [name, member] : members.items()) work[name] = WorkPerRow(model_, name, rows_.cols);
  if (!members.empty()) work["ensemble"] = WorkPerRow(model_, "ensemble", rows_.cols);
  return {{"members", members}, {"rows", rows_.count()}, {"cols", rows_.cols}, {"work", work}};
}

BenchScorer& Commands::ScorerFor(const Json& request) {
  const std::string kernel = request.at("kernel"), isa = request.at("isa");
  const size_t threads = request.at("threads");
  auto& scorer = scorers_[kernel + "/" + isa + "/" + std::to_string(threads)];
  if (scorer == nullptr) {
    scorer = std::make_unique<BenchScorer>(model_, kernel, rows_.cols, IsaOf(request), threads);
  }
  return *scorer;
}

Json Commands::Score(const Json& request) {
  BenchScorer& scorer = ScorerFor(request);
  const size_t count = std::min<size_t>(request.value("count", rows_.count()), rows_.count());
  std::vector<float> out(count * scorer.outputs());
  const int64_t target = scorer.Score({rows_.values.data(), count, rows_.cols}, request.value("batch", count), 1, out);
  Write(request.at("output"), out);
  return {{"target", target}, {"outputs", scorer.outputs()}};
}

Json Commands::Reference(const Json& request) {
  const size_t count = std::min<size_t>(request.value("count", rows_.count()), rows_.count());
  Write(request.at("output"), ScoreByReference(model_, request.at("kernel"), {rows_.values.data(), count, rows_.cols}));
  return {{"rows", count}};
}

Json Commands::Time(const Json& request) {
  BenchScorer& scorer = ScorerFor(request);
  const size_t wanted = request.value("count", rows_.count()), count = std::min(wanted, rows_.count());
  const size_t passes = request.value("passes", size_t{1}) * std::max<size_t>(1, wanted / count);
  out_.resize(count * scorer.outputs());
  const Clock clock;
  const int64_t target =
      scorer.Score({rows_.values.data(), count, rows_.cols}, request.value("batch", count), passes, out_);
  const Seconds taken = clock.Read();
  return {{"seconds", taken.wall}, {"cpu_seconds", taken.cpu}, {"rows", count * passes}, {"target", target}};
}

Json Commands::Latency(const Json& request) {
  BenchScorer& scorer = ScorerFor(request);
  const size_t calls = request.at("calls");
  std::vector<double> micros(calls);
  out_.resize(scorer.outputs());
  int64_t target = 0;
  for (size_t i = 0; i < calls; ++i) {
    const double start = Clock::Now(CLOCK_MONOTONIC);
    target = scorer.Score({rows_.values.data() + i % rows_.count() * rows_.cols, 1, rows_.cols}, 1, 1, out_);
    micros[i] = 1e6 * (Clock::Now(CLOCK_MONOTONIC) - start);
  }
  std::sort(micros.begin(), micros.end());
  return {{"calls", calls},
          {"distinct_rows", std::min(calls, rows_.count())},
          {"p50", Quantile(micros, 0.5)},
          {"p90", Quantile(micros, 0.9)},
          {"p99", Quantile(micros, 0.99)},
          {"p999", Quantile(micros, 0.999)},
          {"max", micros.back()},
          {"target", target}};
}

}  // namespace driftseal::kernels::bench
