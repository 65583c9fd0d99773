#include "bench/serve/unary_load.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "bench/serve/timing.h"
#include "bench/serve/unary_call.h"

namespace driftseal::bench {
namespace {

Clock::duration Seconds(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

constexpr std::chrono::microseconds kTick(100);

// A completion queue with the thread that empties it.
struct Lane {
  explicit Lane(size_t most) : idle(most) {}
  grpc::CompletionQueue queue;
  IdleCalls idle;                                 // Open loop.
  std::vector<std::unique_ptr<UnaryCall>> calls;  // Closed loop.
  Tally tally;
  std::thread thread;
};

class Generator {
 public:
  Generator(const UnaryLoad& load, const std::vector<std::shared_ptr<grpc::Channel>>& channels)
      : load_(load), bytes_(ScoreRequests(load.shape, DistinctRequests(load.shape), load.seed)) {
    for (const auto& channel : channels) stubs_.emplace_back(channel);
    for (const std::string& bytes : bytes_) requests_.push_back(Borrow(bytes));
    for (size_t i = 0; i < load.pollers; ++i) lanes_.push_back(std::make_unique<Lane>(load.most_in_flight));
  }

  nlohmann::json Run() {
    start_ = Clock::now();
    begin_ = start_ + Seconds(load_.warm_up_seconds);
    end_ = begin_ + Seconds(load_.seconds);
    for (auto& lane : lanes_)
      lane->thread = std::thread([this, &lane] { load_.rate > 0 ? Answers(*lane) : Closed(*lane); });
    std::thread clock;
    std::unique_ptr<Window> window;
    clock = std::thread([&] {
      SleepUntil(begin_);
      window = std::make_unique<Window>(load_.target.process);
      while (Clock::now() < end_ && !load_.stop.stop_requested()) {
        SleepUntil(std::min(end_, Clock::now() + std::chrono::milliseconds(20)));
      }
      window->Close();
    });
    if (load_.rate > 0) Open();
    clock.join();
    Tally tally;
    for (auto& lane : lanes_) {
      lane->thread.join();
      tally.Merge(lane->tally);
    }
    nlohmann::json report = window->Report(tally, load_.shape.rows);
    report["unsent"] = unsent_;
    return report;
  }

 private:
  bool Counts(Clock::time_point due) const { return due >= begin_ && due < end_; }

  void Start(Lane& lane, UnaryCall* call, Clock::time_point due) {
    const size_t turn = turn_.fetch_add(1, std::memory_order_relaxed);
    const size_t which = turn % requests_.size();
    call->Start(stubs_[turn % stubs_.size()], requests_[which], which, due, &lane.queue);
  }

  void Record(const UnaryCall& call, Tally& tally) const {
    if (!Counts(call.due)) return;
    const Clock::time_point now = Clock::now();
    if (load_.rate > 0) tally.late.Add(call.sent - call.due);
    if (call.status.ok()) {
      tally.answered.Add(now - call.due);
      const bool right =
          load_.right ? load_.right(call.request, call.response) : bench::Answers(call.response, load_.shape);
      if (!right) ++tally.wrong;
    } else if (call.status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) {
      tally.refused.Add(now - call.due);
      tally.refused_since_sent.Add(now - call.sent);
    } else {
      tally.Fail(std::to_string(call.status.error_code()) + ": " + call.status.error_message());
    }
  }

  // Each answer is followed by the next request.
  void Closed(Lane& lane) {
    const size_t calls = std::max<size_t>(1, load_.in_flight / load_.pollers);
    for (size_t i = 0; i < calls; ++i) {
      lane.calls.push_back(std::make_unique<UnaryCall>());
      Start(lane, lane.calls.back().get(), Clock::now());
    }
    void* tag = nullptr;
    bool ok = false;
    for (size_t left = calls; left > 0 && lane.queue.Next(&tag, &ok);) {
      auto* call = static_cast<UnaryCall*>(tag);
      Record(*call, lane.tally);
      const Clock::time_point now = Clock::now();
      if (now < end_ && !load_.stop.stop_requested()) {
        Start(lane, call, now);
      } else {
        --left;
      }
    }
    Drain(lane);
  }

  // Sends what is due; other threads take the answers.
  void Open() {
    std::mt19937_64 random(load_.seed);
    std::exponential_distribution<double> gap(load_.rate);
    double seconds = gap(random);
    Clock::time_point woke = start_;
    for (size_t i = 0;; ++i, seconds += gap(random)) {
      const Clock::time_point due = start_ + Seconds(seconds);
      if (due >= end_ || load_.stop.stop_requested()) break;
      if (due > Clock::now()) {
        // All that is due by the next tick goes out at once then: a wake-up for each would take the server's cores.
        SleepUntil(std::max(due, woke + kTick));
        woke = Clock::now();
      }
      Lane& lane = *lanes_[i % lanes_.size()];
      if (UnaryCall* call = lane.idle.Take()) {
        Start(lane, call, due);
      } else if (Counts(due)) {
        ++unsent_;
      }
    }
    sent_all_ = true;
  }

  void Answers(Lane& lane) {
    for (;;) {
      void* tag = nullptr;
      bool ok = false;
      const auto soon = std::chrono::system_clock::now() + std::chrono::milliseconds(100);
      const auto next = lane.queue.AsyncNext(&tag, &ok, soon);
      if (next == grpc::CompletionQueue::GOT_EVENT) {
        auto* call = static_cast<UnaryCall*>(tag);
        Record(*call, lane.tally);
        lane.idle.Return(call);
      } else if (sent_all_ && lane.idle.Complete()) {
        break;
      }
    }
    Drain(lane);
  }

  static void Drain(Lane& lane) {
    void* tag = nullptr;
    bool ok = false;
    lane.queue.Shutdown();
    while (lane.queue.Next(&tag, &ok)) {
    }
  }

  const UnaryLoad& load_;
  const std::vector<std::string> bytes_;
  std::vector<grpc::ByteBuffer> requests_;
  std::vector<ScoreStub> stubs_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::atomic<size_t> turn_{0};
  std::atomic<bool> sent_all_{false};
  size_t unsent_ = 0;
  Clock::time_point start_, begin_, end_;
};

}  // namespace

absl::StatusOr<nlohmann::json> RunUnary(const UnaryLoad& load) {
  const auto channels = Connect(load.target);
  if (!channels.ok()) return channels.status();
  return Generator(load, *channels).Run();
}

}  // namespace driftseal::bench
