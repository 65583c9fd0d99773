#ifndef DRIFTSEAL_ENGINE_SERVE_SCORE_STREAM_H_
#define DRIFTSEAL_ENGINE_SERVE_SCORE_STREAM_H_

#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "driftseal/v1/scoring.pb.h"
#include "engine/batch/batcher.h"
#include "engine/serve/engine.h"
#include "engine/serve/verify_pool.h"
#include "grpcpp/alarm.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"

namespace driftseal::serve {

/// One call of ScoreStream. A stream holds so many rows, bytes and items and no more, from the reading of a request to
/// the sending of its answer: whoever reads answers slowly, or sends faster than the queue takes rows, is slowed down.
class ScoreStreamCall final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                              private DrainListener {
 public:
  ScoreStreamCall(Engine& engine, const Method& method, grpc::CallbackServerContext* context);
  void Begin();

 private:
  // A request, from when it is read until its answer is sent; then the next one.
  struct Item final : batch::Job {
    explicit Item(ScoreStreamCall& of) : stream(of) {}
    void Done(absl::Status status) override { stream.Answer(*this, status); }

    ScoreStreamCall& stream;
    v1::ScoreStreamRequest request;
    v1::ScoreStreamResponse response;
    size_t bytes = 0, held_rows = 0;
    bool paid = false;     // One request of the client's rate.
    bool waiting = false;  // In the batcher or the pool.
    std::optional<VerifyPool::Ticket> ticket;
  };
  // What is to be done next; gRPC is called when no lock is held.
  struct Todo {
    bool read = false, more = false;
    Item* write = nullptr;
    std::optional<absl::Status> finish;
  };

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  void OnDrain() override;

  // Of the one item that has been read and has no place in a queue yet. Place: whether it has one now, or its answer;
  // otherwise it is tried again later. Until then nothing is read.
  void Go(Item& item);
  bool Place(Item& item);
  bool PlaceRows(Item& item);
  bool PlaceFingerprints(Item& item);
  bool Later(Item& item, std::chrono::nanoseconds wait);

  bool BeginWaiting(Item& item, size_t rows);
  void TakeBack(Item& item);
  void Answer(Item& item, const absl::Status& status);
  Item& TakeItemLocked();
  void FreeLocked(Item& item);
  Todo NextLocked();
  void Do(const Todo& todo);

  Engine& engine_;
  const batch::Clock::time_point deadline_;
  Call call_;
  const size_t rows_limit_;
  grpc::ByteBuffer incoming_, outgoing_;

  std::mutex mutex_;  // Of everything below. Not held while the batcher, the pool, the gate or gRPC's stream is called.
  std::vector<std::unique_ptr<Item>> items_;
  std::vector<Item*> free_;
  std::deque<Item*> ready_;
  Item* sending_ = nullptr;
  std::unique_ptr<grpc::Alarm> alarm_;
  size_t in_use_ = 0, rows_ = 0, bytes_ = 0;  // Of items that are not free.
  bool reading_ = false, held_back_ = false;  // Held back: an item has no place yet.
  bool no_more_ = false, cancelled_ = false, finished_ = false;
  absl::Status end_;
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_SCORE_STREAM_H_
