#ifndef DRIFTSEAL_ENGINE_BATCH_ROUND_H_
#define DRIFTSEAL_ENGINE_BATCH_ROUND_H_

#include <cstddef>
#include <vector>

#include "engine/batch/queue.h"
#include "engine/detector/batch.h"

namespace driftseal::batch {

/// What one thread takes from the queue at once, scores and tells the callers. Its memory is used again.
struct Round {
  std::vector<JobQueue::Taken> taken;
  std::vector<Job*> ended;    ///< To be told: expired before, scored now.
  size_t rows = 0, cost = 0;  ///< Of Score.
  bool alone = true;          ///< No other round, and nothing waits: all cores may work on it.

  /// Needs no lock: what it writes belongs to the jobs.
  void Score();
  /// Gives the rows back to the queue as done, and finds the jobs that have ended.
  void Finish(JobQueue& queue);
  /// Calls Done, and is then empty.
  void Tell();

 private:
  detector::BatchScorer scorer_;
  std::vector<detector::BatchPart> parts_;
  std::vector<absl::Status> failed_;  ///< One a part where any failed, else empty.
};

}  // namespace driftseal::batch

#endif  // DRIFTSEAL_ENGINE_BATCH_ROUND_H_
