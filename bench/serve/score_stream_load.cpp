#include "bench/serve/score_stream_load.h"

#include <chrono>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "bench/serve/pump.h"
#include "bench/serve/timing.h"
#include "driftseal/v1/scoring.pb.h"
#include "grpcpp/impl/codegen/proto_utils.h"

namespace driftseal::bench {
namespace {

class Streams {
 public:
  explicit Streams(const ScoreStreamLoad& load)
      : load_(load), requests_(ScoreRequests(load.shape, DistinctRequests(load.shape), load.seed)) {}

  absl::StatusOr<nlohmann::json> Run(const std::vector<std::shared_ptr<grpc::Channel>>& channels) {
    const auto seconds = [](double s) {
      return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(s));
    };
    begin_ = Clock::now() + seconds(load_.warm_up_seconds);
    end_ = begin_ + seconds(load_.seconds);
    grpc::CompletionQueue queue;
    std::vector<std::unique_ptr<Pump>> pumps;
    for (const auto& channel : channels) {
      pumps.push_back(std::make_unique<Pump>(channel, kScoreStream, &queue, load_.window,
                                             Pump::Ends{[this](grpc::ByteBuffer* request) { return Next(request); },
                                                        [this](grpc::ByteBuffer* response) { Take(response); }}));
    }
    size_t left = pumps.size();
    void* tag = nullptr;
    bool ok = false;
    while (left > 0 && queue.Next(&tag, &ok)) {
      if (Pump::Handle(tag, ok)) --left;
    }
    queue.Shutdown();
    while (queue.Next(&tag, &ok)) {
    }
    for (const auto& pump : pumps) {
      if (!pump->status().ok()) tally_.Fail(pump->status().error_message());
    }
    tally_.wrong += sent_.size();  // Never answered.
    if (window_ == nullptr || !closed_) return absl::UnavailableError("the streams ended before the time was up");
    return window_->Report(tally_, load_.shape.rows);
  }

 private:
  bool Next(grpc::ByteBuffer* request) {
    const Clock::time_point now = Clock::now();
    if (window_ == nullptr && now >= begin_) window_ = std::make_unique<Window>(load_.target.process);
    if (now >= end_) {
      if (!closed_) window_->Close();
      closed_ = true;
      return false;
    }
    *request = StreamRequest(id_, requests_[id_ % requests_.size()]);
    sent_.emplace(id_++, now);
    return true;
  }

  void Take(grpc::ByteBuffer* bytes) {
    const grpc::Status parsed = grpc::SerializationTraits<v1::ScoreStreamResponse>::Deserialize(bytes, &response_);
    const auto sent = sent_.find(response_.id());
    if (!parsed.ok() || sent == sent_.end()) {
      ++tally_.wrong;
      return;
    }
    const Clock::time_point now = Clock::now();
    if (sent->second >= begin_ && now < end_) {
      if (response_.has_error()) {
        tally_.Fail(response_.error().message());
      } else {
        tally_.answered.Add(now - sent->second);
        if (!Answers(response_.response(), load_.shape)) ++tally_.wrong;
      }
    }
    sent_.erase(sent);
  }

  const ScoreStreamLoad& load_;
  const std::vector<std::string> requests_;
  std::unordered_map<uint64_t, Clock::time_point> sent_;  // Unanswered.
  v1::ScoreStreamResponse response_;
  Tally tally_;
  std::unique_ptr<Window> window_;
  Clock::time_point begin_, end_;
  uint64_t id_ = 0;
  bool closed_ = false;
};

}  // namespace

absl::StatusOr<nlohmann::json> RunScoreStream(const ScoreStreamLoad& load) {
  const auto channels = Connect(load.target);
  if (!channels.ok()) return channels.status();
  return Streams(load).Run(*channels);
}

}  // namespace driftseal::bench
