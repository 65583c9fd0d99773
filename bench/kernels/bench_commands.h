#ifndef DRIFTSEAL_BENCH_KERNELS_BENCH_COMMANDS_H_
#define DRIFTSEAL_BENCH_KERNELS_BENCH_COMMANDS_H_

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "bench_scorer.h"
#include "model_io.h"

namespace driftseal::kernels::bench {

/// Answers one request after the other, so that a driver can time this program and its peers in turn. Requests and
/// answers are JSON objects:
///
///   {"op": "machine"}                                     → instruction sets, best first, and their Highway targets
///   {"op": "load", "model": FILE, "rows": FILE}           → which members there are, rows and columns
///   {"op": "score", WHAT, "output": FILE}                 → "target"; the scores as float32 in FILE
///   {"op": "reference", "kernel": K, "count": N, "output": FILE}       the double reference's, as float64
///   {"op": "time", WHAT, "passes": N}                     → "seconds" on the wall, "cpu_seconds", "rows" scored,
///   "target"
///   {"op": "latency", WHAT, "calls": N}                   → microseconds of calls of one row: p50, p99, p999, ...
///   {"op": "limit", "isa": I, "threads": N, "name": L, "seconds": S}   → a rate (bench_limits.h)
///
/// WHAT is "kernel", "isa", "threads", and optionally "count" (that many of the rows, again from the first when there
/// are fewer) and "batch" (rows a call). An answer with "error" says what was wrong; the program goes on.
class Commands {
 public:
  nlohmann::json Answer(const nlohmann::json& request);

 private:
  nlohmann::json Load(const nlohmann::json& request);
  nlohmann::json Score(const nlohmann::json& request);
  nlohmann::json Reference(const nlohmann::json& request);
  nlohmann::json Time(const nlohmann::json& request);
  nlohmann::json Latency(const nlohmann::json& request);
  BenchScorer& ScorerFor(const nlohmann::json& request);

  Model model_;
  Rows rows_;
  std::map<std::string, std::unique_ptr<BenchScorer>> scorers_;  ///< By kernel, instruction set and threads.
  std::vector<float> out_;
};

}  // namespace driftseal::kernels::bench

#endif  // DRIFTSEAL_BENCH_KERNELS_BENCH_COMMANDS_H_
