#ifndef DRIFTSEAL_ENGINE_BATCH_PACE_H_
#define DRIFTSEAL_ENGINE_BATCH_PACE_H_

#include <cstddef>
#include <cstdint>

#include "engine/batch/batcher.h"

namespace driftseal::batch {

/// How fast jobs come and rows are scored, of late. Used by one thread at a time.
class Pace {
 public:
  /// So much cost makes a batch that more of it makes hardly cheaper a row: two vectors of the widest kind.
  static constexpr size_t kWorthwhile = 32;

  /// A batch smaller than `full` says nothing about how fast large ones are.
  explicit Pace(size_t full) : full_(full) {}

  void Came(Clock::time_point now);
  /// A batch, one of so many that were scored at once.
  void Scored(size_t cost, Clock::duration took, size_t at_once = 1);

  /// After waiting for more jobs there were so many.
  void Gathered(size_t jobs);

  /// Whether to wait for more jobs: batches of one job each would keep a core busy for more than an eighth of the time,
  /// and waiting did bring five dozen of late. For fewer, the threads that wait and are called cost more than the batch
  /// saves.
  bool gathers() const { return gap_ < 8 * alone_ && pause_ == 0; }
  /// Cost scored in this time; SIZE_MAX before anything was measured.
  size_t CostIn(Clock::duration time) const;
  std::chrono::microseconds TimeFor(size_t cost) const;

 private:
  static constexpr double kHope = 64.5;

  const size_t full_;
  Clock::time_point last_{};
  double gap_ = 1e-3;              ///< Seconds between two jobs.
  double alone_ = 5e-6;            ///< Seconds that a batch of next to nothing takes.
  double gathered_ = kHope;        ///< Jobs after a wait.
  size_t pause_ = 0;               ///< Jobs until waiting is tried again.
  double cost_ = 0, seconds_ = 0;  ///< Sums over full batches, older ones fading.
};

}  // namespace driftseal::batch

#endif  // DRIFTSEAL_ENGINE_BATCH_PACE_H_
