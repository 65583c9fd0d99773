#ifndef DRIFTSEAL_ENGINE_SCREEN_FLEET_H_
#define DRIFTSEAL_ENGINE_SCREEN_FLEET_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/screen/report.h"
#include "engine/screen/screen.h"
#include "engine/store/journal.h"

// Many models, on all cores, in flat memory.
namespace driftseal::screen {

/// One finished model: its entry of the report as one line of JSON, and the verdict that stands in it.
struct Entry {
  std::string verdict, line;
};

/// Screens `subjects` from index `first` on with `threads` threads. Results come in the order of the subjects, and at
/// most a fixed number of them is held, so that memory does not grow with the fleet. Destroying it early stops the
/// threads.
class FleetRun {
 public:
  FleetRun(const Screener* screener, std::span<const Subject> subjects, size_t first, unsigned threads);
  ~FleetRun();
  /// The next result; nothing when all are done.
  std::optional<Entry> Next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// How many entries at the journal's start are of the first subjects, in order; the rest are cut off. Their tally is
/// added to `tally`.
absl::StatusOr<size_t> ResumeFrom(store::Journal& journal, std::span<const Subject> subjects, Tally& tally);

/// Benjamini–Hochberg adjusted p-values (Benjamini & Hochberg 1995): rejecting q <= f keeps the false discovery rate at
/// f. NaN entries are left out of the count and stay NaN.
std::vector<double> AdjustedPValues(std::span<const double> p);

/// The report: `header` with "summary" and "models" behind it, the models streamed from the journal with their
/// q-values.
absl::Status WriteReport(const std::string& path, nlohmann::ordered_json header, const Tally& tally,
                         store::Journal& journal);

/// JSON text of any of these; bytes that are not UTF-8 (a file's name can hold some) become U+FFFD.
std::string Dump(const nlohmann::ordered_json& json, int indent = -1);

}  // namespace driftseal::screen

#endif  // DRIFTSEAL_ENGINE_SCREEN_FLEET_H_
