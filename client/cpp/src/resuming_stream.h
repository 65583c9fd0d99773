#ifndef DRIFTSEAL_CLIENT_CPP_SRC_RESUMING_STREAM_H_
#define DRIFTSEAL_CLIENT_CPP_SRC_RESUMING_STREAM_H_

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "client/cpp/src/core.h"
#include "client/cpp/src/disposal.h"

namespace driftseal::internal {

/// A bidirectional stream of requests and answers that find each other by a key, over any number of connections.
///
/// One mutex guards all of it. gRPC calls back (OnRead, OnWritten, OnDone) on threads of its own; everything that waits
/// (for room, for answers, for the time of the next attempt) waits in Send and Next, on the caller's. Traits has the
/// types Request, Response and Key, and Start(core, context, reactor), KeyOf(response), ErrorOf(response) → ItemError
/// or null.
template <typename Traits>
class ResumingStream : public std::enable_shared_from_this<ResumingStream<Traits>> {
 public:
  using Request = typename Traits::Request;
  using Response = typename Traits::Response;
  using Key = typename Traits::Key;

  ResumingStream(std::shared_ptr<Core> core, const StreamOptions& options, Clock::time_point deadline)
      : core_(std::move(core)),
        options_(options),
        deadline_(deadline),
        request_id_(RandomId()),
        backoff_(core_->options.retry) {
    if (options_.max_in_flight == 0) options_.max_in_flight = 1;
  }

  /// Nothing where there is no room and `wait` is false.
  std::optional<Status> Send(const Key& key, Request request, bool wait) {
    std::unique_lock lock(mutex_);
    for (;;) {
      Drive();
      if (over_) return status_.ok() ? Ended("the stream is over") : status_;
      if (finished_) return Ended("nothing can be sent after Finish");
      if (numbers_.count(key) > 0) return InvalidArgument("an id that waits for its answer already");
      if (items_.size() + ready_.size() < options_.max_in_flight) break;
      if (!wait) return std::nullopt;
      Wait(lock);
    }
    const uint64_t number = next_number_++;
    numbers_.emplace(key, number);
    items_.emplace(number,
                   Item{std::make_shared<const Request>(std::move(request)), Backoff(core_->options.retry), {}});
    to_write_.push_back(number);
    if (connection_ == nullptr && !reconnect_at_) Connect();
    Write();
    return Status();
  }

  /// Whether Send would not wait; what it finds out about the stream's end is Send's to tell.
  bool HasRoom() const {
    const std::lock_guard lock(mutex_);
    return over_ || finished_ || items_.size() + ready_.size() < options_.max_in_flight;
  }

  std::optional<Response> Next() {
    std::unique_lock lock(mutex_);
    for (;;) {
      Drive();
      if (!ready_.empty()) {
        Response response = std::move(ready_.front());
        ready_.pop_front();
        changed_.notify_all();
        return response;
      }
      if (over_) return std::nullopt;
      if (finished_ && items_.empty()) {
        over_ = true;
        changed_.notify_all();
        CloseWrites();
        // The engine ends the call when it has seen that; one that does not is not waited for.
        changed_.wait_for(lock, std::chrono::seconds(2), [this] { return connection_ == nullptr; });
        return std::nullopt;
      }
      Wait(lock);
    }
  }

  void Finish() {
    const std::lock_guard lock(mutex_);
    finished_ = true;
    changed_.notify_all();
  }

  void Cancel() {
    const std::lock_guard lock(mutex_);
    End({Code::kCancelled, "cancelled", request_id_, {}, {}, 1});
    if (connection_ != nullptr) connection_->context.TryCancel();
  }

  const std::string& request_id() const { return request_id_; }
  Status status() const {
    const std::lock_guard lock(mutex_);
    return status_;
  }

 private:
  struct Item {
    std::shared_ptr<const Request> request;
    Backoff refusals;                            // How often the engine asked for another try.
    std::optional<Clock::time_point> resend_at;  // It waits for this and is not on its way.
  };

  // One call. Belongs to itself until gRPC is done with it; keeps the stream alive meanwhile.
  struct Connection final : grpc::ClientBidiReactor<Request, Response> {
    explicit Connection(std::shared_ptr<ResumingStream> owner) : stream(std::move(owner)) {}
    void OnReadDone(bool ok) override { stream->OnRead(this, ok); }
    void OnWriteDone(bool ok) override { stream->OnWritten(this, ok); }
    void OnDone(const grpc::Status& status) override {
      const CallbackScope scope;
      stream->OnDone(StatusOf(status, context, stream->request_id_));
      delete this;
    }
    std::shared_ptr<ResumingStream> stream;  // Before the context, which goes first: see DestroyCore.
    grpc::ClientContext context;
    Response in;
    std::shared_ptr<const Request> out;  // On its way; null: none.
    bool broken = false;                 // Nothing more may be started.
  };

  Status Ended(const char* why) const { return {Code::kFailedPrecondition, why, request_id_, {}, {}, 1}; }

  // --- All below is called with the mutex held.

  void Connect() {
    reconnect_at_.reset();
    connection_ = new Connection(this->shared_from_this());
    core_->AddMetadata(connection_->context, request_id_);
    if (deadline_ != Clock::time_point::max()) connection_->context.set_deadline(deadline_);
    to_write_.clear();
    for (const auto& [number, item] : items_) {
      if (!item.resend_at) to_write_.push_back(number);
    }
    Traits::Start(*core_, &connection_->context, connection_);
    // A read is under way until the end: while it is, gRPC keeps the call.
    connection_->StartRead(&connection_->in);
    connection_->StartCall();
  }

  void Write() {
    if (connection_ == nullptr || connection_->broken || connection_->out != nullptr) return;
    while (!to_write_.empty()) {
      const auto item = items_.find(to_write_.front());
      to_write_.pop_front();
      if (item == items_.end()) continue;
      connection_->out = item->second.request;
      connection_->StartWrite(connection_->out.get());
      return;
    }
  }

  // All is answered and nothing more will be sent.
  void CloseWrites() {
    if (!over_ || !status_.ok() || connection_ == nullptr || connection_->broken || connection_->out != nullptr) return;
    connection_->StartWritesDone();
  }

  // What is due now.
  void Drive() {
    if (over_) return;
    const Clock::time_point now = Clock::now();
    if (now >= deadline_) return End({Code::kDeadlineExceeded, "deadline exceeded", request_id_, {}, {}, 1});
    while (!resends_.empty() && resends_.begin()->first <= now) {
      const uint64_t number = resends_.begin()->second;
      resends_.erase(resends_.begin());
      if (const auto item = items_.find(number); item != items_.end()) {
        item->second.resend_at.reset();
        to_write_.push_back(number);
      }
    }
    if (connection_ == nullptr && reconnect_at_ && now >= *reconnect_at_) Connect();
    Write();
  }

  void Wait(std::unique_lock<std::mutex>& lock) {
    Clock::time_point until = deadline_;
    if (reconnect_at_) until = std::min(until, *reconnect_at_);
    if (!resends_.empty()) until = std::min(until, resends_.begin()->first);
    if (until == Clock::time_point::max()) {
      changed_.wait(lock);
    } else {
      changed_.wait_until(lock, until);
    }
  }

  void End(Status status) {
    if (over_) return;
    over_ = true;
    status_ = std::move(status);
    if (connection_ != nullptr) connection_->context.TryCancel();
    changed_.notify_all();
  }

  // --- gRPC's threads.

  void OnRead(Connection* connection, bool ok) {
    const std::lock_guard lock(mutex_);
    if (!ok) {
      connection->broken = true;
      return;
    }
    Take(std::move(connection->in));
    connection->in.Clear();
    connection->StartRead(&connection->in);
  }

  void Take(Response response) {
    const auto number = numbers_.find(Traits::KeyOf(response));
    if (number == numbers_.end()) return;  // Answered before, on an earlier connection or twice on this one.
    backoff_.Reset();
    if (WaitsForAnotherTry(number->second, response)) return;
    items_.erase(number->second);
    numbers_.erase(number);
    core_->budget.Succeeded();
    ready_.push_back(std::move(response));
    changed_.notify_all();
  }

  // Whether the engine could not take this one now.
  bool WaitsForAnotherTry(uint64_t number, const Response& response) {
    const v1::ItemError* error = Traits::ErrorOf(response);
    if (error == nullptr) return false;
    const bool advised = error->retry_after_ms() > 0;
    if (!advised && error->code() != static_cast<int>(Code::kUnavailable)) return false;
    Item& item = items_.at(number);
    if (item.resend_at) return true;  // An answer to an earlier copy of it.
    if (item.refusals.failures() + 1 >= core_->options.retry.max_attempts || over_) return false;
    item.resend_at = Clock::now() + item.refusals.Next(std::chrono::milliseconds(error->retry_after_ms()));
    resends_.emplace(*item.resend_at, number);
    changed_.notify_all();
    return true;
  }

  void OnWritten(Connection* connection, bool ok) {
    const std::lock_guard lock(mutex_);
    connection->out = nullptr;
    if (!ok) {
      connection->broken = true;
    } else if (over_) {
      CloseWrites();
    } else {
      Write();
    }
  }

  void OnDone(Status status) {
    const std::lock_guard lock(mutex_);
    connection_ = nullptr;
    changed_.notify_all();
    if (over_) return;
    // CANCELLED is not ours here: an engine that ends cancels what it could not finish.
    const bool again = status.ok() || status.code == Code::kCancelled || MayRetry(status, true);
    if (!again) return End(std::move(status));
    if (items_.empty()) return;  // Nothing was lost; the next Send connects.
    // Before this the engine may have been at work for long, or this process stopped: neither is a reason to give up.
    if (backoff_.failures() == 0) lost_ = Clock::now();
    const std::chrono::milliseconds wait = backoff_.Next(status.retry_after);
    const Clock::time_point at = Clock::now() + wait;
    if (at >= lost_ + options_.give_up_after || at >= deadline_) {
      if (status.ok()) status = {Code::kUnavailable, "the engine ended the stream", request_id_, {}, {}, 1};
      status.attempts = backoff_.failures();
      return End(std::move(status));
    }
    reconnect_at_ = at;
  }

  const std::shared_ptr<Core> core_;
  StreamOptions options_;
  const Clock::time_point deadline_;
  const std::string request_id_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Connection* connection_ = nullptr;
  std::optional<Clock::time_point> reconnect_at_;
  Backoff backoff_;
  Clock::time_point lost_;  // The first time since the last answer.
  bool finished_ = false, over_ = false;
  Status status_;
  uint64_t next_number_ = 0;
  std::map<uint64_t, Item> items_;  // Without an answer, in the order in which they were sent.
  std::unordered_map<Key, uint64_t> numbers_;
  std::deque<uint64_t> to_write_;
  std::set<std::pair<Clock::time_point, uint64_t>> resends_;
  std::deque<Response> ready_;
};

}  // namespace driftseal::internal

#endif  // DRIFTSEAL_CLIENT_CPP_SRC_RESUMING_STREAM_H_
