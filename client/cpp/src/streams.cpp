#include "client/cpp/src/streams.h"

#include <utility>

#include "client/cpp/src/convert.h"
#include "driftseal/client.h"

namespace driftseal {
namespace internal {

std::shared_ptr<ScoreStreamState> OpenScoreStream(std::shared_ptr<Core> core, const StreamOptions& options,
                                                  Clock::time_point deadline) {
  auto state = std::make_shared<ScoreStreamState>();
  state->stream = std::make_shared<ResumingStream<ScoreTraits>>(std::move(core), options, deadline);
  return state;
}

namespace {

std::optional<Result<uint64_t>> SendRows(ScoreStreamState& state, const ScoreRequest& request, bool wait) {
  if (Status status = CheckRows(request.rows); !status.ok()) return Result<uint64_t>(std::move(status));
  if (!wait && !state.stream->HasRoom()) return std::nullopt;  // Before the rows are copied.
  v1::ScoreStreamRequest message;
  const uint64_t id = ++state.last_id;
  message.set_id(id);
  *message.mutable_request() = ToProto(request, request.rows);
  std::optional<Status> sent = state.stream->Send(id, std::move(message), wait);
  if (!sent) return std::nullopt;
  return sent->ok() ? Result<uint64_t>(id) : Result<uint64_t>(*std::move(sent));
}

std::optional<Status> SendArtifact(VerifyStreamState& state, const std::string& id, const VerifyRequest& request,
                                   bool wait) {
  if (id.size() > 256) return InvalidArgument("id: expected at most 256 bytes, found " + std::to_string(id.size()));
  v1::VerifyStreamRequest message;
  message.set_id(id);
  message.set_run(state.run);
  *message.mutable_request() = ToProto(request);
  return state.stream->Send(id, std::move(message), wait);
}

}  // namespace
}  // namespace internal

using internal::FromProto;

ScoreStream::ScoreStream(std::shared_ptr<internal::ScoreStreamState> state) : state_(std::move(state)) {}
ScoreStream::ScoreStream(ScoreStream&&) noexcept = default;
ScoreStream& ScoreStream::operator=(ScoreStream&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}
ScoreStream::~ScoreStream() {
  if (state_ != nullptr) state_->stream->Cancel();
}
Result<uint64_t> ScoreStream::Send(const ScoreRequest& request) { return *internal::SendRows(*state_, request, true); }
std::optional<Result<uint64_t>> ScoreStream::TrySend(const ScoreRequest& request) {
  return internal::SendRows(*state_, request, false);
}
std::optional<ScoreAnswer> ScoreStream::Next() {
  std::optional<v1::ScoreStreamResponse> response = state_->stream->Next();
  if (!response) return std::nullopt;
  ScoreAnswer answer{response->id(), {}, {}};
  if (response->has_response()) {
    answer.result = FromProto(std::move(*response->mutable_response()));
  } else {
    answer.status = FromProto(response->error(), state_->stream->request_id());
  }
  return answer;
}
void ScoreStream::Finish() { state_->stream->Finish(); }
void ScoreStream::Cancel() { state_->stream->Cancel(); }
Status ScoreStream::status() const { return state_->stream->status(); }

VerifyStream::VerifyStream(std::shared_ptr<internal::VerifyStreamState> state) : state_(std::move(state)) {}
VerifyStream::VerifyStream(VerifyStream&&) noexcept = default;
VerifyStream& VerifyStream::operator=(VerifyStream&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}
VerifyStream::~VerifyStream() {
  if (state_ != nullptr) state_->stream->Cancel();
}
Status VerifyStream::Send(const std::string& id, const VerifyRequest& request) {
  return *internal::SendArtifact(*state_, id, request, true);
}
std::optional<Status> VerifyStream::TrySend(const std::string& id, const VerifyRequest& request) {
  return internal::SendArtifact(*state_, id, request, false);
}
std::optional<VerifyAnswer> VerifyStream::Next() {
  std::optional<v1::VerifyStreamResponse> response = state_->stream->Next();
  if (!response) return std::nullopt;
  VerifyAnswer answer{response->id(), {}, {}, response->stored_before()};
  if (response->has_verdict()) {
    answer.verdict = FromProto(response->verdict());
  } else {
    answer.status = FromProto(response->error(), state_->stream->request_id());
  }
  return answer;
}
void VerifyStream::Finish() { state_->stream->Finish(); }
void VerifyStream::Cancel() { state_->stream->Cancel(); }
Status VerifyStream::status() const { return state_->stream->status(); }

ScoreStream Client::OpenScoreStream(const StreamOptions& options) const {
  return ScoreStream(internal::OpenScoreStream(core_, options, internal::Clock::time_point::max()));
}

VerifyStream Client::OpenVerifyStream(const VerifyStreamOptions& options) const {
  auto state = std::make_shared<internal::VerifyStreamState>();
  state->stream = std::make_shared<internal::ResumingStream<internal::VerifyTraits>>(
      core_, options, internal::Clock::time_point::max());
  state->run = options.run;
  return VerifyStream(std::move(state));
}

}  // namespace driftseal
