#ifndef DRIFTSEAL_ENGINE_SERVE_MONITOR_H_
#define DRIFTSEAL_ENGINE_SERVE_MONITOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/screen/screen.h"
#include "engine/serve/log.h"

namespace driftseal::serve {

/// What the models that are verified come to, over the days: monitor.json, docs/schemas/monitor.schema.json. For each
/// detector and family: verdicts, scores, and whether more models are flagged than the level of the detector explains.
/// Safe to share between threads.
class Monitor {
 public:
  static constexpr size_t kFamilies = 4096;  ///< Of all detectors; those that were seen last stay.
  static constexpr size_t kRecent = 1000;

  /// Goes on with the file where it is there; one that is damaged is moved to PATH.damaged, which `log` tells. `alpha`
  /// is the level at which a model counts as flagged: with another one than in the file, counting of those begins anew.
  /// `log` outlives the monitor. Errors name the file.
  static absl::StatusOr<std::unique_ptr<Monitor>> Open(const std::string& path, double alpha, Log* log);
  ~Monitor();  ///< Writes what is new.

  /// Notes one result. Never waits for the disk: the file is written at most once a second, on a thread of its own.
  void Note(const screen::Result& result, const std::string& detector);
  /// Writes now. For tests, and for who wants to read it.
  absl::Status Write();

 private:
  struct State;
  explicit Monitor(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// An upper bound of P(X >= k) for X binomial(n, p): Chernoff's exp(-n KL(k/n || p)) (Hoeffding 1963, theorem 1), which
/// is never below it; 1 where k/n <= p.
double BinomialTailBound(uint64_t k, uint64_t n, double p);

/// The share of clean models that a detector calibrated on `n` models may flag at level `alpha`, with probability 1 -
/// delta over the draw of those models: that share is Beta(l, n + 1 - l) with l = floor(alpha (n + 1)) (Vovk 2012;
/// Bates et al. 2023), and its upper delta quantile is bounded as above, since P(Beta(l, n + 1 - l) > q) =
/// P(binomial(n, q) < l).
double ExplainedShare(double alpha, size_t n, double delta);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_MONITOR_H_
