#include "engine/serve/score_stream.h"

#include <algorithm>
#include <utility>

#include "engine/serve/score_call.h"
#include "engine/serve/score_request.h"
#include "engine/serve/scoring_service.h"
#include "engine/serve/status.h"

// Lifetime: the object goes when gRPC calls OnDone, after Finish. Finish is not called while an item is in use or held
// back, so that whoever works on an item may touch the stream until it has given the item away; after that it only does
// what NextLocked told it to, which nobody else does.
namespace driftseal::serve {
namespace {

// Of one stream. Some batches of rows keep the kernels busy while answers are on their way.
constexpr size_t kItems = 512, kBytes = 4u << 20, kBatches = 8;
// What items keep for the next request.
constexpr size_t kFreeItems = 64, kFreeBytes = 64u << 10;

}  // namespace

ScoreStreamCall::ScoreStreamCall(Engine& engine, const Method& method, grpc::CallbackServerContext* context)
    : engine_(engine),
      deadline_(DeadlineOf(*context)),
      call_(*engine.gate, method, context),
      rows_limit_(kBatches * engine.options.batch_rows) {}

void ScoreStreamCall::Begin() {
  if (!call_.ok()) {
    finished_ = true;
    return Finish(call_.End(call_.status()));
  }
  engine_.gate->Listen(this);
  Todo todo;
  {
    const std::lock_guard lock(mutex_);
    todo = NextLocked();
  }
  Do(todo);
}

// Whether to read, write or finish; each is noted as begun.
ScoreStreamCall::Todo ScoreStreamCall::NextLocked() {
  Todo todo;
  if (finished_) return todo;
  while (cancelled_ && !ready_.empty()) {
    FreeLocked(*ready_.front());
    ready_.pop_front();
  }
  if (sending_ == nullptr && !ready_.empty()) {
    todo.write = sending_ = ready_.front();
    ready_.pop_front();
    todo.more = !ready_.empty();
  }
  const bool room = in_use_ < kItems && bytes_ < kBytes && rows_ < rows_limit_;
  if (!no_more_ && !reading_ && !held_back_ && room) todo.read = reading_ = true;
  if (no_more_ && in_use_ == 0 && !held_back_) {
    finished_ = true;
    todo.finish = end_;
  }
  return todo;
}

void ScoreStreamCall::Do(const Todo& todo) {
  if (todo.read) StartRead(&incoming_);
  if (todo.write != nullptr) {
    outgoing_ = Serialize(todo.write->response);
    grpc::WriteOptions options;
    if (todo.more) options.set_buffer_hint();  // Another one follows at once: they may share a packet.
    StartWrite(&outgoing_, options);
  }
  if (todo.finish.has_value()) Finish(call_.End(*todo.finish));
}

void ScoreStreamCall::OnReadDone(bool ok) {
  Item* item = nullptr;
  Todo todo;
  {
    const std::lock_guard lock(mutex_);
    reading_ = false;
    if (!ok) no_more_ = true;
    // What comes in when the stream is about to end was not accepted, which the caller learns from its end.
    if (!no_more_) {
      item = &TakeItemLocked();
      item->bytes = incoming_.Length();
      bytes_ += item->bytes;
      held_back_ = true;
    } else {
      todo = NextLocked();
    }
  }
  if (item == nullptr) return Do(todo);
  const absl::Status parsed = Parse(incoming_, item->request);
  incoming_.Clear();
  if (parsed.ok()) return Go(*item);
  {
    // Without its id it cannot be answered. What came before it is.
    const std::lock_guard lock(mutex_);
    FreeLocked(*item);
    held_back_ = false;
    no_more_ = true;
    end_ = parsed;
    todo = NextLocked();
  }
  Do(todo);
}

void ScoreStreamCall::Go(Item& item) {
  if (!Place(item)) return;
  Todo todo;
  {
    const std::lock_guard lock(mutex_);
    held_back_ = false;
    todo = NextLocked();
  }
  Do(todo);
}

bool ScoreStreamCall::Place(Item& item) {
  if (!item.paid) {
    const std::chrono::nanoseconds wait = call_.TakeAnother();
    if (wait > std::chrono::nanoseconds(0)) return Later(item, wait);
    item.paid = true;
  }
  if (!item.request.has_request()) {
    Answer(item, absl::InvalidArgumentError("request: missing"));
    return true;
  }
  return item.request.request().fingerprints_size() > 0 ? PlaceFingerprints(item) : PlaceRows(item);
}

bool ScoreStreamCall::PlaceRows(Item& item) {
  if (item.detector == nullptr) {  // The first time.
    if (absl::Status filled = FillJob(engine_, item.request.request(), item); !filled.ok()) {
      Answer(item, filled);
      return true;
    }
    item.client = call_.client();
    item.deadline = deadline_;
  }
  if (!BeginWaiting(item, item.item.rows.rows)) return true;
  batch::Load load;
  const absl::Status submitted = engine_.batcher->Submit(&item, &load);
  // From here on the item is another thread's, unless it was refused.
  if (submitted.ok()) {
    TakeBack(item);
    return true;
  }
  if (!absl::IsResourceExhausted(submitted)) {
    Answer(item, Refusal(submitted, load));
    return true;
  }
  // Half of the time after which the queue would be empty: it is never left without work.
  constexpr std::chrono::microseconds kLeast(500), kMost(50000);
  return Later(item, std::clamp(load.wait / 2, kLeast, kMost));
}

bool ScoreStreamCall::PlaceFingerprints(Item& item) {
  const v1::ScoreRequest& request = item.request.request();
  absl::Status checked = CheckFingerprints(request);
  const absl::StatusOr<batch::Priority> priority = PriorityOf(request.priority());
  checked.Update(priority.status());
  if (!checked.ok()) {
    Answer(item, checked);
    return true;
  }
  if (!BeginWaiting(item, 0)) return true;
  const auto read = [this, &item](absl::Status status) {
    const auto gone = [this] {
      const std::lock_guard lock(mutex_);
      return cancelled_;
    };
    if (status.ok())
      status = ScoreFingerprints(engine_, item.request.request(), gone, *item.response.mutable_response());
    Answer(item, status);
  };
  const absl::StatusOr<VerifyPool::Ticket> ticket =
      engine_.verify_pool->Submit({call_.client(), *priority, deadline_, read});
  if (ticket.ok()) {
    {
      const std::lock_guard lock(mutex_);
      if (item.waiting) item.ticket = *ticket;
    }
    TakeBack(item);
    return true;
  }
  const std::chrono::nanoseconds wait = RetryAfter(ticket.status());
  if (wait > std::chrono::nanoseconds(0) && absl::IsResourceExhausted(ticket.status())) return Later(item, wait / 2);
  Answer(item, ticket.status());
  return true;
}

// False: nobody waits for it any more; it is answered.
bool ScoreStreamCall::BeginWaiting(Item& item, size_t rows) {
  const std::lock_guard lock(mutex_);
  if (cancelled_) {
    FreeLocked(item);
    return false;
  }
  rows_ += rows - item.held_rows;
  item.held_rows = rows;
  return item.waiting = true;
}

bool ScoreStreamCall::Later(Item& item, std::chrono::nanoseconds wait) {
  const std::lock_guard lock(mutex_);
  item.waiting = false;
  if (cancelled_) {
    FreeLocked(item);
    return true;
  }
  alarm_ = std::make_unique<grpc::Alarm>();
  // Whether the time is up or OnCancel was first: Place sees which.
  alarm_->Set(std::chrono::system_clock::now() + wait, [this, &item](bool) { Go(item); });
  return false;
}

// Where OnCancel came before there was anything to take back.
void ScoreStreamCall::TakeBack(Item& item) {
  std::optional<VerifyPool::Ticket> ticket;
  bool of_batcher = false;
  {
    const std::lock_guard lock(mutex_);
    if (!cancelled_ || !item.waiting) return;
    ticket = item.ticket;
    of_batcher = item.detector != nullptr;
  }
  // If it is done meanwhile, it is free: nothing is read any more, so that nobody uses it again.
  const bool back =
      of_batcher ? engine_.batcher->Cancel(&item) : ticket.has_value() && engine_.verify_pool->Cancel(*ticket);
  if (back) Answer(item, absl::CancelledError());
}

void ScoreStreamCall::Answer(Item& item, const absl::Status& status) {
  item.response.set_id(item.request.id());
  if (!status.ok()) {
    *item.response.mutable_error() = ToItemError(status);
  } else if (item.detector != nullptr) {
    FillResponse(item, *item.response.mutable_response());
  }
  Todo todo;
  {
    const std::lock_guard lock(mutex_);
    item.waiting = false;
    if (status.ok()) call_.AddRows(static_cast<size_t>(item.response.response().combined_size()));
    if (cancelled_) {
      FreeLocked(item);
    } else {
      ready_.push_back(&item);
    }
    todo = NextLocked();
  }
  Do(todo);
}

void ScoreStreamCall::OnWriteDone(bool) {
  // A write that failed is followed by OnCancel.
  Todo todo;
  {
    const std::lock_guard lock(mutex_);
    FreeLocked(*std::exchange(sending_, nullptr));
    todo = NextLocked();
  }
  Do(todo);
}

void ScoreStreamCall::OnCancel() {
  std::vector<Item*> waiting;
  Todo todo;
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = no_more_ = true;
    end_ = absl::CancelledError("the caller gave up");
    if (alarm_ != nullptr) alarm_->Cancel();
    for (const std::unique_ptr<Item>& item : items_) {
      if (item->waiting) waiting.push_back(item.get());
    }
    todo = NextLocked();
  }
  for (Item* item : waiting) TakeBack(*item);
  Do(todo);
}

void ScoreStreamCall::OnDrain() {
  Todo todo;
  {
    const std::lock_guard lock(mutex_);
    no_more_ = true;
    if (end_.ok()) end_ = DrainingStatus();
    todo = NextLocked();
  }
  Do(todo);
}

void ScoreStreamCall::OnDone() {
  engine_.gate->Ignore(this);
  delete this;
}

ScoreStreamCall::Item& ScoreStreamCall::TakeItemLocked() {
  if (free_.empty()) {
    items_.push_back(std::make_unique<Item>(*this));
    free_.push_back(items_.back().get());
  }
  Item& item = *free_.back();
  free_.pop_back();
  ++in_use_;
  return item;
}

void ScoreStreamCall::FreeLocked(Item& item) {
  --in_use_;
  bytes_ -= item.bytes;
  rows_ -= item.held_rows;
  item.bytes = item.held_rows = 0;
  item.paid = item.waiting = false;
  item.ticket.reset();
  item.detector.reset();
  const v1::Rows& rows = item.request.request().rows();
  const bool large =
      rows.float32_le().capacity() + static_cast<size_t>(rows.values().Capacity()) * sizeof(float) > kFreeBytes;
  item.request.Clear();
  item.response.Clear();
  if (!large && free_.size() < kFreeItems) return free_.push_back(&item);
  item.request = v1::ScoreStreamRequest();
  item.response = v1::ScoreStreamResponse();
  item.item.scores = detector::BatchScores();
  free_.insert(free_.begin(), &item);
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* ScoringService::ScoreStream(
    grpc::CallbackServerContext* context) {
  auto* call = new ScoreStreamCall(engine_, score_stream_, context);
  call->Begin();
  return call;
}

}  // namespace driftseal::serve
