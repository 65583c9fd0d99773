#include "engine/batch/queue.h"

#include <algorithm>
#include <utility>

namespace driftseal::batch {
namespace {

/// Virtual time of one unit of cost: the less, the more of it a priority gets.
constexpr std::array<uint64_t, kPriorities> kPace = {16, 4, 1};

/// Idle clients that are remembered, so that the next job of theirs costs no allocation.
constexpr size_t kMostIdleClients = 1024;

}  // namespace

Client& JobQueue::ClientOf(const std::string& name) {
  const auto [entry, fresh] = clients_.try_emplace(name);
  Client& client = entry->second;
  if (!fresh) return client;
  for (size_t p = 0; p < kPriorities; ++p) client.flows[p] = {.client = &client, .priority = p};
  client.entry = idle_.insert(idle_.end(), &entry->first);
  if (idle_.size() > kMostIdleClients) {
    clients_.erase(clients_.find(*idle_.front()));
    idle_.pop_front();
  }
  return client;
}

bool JobQueue::LetIn(size_t client_rows, size_t client_cost, size_t rows, size_t most_cost, Load* load) const {
  const auto refuse = [load](Load::Full full, size_t held, size_t limit) {
    load->full = full;
    load->rows = held;
    load->limit = limit;
    return false;
  };
  const size_t free = limit_rows_ - rows_;
  if (rows > free) return refuse(Load::Full::kQueue, rows_, limit_rows_);
  if (client_rows + rows > free - rows) return refuse(Load::Full::kClientShare, client_rows, free);
  // In the rounds until the last of its rows, each client is served about as much as this one.
  const size_t clients = active_.size() + (client_rows == 0 ? 1 : 0);
  const size_t own_turn = clients * (client_cost + quantum_);
  if (std::min(cost_, own_turn) <= most_cost) return true;
  const size_t share = most_cost / clients;
  // The limit is told in rows like those that wait.
  const auto in_rows = [this](size_t limit_cost) {
    return static_cast<size_t>(static_cast<double>(rows_) / static_cast<double>(cost_) *
                               static_cast<double>(limit_cost));
  };
  if (clients > 1 && client_cost >= share) return refuse(Load::Full::kClientShare, client_rows, in_rows(share));
  return refuse(Load::Full::kQueue, rows_, in_rows(most_cost));
}

bool JobQueue::WouldTake(const std::string& client, size_t most_cost, Load* load) const {
  const auto found = clients_.find(client);
  return found == clients_.end() ? LetIn(0, 0, 1, most_cost, load)
                                 : LetIn(found->second.rows, found->second.cost, 1, most_cost, load);
}

bool JobQueue::Push(Job* job, size_t cost, size_t most_cost, Clock::time_point now, Load* load) {
  const size_t rows = job->item.rows.rows;
  Client& client = ClientOf(job->client);
  if (!LetIn(client.rows, client.cost, rows, most_cost, load)) return false;
  if (client.rows == 0) active_.splice(active_.end(), idle_, client.entry);
  client.rows += rows;
  client.cost += rows * cost;
  if (jobs_ == 0) since_ = now;
  rows_ += rows;
  cost_ += rows * cost;
  ++jobs_;
  Flow& flow = client.flows[static_cast<size_t>(job->priority)];
  job->flow_ = &flow;
  job->cost_ = cost;
  job->taken_ = job->in_batch_ = 0;
  job->since_ = now;
  job->status_ = absl::OkStatus();
  job->next_ = nullptr;
  job->previous_ = flow.last;
  if (flow.first == nullptr) {
    flow.first = job;
    Activate(flow);
  } else {
    flow.last->next_ = job;
  }
  flow.last = job;
  return true;
}

void JobQueue::Activate(Flow& flow) {
  Ring& ring = rings_[flow.priority];
  flow.deficit = 0;
  if (ring.head == nullptr) {
    // What a priority did not use while it had nothing to do is not saved up.
    ring.virtual_time = std::max(ring.virtual_time, virtual_now_);
    ring.head = flow.next = flow.previous = &flow;
    return;
  }
  flow.next = ring.head;
  flow.previous = ring.head->previous;
  flow.previous->next = flow.next->previous = &flow;
}

void JobQueue::Deactivate(Flow& flow) {
  Ring& ring = rings_[flow.priority];
  if (flow.next == &flow) {
    ring.head = nullptr;
  } else {
    flow.previous->next = flow.next;
    flow.next->previous = flow.previous;
    if (ring.head == &flow) ring.head = flow.next;
  }
  flow.next = flow.previous = nullptr;
}

void JobQueue::Unlink(Job* job) {
  Flow& flow = *std::exchange(job->flow_, nullptr);
  (job->previous_ != nullptr ? job->previous_->next_ : flow.first) = job->next_;
  (job->next_ != nullptr ? job->next_->previous_ : flow.last) = job->previous_;
  --jobs_;
  if (flow.first == nullptr) Deactivate(flow);
}

void JobQueue::Uncount(Job* job, size_t rows) {
  Client& client = *job->flow_->client;
  rows_ -= rows;
  cost_ -= rows * job->cost_;
  client.rows -= rows;
  client.cost -= rows * job->cost_;
  if (client.rows == 0) idle_.splice(idle_.end(), active_, client.entry);
}

JobQueue::Ring* JobQueue::NextRing() {
  Ring* next = nullptr;
  for (Ring& ring : rings_) {
    if (ring.head != nullptr && (next == nullptr || ring.virtual_time <= next->virtual_time)) next = &ring;
  }
  return next;
}

void JobQueue::Take(size_t most_cost, Clock::time_point now, std::vector<Taken>& taken, std::vector<Job*>& ended,
                    Counts& counts) {
  size_t left = most_cost;
  for (Ring* ring = NextRing(); ring != nullptr; ring = NextRing()) {
    Flow& flow = *ring->head;
    Job* job = flow.first;
    const size_t rest = job->item.rows.rows - job->taken_;
    if (job->deadline <= now) {
      Uncount(job, rest);
      Unlink(job);
      job->status_ = absl::DeadlineExceededError("the deadline was over before the rows were scored");
      if (job->in_batch_ == 0) ended.push_back(job);  // Otherwise it ends with what is being scored.
      ++counts.expired_jobs;
      continue;
    }
    if (left < job->cost_ && left < most_cost) break;
    if (flow.deficit <= 0) flow.deficit += static_cast<int64_t>(quantum_);
    const size_t allowed = std::min(left, static_cast<size_t>(std::max<int64_t>(flow.deficit, 1)));
    const size_t rows = std::min(rest, std::max<size_t>(1, allowed / job->cost_)), cost = rows * job->cost_;
    if (!taken.empty() && taken.back().job == job) {
      taken.back().part.count += rows;
    } else {
      taken.push_back({job, {&job->item, job->taken_, rows}, job->cost_});
    }
    const double waited = std::chrono::duration<double>(now - job->since_).count();
    counts.queue_seconds += static_cast<double>(rows) * waited;
    if (job->taken_ == 0) ++counts.jobs_by_wait[ColumnOf(Counts::kSeconds, waited)];
    virtual_now_ = ring->virtual_time;
    ring->virtual_time += cost * kPace[flow.priority];
    flow.deficit -= static_cast<int64_t>(cost);
    left -= std::min(left, cost);
    if (flow.deficit <= 0) ring->head = flow.next;
    job->taken_ += rows;
    job->in_batch_ += rows;
    Uncount(job, rows);
    if (rows == rest) Unlink(job);
    if (left == 0) break;
  }
}

bool JobQueue::Finish(const Taken& taken, const absl::Status& status) {
  Job* job = taken.job;
  job->in_batch_ -= taken.part.count;
  if (!status.ok() && job->status_.ok()) {
    job->status_ = status;
    Remove(job);
  }
  return job->flow_ == nullptr && job->in_batch_ == 0;
}

JobQueue::Removal JobQueue::Remove(Job* job) {
  if (job->flow_ == nullptr) return Removal::kAbsent;
  Uncount(job, job->item.rows.rows - job->taken_);
  Unlink(job);
  if (job->in_batch_ == 0) return Removal::kTaken;
  if (job->status_.ok()) job->status_ = absl::CancelledError("was cancelled while a part of its rows was scored");
  return Removal::kPartly;
}

}  // namespace driftseal::batch
