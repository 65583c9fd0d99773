#ifndef DRIFTSEAL_ENGINE_BATCH_BATCHER_H_
#define DRIFTSEAL_ENGINE_BATCH_BATCHER_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "engine/detector/batch.h"
#include "engine/detector/detector.h"

// The rows of all callers meet here, in one bounded queue, and go to the kernels together.
namespace driftseal::batch {

using Clock = std::chrono::steady_clock;

/// Where rows of several priorities wait, they are scored in the ratio 1 : 4 : 16.
enum class Priority { kLow, kNormal, kHigh };

struct Flow;

/// Rows of one caller for one detector. Filled in by the caller, who keeps it alive until Done was called, Submit
/// refused it, or Cancel took it back. May be used again afterwards.
class Job {
 public:
  virtual ~Job() = default;
  /// Called exactly once for a job that was accepted and not taken back, on a thread of the batcher or, where the
  /// device was idle, on one that is in Submit (of this job or of another one), before that Submit returns. No lock is
  /// held, and the batcher does not touch the job afterwards. Must not block, nor call Drain. OK: `item.scores` is
  /// filled in; DeadlineExceeded: not all rows were scored in time; Cancelled: Cancel came while some were scored; else
  /// as detector::BatchScorer.
  virtual void Done(absl::Status status) = 0;

  std::shared_ptr<const detector::Detector> detector;
  detector::BatchItem item;  ///< Rows in, scores out; its `detector` is set by Submit.
  std::string client;        ///< Whose share of the queue it takes.
  Priority priority = Priority::kNormal;
  Clock::time_point deadline = Clock::time_point::max();

 private:
  friend class JobQueue;
  Flow* flow_ = nullptr;  ///< Where it waits; null: not waiting.
  Job *next_ = nullptr, *previous_ = nullptr;
  size_t cost_ = 1;      ///< Of a row.
  size_t taken_ = 0;     ///< Rows that went to a batch so far.
  size_t in_batch_ = 0;  ///< Of those, in a batch that is being scored.
  Clock::time_point since_{};
  absl::Status status_;
};

struct Options {
  size_t batch_rows = 1024;  ///< At most so many rows make a batch; longer jobs are scored in pieces.
  /// An idle device takes what there is at once; where rows come so densely that a few make one cheap batch instead of
  /// many dear ones, it takes them when a core falls idle, some dozens are there, or the oldest has waited this long.
  std::chrono::microseconds batch_wait{500};
  /// More rows than these never wait. One client never holds more of them than are free beside it (a share after
  /// Choudhury and Hahne, 1998: what others do not use is its, and room for others is always left).
  size_t queue_rows = 65536;
  /// Nor does a job of a client wait longer than this for others' and its own rows before it, at the rate measured of
  /// late: what is accepted is answered soon.
  std::chrono::microseconds queue_delay{10000};
  /// Batches that are scored at once, each on one thread (detector::Lanes). One that is alone, with nothing waiting, is
  /// spread over all cores.
  size_t at_once = 1;
  size_t threads = 0;  ///< Of the batcher's own, beside those of the backend; 0: one a batch at once, two at least.
};

/// How full the queue is.
struct Load {
  enum class Full { kNo, kQueue, kClientShare };
  Full full = Full::kNo;              ///< Of Submit: what refused the job.
  size_t rows = 0, limit = 0;         ///< In the queue, or of this client's share of it.
  std::chrono::microseconds wait{0};  ///< Until what is there now will have been scored.
};

/// Counters since the start, for metrics.
struct Counts {
  /// Bounds of the histograms: the last column counts what lies beyond them.
  static constexpr std::array<size_t, 13> kRows = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};
  static constexpr std::array<double, 11> kSeconds = {50e-6, 100e-6, 250e-6, 500e-6, 1e-3,  2.5e-3,
                                                      5e-3,  10e-3,  25e-3,  50e-3,  100e-3};
  uint64_t accepted_jobs = 0, accepted_rows = 0, refused_jobs = 0, cancelled_jobs = 0, expired_jobs = 0;
  uint64_t batches = 0, batch_rows = 0;
  double queue_seconds = 0, compute_seconds = 0;             ///< Sums: over rows, over batches.
  size_t queued_rows = 0, queued_jobs = 0;                   ///< Now.
  std::array<uint64_t, kRows.size() + 1> batches_by_rows{};  ///< At most kRows[i], and more than the bound before.
  std::array<uint64_t, kSeconds.size() + 1>
      jobs_by_wait{};  ///< The same of the time until a job's first row was taken.
};

/// Safe to use from any number of threads. Rows of a client go to batches in the order of its jobs of one priority;
/// clients share the device by deficit round robin over rows (Shreedhar and Varghese, 1996), whatever the number and
/// size of their jobs.
class Batcher {
 public:
  explicit Batcher(const Options& options);
  ~Batcher();  ///< As Drain.
  Batcher(const Batcher&) = delete;
  Batcher& operator=(const Batcher&) = delete;

  /// Rows that a job may have: half of queue_rows.
  size_t max_job_rows() const;

  /// OK: accepted, Done was or will be called. Otherwise it will not be: ResourceExhausted at once where the queue, or
  /// this client's share of it, is full; Unavailable once draining; DeadlineExceeded for a deadline that is over;
  /// InvalidArgument for rows that the detector does not take, or more than max_job_rows of them; NotFound for a family
  /// that it does not score. `load` may be null.
  absl::Status Submit(Job* job, Load* load);
  /// ResourceExhausted where Submit would now refuse even one row of this client, so that a large request need not be
  /// read before it is refused. Counts as a refusal. `load` may be null.
  absl::Status Admit(const std::string& client, Load* load);
  /// True: the job was still waiting and is the caller's again; Done will not be called. False: Done was or will be; of
  /// a job that is partly scored the rest is dropped.
  bool Cancel(Job* job);
  Load load() const;
  Counts counts() const;
  /// Scores what was accepted, refuses what comes later, and returns when Done has returned for all of it.
  void Drain();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace driftseal::batch

#endif  // DRIFTSEAL_ENGINE_BATCH_BATCHER_H_
