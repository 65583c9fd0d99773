#include "engine/batch/batcher.h"

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/batch/idle_watch.h"
#include "engine/batch/pace.h"
#include "engine/batch/queue.h"
#include "engine/batch/round.h"

namespace driftseal::batch {
namespace {

/// What a client takes before the next one's turn: whole vectors, and little against a batch.
constexpr size_t kQuantum = 64;
/// More calls of Done than these, and somebody else is woken to look after the queue meanwhile.
constexpr size_t kFewEnded = 4;
/// Rounds that a caller in Submit scores at most, before it goes on with its own work.
constexpr size_t kMostInSubmit = 32;

Options Checked(Options options) {
  options.batch_rows = std::max<size_t>(1, options.batch_rows);
  options.queue_rows = std::max<size_t>(2, options.queue_rows);
  options.at_once = std::max<size_t>(1, options.at_once);
  if (options.threads == 0) options.threads = std::max<size_t>(2, options.at_once);
  return options;
}

/// Time slices of 0.5 ms and not 3 for the calling thread, which gives up its core sooner to a thread that wakes, not
/// more of it: requests are read, and refused, while all cores score. Linux 6.12 and later; others take no notice.
void TakeShortSlices() {
  // As in linux/sched/types.h, which does not get along with glibc's sched.h.
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
  } attributes{};
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0U) != 0) return;
  attributes.runtime_ns = 500'000;
  syscall(SYS_sched_setattr, 0, &attributes, 0U);
}

absl::Status Refusal(const Load& load) {
  if (load.full == Load::Full::kClientShare) {
    return absl::ResourceExhaustedError(absl::StrCat("this client's share of the queue is full: ", load.rows,
                                                     " rows of it wait, and its share is now ", load.limit));
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("the queue is full: ", load.rows, " rows wait, and it takes ", load.limit));
}

}  // namespace

/// At most `at_once` rounds are scored at a time, each by the thread that took it: one of the batcher, or a caller in
/// Submit that found the device free. Whoever ends a round while jobs wait sees to it that somebody takes them next
/// (leader and followers).
struct Batcher::State {
  explicit State(const Options& given)
      : options(Checked(given)),
        queue(options.queue_rows, kQuantum),
        pace(std::max<size_t>(1, options.batch_rows / 4)) {
    for (size_t t = 0; t < options.threads; ++t) threads.emplace_back([this] { Serve(); });
  }

  bool Free() const { return running < options.at_once && !gathering; }
  bool Small() const { return queue.cost() < Pace::kWorthwhile; }
  bool ShouldGather(Clock::time_point now) const;
  void Gather(std::unique_lock<std::mutex>& lock);
  bool WantsHelp();
  std::unique_ptr<Round> TakeRound(Clock::time_point now);
  void RunRound(std::unique_lock<std::mutex>& lock, Clock::time_point now);
  void RunInSubmit(std::unique_lock<std::mutex>& lock, Clock::time_point now);
  void Serve();
  absl::Status Check(Job& job) const;
  size_t MostCost() const;
  absl::Status Refuse(const Load& own, Load* load);
  void FillLoad(Load& load) const;

  const Options options;
  mutable std::mutex mutex;
  std::condition_variable work, drained;
  // All below is guarded by the mutex.
  JobQueue queue;
  Pace pace;
  Counts counts;
  size_t running = 0;      ///< Rounds that are being scored.
  size_t short_ones = 0;   ///< Of them, of a few rows.
  bool gathering = false;  ///< A thread of the batcher waits for more rows.
  bool called = false;     ///< A sleeper was woken and is on its way.
  bool draining = false, stopping = false;
  size_t sleepers = 0;     ///< Threads of the batcher that have nothing to do.
  size_t outstanding = 0;  ///< Jobs that were accepted and of which Done has not returned.
  std::vector<std::unique_ptr<Round>> spare;

  Event leave;  ///< Ends a gathering.
  IdleWatch watch{leave};
  std::vector<std::thread> threads;
};

bool Batcher::State::ShouldGather(Clock::time_point now) const {
  return pace.gathers() && !draining && Small() && now < queue.since() + options.batch_wait;
}

void Batcher::State::Gather(std::unique_lock<std::mutex>& lock) {
  gathering = true;
  leave.Reset();
  const Clock::time_point end = queue.since() + options.batch_wait;
  lock.unlock();
  watch.Arm();
  leave.WaitUntil(end);
  lock.lock();
  gathering = false;
  pace.Gathered(queue.jobs());
}

/// True: the caller wakes a thread of the batcher for the jobs that wait, once it has let go of the lock. Where all of
/// them are awake they will look.
bool Batcher::State::WantsHelp() {
  if (queue.empty() || !Free() || called || sleepers == 0) return false;
  called = true;
  return true;
}

std::unique_ptr<Round> Batcher::State::TakeRound(Clock::time_point now) {
  std::unique_ptr<Round> round;
  if (spare.empty()) {
    round = std::make_unique<Round>();
  } else {
    round = std::move(spare.back());
    spare.pop_back();
  }
  queue.Take(options.batch_rows, now, round->taken, round->ended, counts);
  round->alone = running == 0 && queue.empty();
  return round;
}

void Batcher::State::RunRound(std::unique_lock<std::mutex>& lock, Clock::time_point now) {
  const size_t short_one = Small() ? 1 : 0;
  std::unique_ptr<Round> round = TakeRound(now);
  ++running;
  short_ones += short_one;
  const bool deep = WantsHelp();
  lock.unlock();
  if (deep) work.notify_one();
  const Clock::time_point start = Clock::now();
  round->Score();
  const Clock::duration took = Clock::now() - start;
  lock.lock();
  if (!round->taken.empty()) {
    ++counts.batches;
    counts.batch_rows += round->rows;
    ++counts.batches_by_rows[ColumnOf(Counts::kRows, round->rows)];
    counts.compute_seconds += std::chrono::duration<double>(took).count();
    pace.Scored(round->cost, took, running);
  }
  round->Finish(queue);
  --running;
  short_ones -= short_one;
  const bool call = round->ended.size() > kFewEnded && WantsHelp();
  lock.unlock();
  if (call) work.notify_one();
  const size_t ended = round->ended.size();
  round->Tell();
  lock.lock();
  outstanding -= ended;
  if (outstanding == 0 && draining) drained.notify_all();
  spare.push_back(std::move(round));
}

/// Of a few rows that came meanwhile the caller scores as well: a thread of the batcher would have to be woken for
/// them.
void Batcher::State::RunInSubmit(std::unique_lock<std::mutex>& lock, Clock::time_point now) {
  for (size_t rounds = 0; rounds < kMostInSubmit; ++rounds, now = Clock::now()) {
    if (rounds > 0 && (queue.empty() || !Free() || called || !Small() || ShouldGather(now))) break;
    RunRound(lock, now);
  }
  if (!WantsHelp()) return;
  lock.unlock();
  work.notify_one();
}

void Batcher::State::Serve() {
  // Times of waiting are exact to a microsecond then, and not to 50.
  prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
  TakeShortSlices();
  std::unique_lock lock(mutex);
  while (!stopping) {
    if (!Free() || queue.empty()) {
      ++sleepers;
      work.wait(lock);
      --sleepers;
      called = false;
      continue;
    }
    if (ShouldGather(Clock::now())) Gather(lock);
    if (!queue.empty()) RunRound(lock, Clock::now());
  }
}

absl::Status Batcher::State::Check(Job& job) const {
  job.item.detector = job.detector.get();
  if (job.item.rows.rows > queue.max_job_rows()) {
    return absl::InvalidArgumentError(
        absl::StrCat(job.item.rows.rows, " rows; at most ", queue.max_job_rows(), " are taken at once"));
  }
  if (absl::Status status = detector::CheckRows(*job.detector, job.item.rows); !status.ok()) return status;
  return detector::Prepare(job.item);
}

size_t Batcher::State::MostCost() const { return std::max(pace.CostIn(options.queue_delay), options.batch_rows); }

absl::Status Batcher::State::Refuse(const Load& own, Load* load) {
  ++counts.refused_jobs;
  if (load != nullptr) load->full = own.full, load->rows = own.rows, load->limit = own.limit;
  return Refusal(own);
}

void Batcher::State::FillLoad(Load& load) const {
  load.rows = queue.rows();
  load.limit = queue.limit_rows();
  load.wait = pace.TimeFor(queue.cost());
}

Batcher::Batcher(const Options& options) : state_(std::make_unique<State>(options)) {}

Batcher::~Batcher() {
  Drain();
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->work.notify_all();
  for (std::thread& thread : state_->threads) thread.join();
}

size_t Batcher::max_job_rows() const { return state_->queue.max_job_rows(); }

absl::Status Batcher::Submit(Job* job, Load* load) {
  State& state = *state_;
  if (absl::Status status = state.Check(*job); !status.ok()) return status;
  const size_t cost = detector::RowCost(job->item);
  const Clock::time_point now = Clock::now();
  if (job->deadline <= now) return absl::DeadlineExceededError("the deadline is over");
  const bool nothing = job->item.rows.rows == 0;
  Load own;
  std::unique_lock lock(state.mutex);
  if (state.draining) return absl::UnavailableError("the engine is shutting down");
  const bool accepted = nothing || state.queue.Push(job, cost, state.MostCost(), now, &own);
  if (load != nullptr) state.FillLoad(*load);
  if (!accepted) return state.Refuse(own, load);
  ++state.counts.accepted_jobs;
  state.counts.accepted_rows += job->item.rows.rows;
  if (nothing) {
    lock.unlock();
    job->Done(absl::OkStatus());
    return absl::OkStatus();
  }
  ++state.outstanding;
  state.pace.Came(now);
  if (state.gathering && !state.Small()) {
    lock.unlock();
    state.leave.Set();
    return absl::OkStatus();
  }
  if (!state.Free() || state.called) return absl::OkStatus();
  // Whoever scores a few rows takes these next: together they are cheaper, and the models stay in one core's cache.
  if (state.short_ones > 0 && state.Small()) return absl::OkStatus();
  // A round on this thread is a short one: others must be read and refused meanwhile.
  if (state.Small() && !state.ShouldGather(now)) {
    state.RunInSubmit(lock, now);
  } else if (state.WantsHelp()) {
    lock.unlock();
    state.work.notify_one();
  }
  return absl::OkStatus();
}

absl::Status Batcher::Admit(const std::string& client, Load* load) {
  Load own;
  const std::lock_guard lock(state_->mutex);
  if (state_->queue.WouldTake(client, state_->MostCost(), &own)) return absl::OkStatus();
  if (load != nullptr) state_->FillLoad(*load);
  return state_->Refuse(own, load);
}

bool Batcher::Cancel(Job* job) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  const JobQueue::Removal removal = state.queue.Remove(job);
  if (removal == JobQueue::Removal::kAbsent) return false;
  ++state.counts.cancelled_jobs;
  if (removal == JobQueue::Removal::kPartly) return false;
  if (--state.outstanding == 0 && state.draining) state.drained.notify_all();
  return true;
}

Load Batcher::load() const {
  Load load;
  const std::lock_guard lock(state_->mutex);
  state_->FillLoad(load);
  return load;
}

Counts Batcher::counts() const {
  const std::lock_guard lock(state_->mutex);
  Counts counts = state_->counts;
  counts.queued_rows = state_->queue.rows();
  counts.queued_jobs = state_->queue.jobs();
  return counts;
}

void Batcher::Drain() {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  state.draining = true;
  state.leave.Set();
  state.drained.wait(lock, [&] { return state.outstanding == 0; });
}

}  // namespace driftseal::batch
