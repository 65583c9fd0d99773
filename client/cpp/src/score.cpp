#include <grpcpp/alarm.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "client/cpp/src/convert.h"
#include "client/cpp/src/core.h"
#include "client/cpp/src/disposal.h"
#include "client/cpp/src/streams.h"
#include "driftseal/client.h"

namespace driftseal {
namespace internal {
namespace {

size_t PieceRows(const ClientOptions& options, const RowsView& rows) {
  const size_t by_bytes = options.piece_bytes / (std::max<size_t>(rows.cols, 1) * sizeof(float));
  return std::max<size_t>(1, std::min(options.piece_rows, by_bytes));
}

RowsView Piece(const RowsView& rows, size_t first, size_t count) {
  if (rows.rows() <= count) return rows;
  return {rows.data + first * rows.cols, std::min(count, rows.rows() - first) * rows.cols, rows.cols};
}

Status Append(ScoreResult&& piece, ScoreResult& whole) {
  if (whole.detector != piece.detector || whole.members != piece.members) {
    return {Code::kInternal,
            "pieces of one request were scored by " + whole.detector + " and by " + piece.detector,
            {},
            {},
            {},
            1};
  }
  const auto append = [](auto& from, auto& to) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  };
  append(piece.combined, whole.combined);
  append(piece.p_value, whole.p_value);
  append(piece.member_scores, whole.member_scores);
  append(piece.details, whole.details);
  return {};
}

// Enough to keep the engine busy while answers travel, and few enough to leave its queue to others.
constexpr size_t kPiecesInFlight = 8;

Result<ScoreResult> ScoreOne(Core& core, const v1::ScoreRequest& request, const CallOptions& options) {
  v1::ScoreResponse response;
  Status status = Unary(core, *core.scoring, &v1::Scoring::Stub::Score, request, response, options, true);
  if (!status.ok()) return status;
  return FromProto(std::move(response));
}

// The pieces from row `first` on, over one stream. Answers come in any order and are put together in that of the rows.
Status ScoreRest(ScoreStream& stream, ScoreRequest request, size_t first, size_t piece_rows, ScoreResult& whole) {
  const RowsView rows = request.rows;
  std::vector<ScoreResult> pieces((rows.rows() - first + piece_rows - 1) / piece_rows);
  std::map<uint64_t, size_t> places;  // Of the pieces under way, by id.
  for (size_t sent = 0, answered = 0; answered < pieces.size(); ++answered) {
    while (sent < pieces.size()) {
      request.rows = Piece(rows, first + sent * piece_rows, piece_rows);
      std::optional<Result<uint64_t>> id = stream.TrySend(request);
      if (!id) break;
      if (!id->ok()) return id->status();
      places.emplace(**id, sent++);
    }
    std::optional<ScoreAnswer> answer = stream.Next();
    if (!answer) return stream.status();
    if (!answer->status.ok()) return answer->status;
    pieces.at(places.extract(answer->id).mapped()) = std::move(answer->result);
  }
  stream.Finish();
  stream.Next();  // Ends the call in order.
  for (ScoreResult& piece : pieces) {
    if (Status status = Append(std::move(piece), whole); !status.ok()) return status;
  }
  return {};
}

// One attempt after the other, and one piece after the other, all on gRPC's threads. Keeps itself alive until the
// promise is kept.
class AsyncScore : public std::enable_shared_from_this<AsyncScore> {
 public:
  AsyncScore(std::shared_ptr<Core> core, const ScoreRequest& request, const CallOptions& options)
      : core_(std::move(core)),
        request_(request),
        values_(request.rows.data, request.rows.data + request.rows.size),
        attempts_(*core_, options, true, core_->options.timeout) {
    request_.rows = {values_, request.rows.cols};
    piece_rows_ = PieceRows(core_->options, request_.rows);
  }

  std::future<Result<ScoreResult>> Begin() {
    std::future<Result<ScoreResult>> future = promise_.get_future();
    BeginPiece();
    return future;
  }

 private:
  void BeginPiece() {
    message_ = ToProto(request_, Piece(request_.rows, first_, piece_rows_));
    BeginAttempt();
  }

  void BeginAttempt() {
    context_ = std::make_unique<grpc::ClientContext>();
    attempts_.Prepare(*context_);
    hook_ = std::make_unique<CancelHook>(attempts_.canceller(), [context = context_.get()] { context->TryCancel(); });
    response_.Clear();
    core_->scoring->async()->Score(context_.get(), &message_, &response_,
                                   [self = shared_from_this()](const grpc::Status& status) mutable {
                                     const CallbackScope scope;
                                     std::exchange(self, nullptr)->Ended(status);
                                   });
  }

  void Ended(const grpc::Status& ended) {
    hook_ = nullptr;
    Status status = StatusOf(ended, *context_, attempts_.request_id());
    if (const std::optional<std::chrono::milliseconds> wait = attempts_.Ended(status)) return BeginWait(*wait, status);
    if (!status.ok()) return promise_.set_value(std::move(status));
    ScoreResult piece = FromProto(std::move(response_));
    if (first_ == 0) {
      whole_ = std::move(piece);
      request_.detector = whole_.detector;  // The other pieces go to this version, whatever is active then.
    } else if (Status odd = Append(std::move(piece), whole_); !odd.ok()) {
      return promise_.set_value(std::move(odd));
    }
    first_ += piece_rows_;
    if (first_ >= request_.rows.rows()) return promise_.set_value(std::move(whole_));
    attempts_.Progressed();
    BeginPiece();
  }

  void BeginWait(std::chrono::milliseconds wait, Status last) {
    const auto alarm = std::make_shared<grpc::Alarm>();
    // Made before the alarm is set: it may ring at once, on another thread, and begin the next attempt.
    hook_ = std::make_unique<CancelHook>(attempts_.canceller(), [alarm] { alarm->Cancel(); });
    alarm->Set(Clock::now() + wait, [alarm, held = shared_from_this(), last](bool) mutable {
      const CallbackScope scope;
      const std::shared_ptr<AsyncScore> self = std::move(held);
      const std::shared_ptr<grpc::Alarm> rung = std::move(alarm);  // Or it would hold this function, and so itself.
      self->hook_ = nullptr;
      if (IsCancelled(self->attempts_.canceller())) return self->promise_.set_value(Cancelled(last));
      self->BeginAttempt();
    });
    if (IsCancelled(attempts_.canceller())) alarm->Cancel();  // What the hook stopped may not have been set yet.
  }

  const std::shared_ptr<Core> core_;  // Before the context, which goes first: see DestroyCore.
  ScoreRequest request_;
  const std::vector<float> values_;
  Attempts attempts_;
  size_t piece_rows_ = 1, first_ = 0;
  v1::ScoreRequest message_;
  v1::ScoreResponse response_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<CancelHook> hook_;
  ScoreResult whole_;
  std::promise<Result<ScoreResult>> promise_;
};

}  // namespace
}  // namespace internal

Result<ScoreResult> Client::Score(const ScoreRequest& request, const CallOptions& options) const {
  if (Status status = internal::CheckRows(request.rows); !status.ok()) return status;
  const size_t piece_rows = internal::PieceRows(core_->options, request.rows);
  const auto began = internal::Clock::now();
  const RowsView head = internal::Piece(request.rows, 0, piece_rows);
  Result<ScoreResult> whole = internal::ScoreOne(*core_, internal::ToProto(request, head), options);
  if (!whole.ok() || request.rows.rows() <= piece_rows) return whole;
  StreamOptions stream_options;
  stream_options.max_in_flight = internal::kPiecesInFlight;
  const std::chrono::milliseconds limit = options.timeout.count() != 0 ? options.timeout : core_->options.timeout;
  const auto deadline = limit.count() > 0 ? began + limit : internal::Clock::time_point::max();
  ScoreStream stream(internal::OpenScoreStream(core_, stream_options, deadline));
  const internal::CancelHook hook(options.canceller == nullptr ? nullptr : options.canceller->state(),
                                  [&stream] { stream.Cancel(); });
  ScoreRequest rest = request;
  rest.detector = whole->detector;
  if (Status status = internal::ScoreRest(stream, std::move(rest), piece_rows, piece_rows, *whole); !status.ok()) {
    return status;
  }
  return whole;
}

std::future<Result<ScoreResult>> Client::ScoreAsync(const ScoreRequest& request, const CallOptions& options) const {
  if (Status status = internal::CheckRows(request.rows); !status.ok()) {
    std::promise<Result<ScoreResult>> failed;
    failed.set_value(std::move(status));
    return failed.get_future();
  }
  return std::make_shared<internal::AsyncScore>(core_, request, options)->Begin();
}

}  // namespace driftseal
