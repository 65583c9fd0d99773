#include "engine/serve/http_calls.h"

#include <algorithm>
#include <utility>

#include "engine/artifact/text.h"
#include "engine/serve/gate.h"
#include "engine/serve/http_json.h"
#include "engine/serve/http_status.h"

namespace driftseal::serve {
namespace {

using google::protobuf::Message;

const Message* Prototype(const google::protobuf::Descriptor* type) {
  return google::protobuf::MessageFactory::generated_factory()->GetPrototype(type);
}

// What metadata may hold. gRPC ends the process where it gets anything else.
bool IsPrintable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

grpc::Status ToStatus(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

// Calls delete themselves after their last event. Until then they keep the connection, whose last reference must go on
// its own thread: the event travels there with it.
class UnaryCall final : public grpc::ClientUnaryReactor, public std::enable_shared_from_this<UnaryCall> {
 public:
  UnaryCall(std::shared_ptr<HttpCall> call, std::shared_ptr<HttpExchange> exchange)
      : call_(std::move(call)), exchange_(std::move(exchange)) {}

  void Start(MessageStub& stub) {
    self_ = shared_from_this();
    exchange_->WhenGone([self = self_] { self->call_->context.TryCancel(); });
    stub.PrepareUnaryCall(&call_->context, call_->route.rpc, {}, call_->request, call_->response, this);
    StartCall();
  }

  void OnDone(const grpc::Status& status) override {
    HttpReply reply;
    grpc::Status result = status;
    if (result.ok()) {
      reply.content_type = "application/json";
      reply.request_id = call_->request_id;
      result = ToStatus(ToJson(*call_->response, &reply.body));
      reply.body += '\n';
    }
    if (!result.ok()) reply = HttpErrorReply(result, call_->request_id);
    exchange_->Post(
        [self = std::move(self_), answer = std::move(reply)]() mutable { self->exchange_->Reply(std::move(answer)); });
  }

 private:
  std::shared_ptr<HttpCall> call_;
  std::shared_ptr<HttpExchange> exchange_;
  std::shared_ptr<UnaryCall> self_;
};

// Reads one message, writes it, reads the next. A hold keeps the call open between two reads.
class StreamCall final : public grpc::ClientBidiReactor<Message, Message>,
                         public std::enable_shared_from_this<StreamCall> {
 public:
  StreamCall(std::shared_ptr<HttpCall> call, std::shared_ptr<HttpExchange> exchange)
      : call_(std::move(call)), exchange_(std::move(exchange)) {}

  void Start(MessageStub& stub) {
    self_ = shared_from_this();
    exchange_->WhenGone([self = self_] { self->call_->context.TryCancel(); });
    stub.PrepareBidiStreamingCall(&call_->context, call_->route.rpc, {}, this);
    AddHold();
    StartWriteLast(call_->request, {});
    StartRead(call_->response);
    StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return RemoveHold();
    std::string line;
    const absl::Status printed = ToJson(*call_->response, &line);
    if (!printed.ok()) {
      failed_ = ToStatus(printed);
      return Stop();
    }
    line += '\n';
    exchange_->Post([self = self_, text = std::move(line)]() mutable { self->Pass(std::move(text)); });
  }

  void OnDone(const grpc::Status& status) override {
    const grpc::Status result = failed_.ok() ? status : failed_;
    exchange_->Post([self = std::move(self_), result] { self->Finish(result); });
  }

 private:
  void Stop() {
    call_->context.TryCancel();
    RemoveHold();
  }

  void BeginAnswer() {
    HttpReply head;
    head.content_type = "application/x-ndjson";
    head.request_id = call_->request_id;
    begun_ = true;
    wants_body_ = exchange_->Begin(std::move(head));
  }

  void Pass(std::string line) {
    if (!begun_) BeginAnswer();
    if (!wants_body_) return Stop();
    exchange_->Write(std::move(line), [self = shared_from_this()](bool ok) {
      if (!ok) return self->Stop();
      self->call_->response->Clear();
      self->StartRead(self->call_->response);
    });
  }

  void Finish(const grpc::Status& result) {
    if (!begun_ && !result.ok()) return exchange_->Reply(HttpErrorReply(result, call_->request_id));
    if (!begun_) BeginAnswer();
    if (result.ok() || !wants_body_) return exchange_->End();
    std::string line = HttpErrorBody(result, HttpStatusOf(result.error_code()), call_->request_id) + "\n";
    exchange_->Write(std::move(line), [exchange = exchange_](bool ok) {
      if (ok) exchange->End();
    });
  }

  std::shared_ptr<HttpCall> call_;
  std::shared_ptr<HttpExchange> exchange_;
  std::shared_ptr<StreamCall> self_;
  grpc::Status failed_;
  bool begun_ = false, wants_body_ = true;
};

}  // namespace

HttpCall::HttpCall(const HttpRoute& to)
    : route(to),
      request(Prototype(to.method->input_type())->New(&arena)),
      response(Prototype(to.method->output_type())->New(&arena)) {}

absl::Status SetMetadata(const HttpRequest& request, HttpCall& call) {
  if (!IsPrintable(request.authorization)) {
    return absl::UnauthenticatedError("Authorization: expected \"Bearer TOKEN\" in printable characters");
  }
  if (!request.grpc_timeout.empty()) {
    const auto timeout = ParseGrpcTimeout(request.grpc_timeout);
    if (!timeout.has_value()) return absl::InvalidArgumentError("Grpc-Timeout: expected a number and a unit, as 100m");
    call.context.set_deadline(std::chrono::system_clock::now() +
                              std::chrono::duration_cast<std::chrono::system_clock::duration>(*timeout));
  }
  const auto add = [&](const char* name, std::string_view value) {
    if (!value.empty()) call.context.AddMetadata(name, std::string(value));
  };
  add("authorization", request.authorization);
  if (IsPrintable(request.traceparent)) add("traceparent", request.traceparent);
  add(kRequestId, call.request_id);
  add(kForwardedPeer, request.peer);
  add(kForwardedCertificate, request.certificate);
  return absl::OkStatus();
}

std::optional<std::chrono::nanoseconds> ParseGrpcTimeout(std::string_view text) {
  constexpr size_t kDigits = 8;
  if (text.size() < 2 || text.size() > kDigits + 1) return std::nullopt;
  int64_t number = 0;
  for (const char c : text.substr(0, text.size() - 1)) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + (c - '0');
  }
  // 99,999,999 hours are more nanoseconds than there are: 10 years do.
  const auto in = [&](std::chrono::nanoseconds unit) {
    const std::chrono::nanoseconds longest = std::chrono::hours(24 * 3650);
    return number > longest / unit ? longest : number * unit;
  };
  switch (text.back()) {
    case 'H':
      return in(std::chrono::hours(1));
    case 'M':
      return in(std::chrono::minutes(1));
    case 'S':
      return in(std::chrono::seconds(1));
    case 'm':
      return in(std::chrono::milliseconds(1));
    case 'u':
      return in(std::chrono::microseconds(1));
    case 'n':
      return in(std::chrono::nanoseconds(1));
    default:
      return std::nullopt;
  }
}

void StartHttpCall(MessageStub& stub, std::shared_ptr<HttpCall> call, std::shared_ptr<HttpExchange> exchange) {
  if (call->route.method->server_streaming()) {
    std::make_shared<StreamCall>(std::move(call), std::move(exchange))->Start(stub);
  } else {
    std::make_shared<UnaryCall>(std::move(call), std::move(exchange))->Start(stub);
  }
}

}  // namespace driftseal::serve
