#ifndef DRIFTSEAL_KERNELS_ENSEMBLE_SCORER_H_
#define DRIFTSEAL_KERNELS_ENSEMBLE_SCORER_H_

#include <atomic>
#include <cstddef>
#include <span>
#include <thread>
#include <vector>

#include "kernels/ensemble/ensemble.h"

// Scores rows of one detector or of many on all cores.
namespace driftseal::kernels::ensemble {

/// Rows of one detector, and where their scores go.
struct Group {
  const Packed* detector = nullptr;
  RowsView<float> rows;
  FloatScores out{};
};

/// Threads that wait for work, each with a workspace of its own. Used by one caller at a time.
class Scorer {
 public:
  /// `threads`: with the caller's own; 0: one a core. Where the system gives fewer, fewer work.
  explicit Scorer(const device::Isa& isa, size_t threads = 0);
  ~Scorer();
  Scorer(const Scorer&) = delete;
  Scorer& operator=(const Scorer&) = delete;

  const device::Isa& isa() const { return isa_; }
  size_t threads() const { return helpers_.size() + 1; }

  /// One call for rows of any number of detectors: their tiles are one list of work, so that hundreds of detectors with
  /// a few rows each keep all cores busy. A batch of one tile stays on the caller's thread. Workspaces grow here when a
  /// detector needs more than any before; otherwise nothing is allocated but the list. Returns the Highway target of
  /// the kernels that ran (0 when there was nothing to do).
  int64_t Score(std::span<const Group> groups);
  int64_t Score(const Group& group) { return Score({&group, 1}); }

 private:
  /// Tile `first / kTileRows` of a group.
  struct Work {
    const Group* group;
    size_t first;
  };

  void Help(size_t thread);
  void WorkOn(size_t thread);
  void Reserve(std::span<const Group> groups);

  const device::Isa isa_;
  const Kernels kernels_;
  std::vector<tile::Aligned<std::byte>> workspaces_;
  std::vector<Work> work_;
  std::atomic<size_t> next_{0};
  std::atomic<int64_t> target_{0};
  std::atomic<uint32_t> call_{0};     ///< Counts calls; the helpers wait for it to change.
  std::atomic<uint32_t> working_{0};  ///< Helpers that have not finished this call.
  std::atomic<bool> stop_{false};
  std::vector<std::thread> helpers_;
};

}  // namespace driftseal::kernels::ensemble

#endif  // DRIFTSEAL_KERNELS_ENSEMBLE_SCORER_H_
