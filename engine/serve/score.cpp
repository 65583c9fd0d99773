#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "engine/serve/reactors.h"
#include "engine/serve/score_call.h"
#include "engine/serve/score_request.h"
#include "engine/serve/scoring_service.h"
#include "engine/serve/status.h"
#include "engine/serve/verify_pool.h"

// Score: one request, one response. The reactor is the batcher's job; between the thread that brings the request and
// the one that scores it there is no other.
namespace driftseal::serve {
namespace {

// How many calls are kept to be used again, and how large a message one of them may have had.
constexpr size_t kKeptCalls = 1024, kKeptBytes = 64u << 10;

}  // namespace

batch::Clock::time_point DeadlineOf(const grpc::CallbackServerContext& context) {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return batch::Clock::time_point::max();
  const auto left = deadline - std::chrono::system_clock::now();
  // Further away than any call lasts; the sum below must not overflow.
  if (left > std::chrono::hours(24 * 365)) return batch::Clock::time_point::max();
  return batch::Clock::now() + std::chrono::duration_cast<batch::Clock::duration>(left);
}

/// One call of Score. Its parts that a further call can use are kept in `memory`.
class ScoreCall final : public grpc::ServerUnaryReactor, public batch::Job {
 public:
  ScoreCall(Engine& engine, const Method& method, ScoreCalls& home, ScoreMemory& memory,
            grpc::CallbackServerContext* context, grpc::ByteBuffer* response)
      : engine_(engine),
        home_(home),
        memory_(memory),
        context_(*context),
        call_(*engine.gate, method, context),
        response_(response) {
    item.scores = std::move(memory.scores);
    item.family = std::move(memory.family);
  }

  void Begin(const grpc::ByteBuffer& bytes) {
    if (!call_.ok()) return End(call_.status());
    client = call_.client();
    batch::Load load;
    if (AreManyRows(bytes)) {  // Otherwise reading costs no more than asking.
      if (absl::Status taken = engine_.batcher->Admit(client, &load); !taken.ok()) return End(Refusal(taken, load));
    }
    if (absl::Status parsed = Parse(bytes, memory_.request); !parsed.ok()) return End(parsed);
    if (memory_.request.fingerprints_size() > 0) return ReadFingerprints();
    if (absl::Status filled = FillJob(engine_, memory_.request, *this); !filled.ok()) return End(filled);
    deadline = DeadlineOf(context_);
    if (absl::Status submitted = engine_.batcher->Submit(this, &load); !submitted.ok()) {
      return End(Refusal(submitted, load));
    }
    // OnCancel may have come before there was anything to cancel. (The job may be done by now, but this object is there
    // until the handler has returned.)
    submitted_ = true;
    if (cancelled_) TakeBack();
  }

  void OnCancel() override {
    cancelled_ = true;
    if (submitted_) TakeBack();
  }

  void OnDone() override;

  // OnDone and OnCancel take a lock for a moment and never wait: the thread that ends the call runs them. Otherwise
  // gRPC wakes a thread of its executor for each, which costs more than everything else about a call of one row.
  bool InternalInlineable() override { return true; }

 private:
  void Done(absl::Status status) override {
    if (!status.ok()) return End(status);
    FillResponse(*this, memory_.response);
    call_.AddRows(item.rows.rows);
    *response_ = Serialize(memory_.response);
    End(absl::OkStatus());
  }

  void TakeBack() {
    const bool back = ticket_.has_value() ? engine_.verify_pool->Cancel(*ticket_) : engine_.batcher->Cancel(this);
    if (back) End(absl::CancelledError("the caller gave up"));
  }

  void End(const absl::Status& status) { Finish(call_.End(status)); }

  void ReadFingerprints();

  Engine& engine_;
  ScoreCalls& home_;
  ScoreMemory& memory_;
  grpc::CallbackServerContext& context_;
  Call call_;
  grpc::ByteBuffer* response_;
  std::optional<VerifyPool::Ticket> ticket_;  // Of fingerprints.
  std::atomic<bool> submitted_{false}, cancelled_{false};
};

void ScoreCall::ReadFingerprints() {
  if (absl::Status checked = CheckFingerprints(memory_.request); !checked.ok()) return End(checked);
  const absl::StatusOr<batch::Priority> wanted = PriorityOf(memory_.request.priority());
  if (!wanted.ok()) return End(wanted.status());
  const auto read = [this](absl::Status status) {
    const auto gone = [this] { return cancelled_.load(); };
    if (status.ok()) status = ScoreFingerprints(engine_, memory_.request, gone, memory_.response);
    if (!status.ok()) return End(status);
    call_.AddRows(static_cast<size_t>(memory_.request.fingerprints_size()));
    *response_ = Serialize(memory_.response);
    End(absl::OkStatus());
  };
  const absl::StatusOr<VerifyPool::Ticket> ticket =
      engine_.verify_pool->Submit({call_.client(), *wanted, DeadlineOf(context_), read});
  if (!ticket.ok()) return End(ticket.status());
  ticket_ = *ticket;
  submitted_ = true;
  if (cancelled_) TakeBack();
}

// Calls that have ended, to be used again: their messages and vectors have the right size already.
struct ScoreCalls::Slot {
  ScoreMemory memory;
  std::optional<ScoreCall> call;
};

ScoreCalls::ScoreCalls(Engine& engine) : engine_(engine), method_(engine.gate->MethodOf("Scoring", "Score")) {}
ScoreCalls::~ScoreCalls() = default;

grpc::ServerUnaryReactor* ScoreCalls::Begin(grpc::CallbackServerContext* context, const grpc::ByteBuffer& request,
                                            grpc::ByteBuffer* response) {
  std::unique_ptr<Slot> slot;
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      slot = std::move(free_.back());
      free_.pop_back();
    }
  }
  if (slot == nullptr) slot = std::make_unique<Slot>();
  Slot* held = slot.release();  // Until GiveBack.
  held->memory.slot = held;
  ScoreCall& call = held->call.emplace(engine_, method_, *this, held->memory, context, response);
  call.Begin(request);
  return &call;
}

void ScoreCalls::GiveBack(Slot* held) {
  std::unique_ptr<Slot> slot(held);
  slot->call.reset();
  ScoreMemory& memory = slot->memory;
  // Before they are cleared: that keeps their memory.
  const v1::Rows& rows = memory.request.rows();
  const size_t bytes = rows.float32_le().capacity() + static_cast<size_t>(rows.values().Capacity()) * sizeof(float) +
                       memory.response.details().SpaceUsedExcludingSelfLong() +
                       memory.request.fingerprints().SpaceUsedExcludingSelfLong();
  if (bytes > kKeptBytes) return;
  memory.request.Clear();
  memory.response.Clear();
  const std::lock_guard lock(mutex_);
  if (free_.size() < kKeptCalls) free_.push_back(std::move(slot));
}

void ScoreCall::OnDone() {
  memory_.scores = std::move(item.scores);
  memory_.family = std::move(item.family);
  home_.GiveBack(memory_.slot);
}

grpc::ServerUnaryReactor* ScoringService::Score(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                                grpc::ByteBuffer* response) {
  return score_calls_->Begin(context, *request, response);
}

}  // namespace driftseal::serve
