#ifndef DRIFTSEAL_ENGINE_BATCH_QUEUE_H_
#define DRIFTSEAL_ENGINE_BATCH_QUEUE_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/batch/batcher.h"

// Who is let in and who goes next. Used by one thread at a time; allocates nothing for a client that was here of late.
namespace driftseal::batch {

inline constexpr size_t kPriorities = 3;

/// Column of a histogram with these upper bounds.
template <class Bounds, class Value>
size_t ColumnOf(const Bounds& bounds, const Value& value) {
  return static_cast<size_t>(std::lower_bound(bounds.begin(), bounds.end(), value) - bounds.begin());
}

struct Client;

/// Jobs of one client at one priority, in the order in which they came.
struct Flow {
  Client* client = nullptr;
  size_t priority = 0;
  Job *first = nullptr, *last = nullptr;
  Flow *next = nullptr, *previous = nullptr;  ///< In the ring of its priority, while it has jobs.
  int64_t deficit = 0;                        ///< Cost that it may still take in this round.
};

struct Client {
  std::array<Flow, kPriorities> flows;
  size_t rows = 0, cost = 0;                      ///< Waiting.
  std::list<const std::string*>::iterator entry;  ///< Of the list that it is in.
};

class JobQueue {
 public:
  /// `quantum`: cost that a flow takes before the next one's turn.
  JobQueue(size_t limit_rows, size_t quantum) : limit_rows_(limit_rows), quantum_(quantum) {}

  size_t rows() const { return rows_; }
  size_t cost() const { return cost_; }
  size_t jobs() const { return jobs_; }
  bool empty() const { return jobs_ == 0; }
  size_t clients() const { return clients_.size(); }  ///< With those that are remembered.
  size_t limit_rows() const { return limit_rows_; }
  size_t max_job_rows() const { return limit_rows_ / 2; }
  /// When the oldest of the jobs that wait came, or before; of use while there are any.
  Clock::time_point since() const { return since_; }

  /// Lets the job in, or tells in `load` why not. `cost` is that of a row. `most_cost`: what may have to be scored
  /// before the job's turn.
  bool Push(Job* job, size_t cost, size_t most_cost, Clock::time_point now, Load* load);

  /// Whether Push would take one row of this client.
  bool WouldTake(const std::string& client, size_t most_cost, Load* load) const;

  struct Taken {
    Job* job;
    detector::BatchPart part;
    size_t cost;  ///< Of a row.
  };
  /// Moves rows worth up to `most_cost` (one row at least) to `taken`; jobs whose deadline is over come to `ended`.
  /// Counts how long they waited.
  void Take(size_t most_cost, Clock::time_point now, std::vector<Taken>& taken, std::vector<Job*>& ended,
            Counts& counts);
  /// Rows that were taken have been scored, or failed with `status`. True: nothing of the job is left, it has ended.
  bool Finish(const Taken& taken, const absl::Status& status);

  enum class Removal { kTaken, kPartly, kAbsent };
  /// kTaken: it waited, and is gone. kPartly: it ends when the rows that are being scored are done. kAbsent: it does
  /// not wait here.
  Removal Remove(Job* job);

  /// How a job ended.
  static absl::Status Ending(Job* job) { return std::move(job->status_); }

 private:
  /// Flows that have jobs, in a ring; virtual time is the cost served, over the priority's weight.
  struct Ring {
    Flow* head = nullptr;
    uint64_t virtual_time = 0;
  };

  Client& ClientOf(const std::string& name);
  bool LetIn(size_t client_rows, size_t client_cost, size_t rows, size_t most_cost, Load* load) const;
  void Activate(Flow& flow);
  void Unlink(Job* job);
  void Deactivate(Flow& flow);
  Ring* NextRing();
  void Uncount(Job* job, size_t rows);

  const size_t limit_rows_, quantum_;
  std::unordered_map<std::string, Client> clients_;
  /// Names of clients of which rows wait, and of those of which none do, the one that has been idle longest first.
  std::list<const std::string*> active_, idle_;
  std::array<Ring, kPriorities> rings_;
  uint64_t virtual_now_ = 0;
  size_t rows_ = 0, cost_ = 0, jobs_ = 0;
  Clock::time_point since_{};
};

}  // namespace driftseal::batch

#endif  // DRIFTSEAL_ENGINE_BATCH_QUEUE_H_
