#ifndef DRIFTSEAL_ENGINE_BATCH_BATCHER_H_
#define DRIFTSEAL_ENGINE_BATCH_BATCHER_H_

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "engine/detector/batch.h"
#include "engine/detector/detector.h"

// The rows of all callers meet here, in one bounded queue, and go to the kernels together.
namespace driftseal::batch {

using Clock = std::chrono::steady_clock;

enum class Priority { kLow, kNormal, kHigh };

/// Rows of one caller for one detector. Filled in by the caller, who keeps it alive until Done was called, Submit
/// refused it, or Cancel took it back.
class Job {
 public:
  virtual ~Job() = default;
  /// Called exactly once for a job that was accepted and not taken back, on a thread of the batcher or, where the device
  /// was idle, on the one that called Submit. Must not block. OK: `scores` is filled in; DeadlineExceeded: it was not
  /// scored; else as detector::ScoreBatch.
  virtual void Done(absl::Status status) = 0;

  std::shared_ptr<const detector::Detector> detector;
  detector::BatchItem item;  ///< Rows in, scores out; its `detector` is set by Submit.
  std::string client;        ///< Whose share of the queue it takes.
  Priority priority = Priority::kNormal;
  Clock::time_point deadline = Clock::time_point::max();
};

struct Options {
  size_t batch_rows = 1024;                  ///< A batch leaves when it has so many rows, ...
  std::chrono::microseconds batch_wait{500};  ///< ... or when its oldest row has waited this long, or the device is idle.
  size_t queue_rows = 65536;                 ///< More than so many rows never wait.
  /// Nor more than are scored in this time, at the rate measured of late: what is accepted is answered soon.
  std::chrono::microseconds queue_delay{20000};
};

/// How full the queue is.
struct Load {
  enum class Full { kNo, kQueue, kClientShare };
  Full full = Full::kNo;       ///< Of Submit: what refused the job.
  size_t rows = 0, limit = 0;  ///< In the queue, or of this client's share of it.
  std::chrono::microseconds wait{0};  ///< Until what is there now will have been scored.
};

/// Counters since the start, for metrics; read without stopping anything.
struct Counts {
  uint64_t accepted_jobs = 0, accepted_rows = 0, refused_jobs = 0, cancelled_jobs = 0, expired_jobs = 0;
  uint64_t batches = 0, batch_rows = 0;
  double queue_seconds = 0, compute_seconds = 0;  ///< Sums: over rows, over batches.
  size_t queued_rows = 0, queued_jobs = 0;        ///< Now.
};

class Batcher {
 public:
  explicit Batcher(const Options& options);
  ~Batcher();  ///< As Drain.

  /// ResourceExhausted at once where the queue, or this client's share of it, is full; Unavailable once draining;
  /// InvalidArgument for rows that the detector does not take. `load` may be null.
  absl::Status Submit(Job* job, Load* load);
  /// True: the job was still waiting and is the caller's again; Done will not be called. False: Done was or will be.
  bool Cancel(Job* job);
  Load load() const;
  Counts counts() const;
  /// Scores what was accepted, refuses what comes later, and returns when Done was called for all of it.
  void Drain();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace driftseal::batch

#endif  // DRIFTSEAL_ENGINE_BATCH_BATCHER_H_
