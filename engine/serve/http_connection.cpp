#include "engine/serve/http_connection.h"

#include <poll.h>

#include <algorithm>
#include <string_view>

#include "boost/asio/post.hpp"
#include "boost/asio/ssl/stream.hpp"
#include "boost/asio/steady_timer.hpp"
#include "boost/asio/write.hpp"
#include "boost/beast/core.hpp"
#include "boost/beast/http.hpp"
#include "boost/beast/ssl.hpp"
#include "engine/artifact/text.h"
#include "engine/serve/http_reading.h"
#include "engine/serve/http_status.h"
#include "engine/serve/http_text.h"

namespace driftseal::serve {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using beast::error_code;
using std::chrono::steady_clock;

constexpr size_t kReadBytes = 4096;  ///< What an idle connection holds.
constexpr size_t kBufferBytes = 128 << 10;
constexpr auto kLinger = std::chrono::seconds(1);
constexpr size_t kLingerBytes = 1 << 20;
constexpr auto kGonePeriod = std::chrono::milliseconds(250);

using Plain = beast::tcp_stream;
using Tls = beast::ssl_stream<beast::tcp_stream>;

template <typename Stream>
class Connection final : public HttpConnection,
                         public HttpExchange,
                         public std::enable_shared_from_this<Connection<Stream>> {
  static constexpr bool kTls = std::is_same_v<Stream, Tls>;

 public:
  template <typename... Args>
  Connection(HttpShared* shared, std::shared_ptr<asio::ssl::context> tls, std::function<void()> ended, Args&&... args)
      : tls_(std::move(tls)),
        stream_(std::forward<Args>(args)...),
        watch_timer_(stream_.get_executor()),
        shared_(shared),
        ended_(std::move(ended)) {
    error_code error;
    peer_ = HttpPeer(Lowest().socket().remote_endpoint(error));
  }
  ~Connection() override {
    ReleaseBody();
    ended_();
  }

  // HttpConnection.
  void Begin() override {
    if constexpr (kTls) {
      Lowest().expires_after(shared_->limits.begin);
      stream_.async_handshake(asio::ssl::stream_base::server, [self = Self()](error_code error) {
        if (error) return self->Close();
        self->certificate_ = CommonName(self->stream_.native_handle());
        self->NextRequest(self->shared_->limits.begin);
      });
    } else {
      NextRequest(shared_->limits.begin);
    }
  }
  void CloseIfIdle() override {
    if (idle_) Close();
  }
  void Abort() override {
    failed_ = true;
    Close();
    FireGone();
  }

  // HttpExchange.
  void Post(std::function<void()> work) override { asio::post(stream_.get_executor(), std::move(work)); }
  void Reply(HttpReply reply) override {
    StopWatching();
    if (failed_) return;
    close_ = close_ || reply.close || shared_->draining;
    Send(HttpText(reply, head_request_ ? HttpBody::kNone : HttpBody::kWhole, !close_), [this](bool ok) {
      if (ok) FinishRequest();
    });
  }
  bool Begin(HttpReply head) override {
    chunked_ = http11_;
    close_ = close_ || !chunked_ || head.close || shared_->draining;
    head_ = HttpText(head, chunked_ ? HttpBody::kChunked : HttpBody::kUntilClose, !close_);
    return !head_request_;
  }
  void Write(std::string piece, std::function<void(bool)> written) override {
    Send(std::exchange(head_, {}) + (chunked_ ? HttpChunk(piece) : std::move(piece)), std::move(written));
  }
  void End() override {
    StopWatching();
    std::string last = std::exchange(head_, {});
    if (chunked_ && !head_request_) last += kLastHttpChunk;
    Send(std::move(last), [this](bool ok) {
      if (ok) FinishRequest();
    });
  }
  void WhenGone(std::function<void()> gone) override {
    gone_ = std::move(gone);
    if (failed_) return FireGone();
    Watch();
  }

 private:
  std::shared_ptr<Connection> Self() { return this->shared_from_this(); }
  Plain& Lowest() { return beast::get_lowest_layer(stream_); }

  void NextRequest(std::chrono::milliseconds wait) {
    if (buffer_.size() > 0) return ReadHeader();
    if (shared_->draining) return Close();
    if (buffer_.capacity() > kBufferBytes / 2) buffer_ = beast::flat_buffer(kBufferBytes);
    idle_ = true;
    Lowest().expires_after(wait);
    stream_.async_read_some(buffer_.prepare(kReadBytes), [self = Self()](error_code error, size_t bytes) {
      self->idle_ = false;
      if (error) return self->Close();
      self->buffer_.commit(bytes);
      self->ReadHeader();
    });
  }

  void ReadHeader() {
    parser_.emplace();
    parser_->header_limit(static_cast<uint32_t>(shared_->limits.header_bytes));
    parser_->body_limit(shared_->limits.body_bytes);
    Lowest().expires_after(shared_->limits.begin);
    http::async_read_header(stream_, buffer_, *parser_,
                            [self = Self()](error_code error, size_t) { self->OnHeader(error); });
  }

  void OnHeader(error_code error) {
    const HttpHead head = ReadHead(parser_->get(), peer_, certificate_);
    http11_ = parser_->get().version() == 11;
    head_request_ = head.request.method == "HEAD";
    close_ = !http11_ || !parser_->keep_alive();
    if (error) return Malformed(error, head.request);
    if (!head.error.empty()) return RefuseUnread(HttpErrorReply(head.status, head.error, head.request.request_id));
    body_began_ = steady_clock::now();
    body_bytes_ = 0;
    if (!head.expects_continue || parser_->is_done()) return ReadBody();
    if (std::optional<HttpReply> refused = shared_->handler->Refuse(head.request)) return RefuseUnread(*refused);
    Send("HTTP/1.1 100 Continue\r\n\r\n", [this](bool ok) {
      if (ok) ReadBody();
    });
  }

  // Speaks to whoever sent something that is no request; whoever sent nothing of use is not answered.
  void Malformed(error_code error, const HttpRequest& head) {
    if (error == http::error::body_limit || error == http::error::buffer_overflow) {
      return RefuseUnread(HttpErrorReply(
          413, artifact::Cat("the body is longer than ", shared_->limits.body_bytes, " bytes"), head.request_id));
    }
    if (error == http::error::header_limit) {
      return RefuseUnread(
          HttpErrorReply(431, artifact::Cat("the header is longer than ", shared_->limits.header_bytes, " bytes"), ""));
    }
    const bool parsing = error.category() == make_error_code(http::error::bad_method).category();
    if (!parsing || error == http::error::end_of_stream || error == http::error::partial_message) return Close();
    RefuseUnread(HttpErrorReply(400, artifact::Cat("malformed HTTP request: ", error.message()), ""));
  }
  void RefuseUnread(HttpReply reply) {
    reply.close = true;
    Reply(std::move(reply));
  }

  void ReadBody() {
    if (parser_->is_done()) return Dispatch();
    const HttpLimits& limits = shared_->limits;
    Lowest().expires_at(body_began_ + limits.begin +
                        std::chrono::milliseconds(body_bytes_ * 1000 / limits.least_bytes_per_second));
    http::async_read_some(stream_, buffer_, *parser_, [self = Self()](error_code error, size_t) {
      if (error) return self->Malformed(error, ReadHead(self->parser_->get(), self->peer_, "").request);
      const size_t bytes = self->parser_->get().body().size();
      const size_t all = self->shared_->body_bytes += bytes - self->body_bytes_;
      self->body_bytes_ = bytes;
      if (all <= self->shared_->limits.all_body_bytes) return self->ReadBody();
      HttpReply reply = HttpErrorReply(503, "too many large requests at once", "");
      reply.headers.emplace_back("Retry-After", "1");
      self->RefuseUnread(std::move(reply));
    });
  }

  void Dispatch() {
    HttpHead head = ReadHead(parser_->get(), peer_, certificate_);
    const auto body = parser_->get().body().cdata();
    head.request.body = {static_cast<const char*>(body.data()), body.size()};
    shared_->handler->Handle(head.request, Self());
  }

  void Send(std::string text, std::function<void(bool)> sent) {
    if (failed_) return sent(false);
    out_ = std::move(text);
    const auto extra = std::chrono::milliseconds(out_.size() * 1000 / shared_->limits.least_bytes_per_second);
    Lowest().expires_after(shared_->limits.stall + extra);
    asio::async_write(stream_, asio::buffer(out_), [self = Self(), done = std::move(sent)](error_code error, size_t) {
      if (error) {
        self->failed_ = true;
        self->Close();
        self->FireGone();
      }
      done(!error);
    });
  }

  void FinishRequest() {
    if (close_) return Linger();
    ReleaseBody();
    parser_.reset();
    if (out_.capacity() > kBufferBytes) std::string().swap(out_);
    NextRequest(shared_->limits.idle);
  }
  void ReleaseBody() { shared_->body_bytes -= std::exchange(body_bytes_, 0); }

  // A client that still sends when its connection is closed loses the answer: read on for a little while.
  void Linger() {
    lingered_ = 0;
    Lowest().expires_after(kLinger);
    if constexpr (kTls) {
      stream_.async_shutdown([self = Self()](error_code) { self->Close(); });
    } else {
      error_code error;
      Lowest().socket().shutdown(asio::ip::tcp::socket::shutdown_send, error);
      buffer_.clear();
      LingerMore();
    }
  }
  void LingerMore() {
    Lowest().async_read_some(buffer_.prepare(kReadBytes), [self = Self()](error_code error, size_t bytes) {
      self->lingered_ += bytes;
      if (error || self->lingered_ > kLingerBytes) return self->Close();
      self->LingerMore();
    });
  }

  void Close() {
    error_code error;
    Lowest().socket().shutdown(asio::ip::tcp::socket::shutdown_both, error);
    Lowest().close();
    watch_timer_.cancel();
  }

  // While a call runs nothing is read: what the client has sent by then stays where it is, and a wait for it would end
  // at once. So: wait for anything, then ask now and then whether the client has closed its side.
  void Watch() {
    const uint64_t request = ++watched_;
    watching_ = true;
    Lowest().socket().async_wait(asio::ip::tcp::socket::wait_read, [self = Self(), request](error_code error) {
      if (!error) self->CheckGone(request);
    });
  }
  void CheckGone(uint64_t request) {
    if (request != watched_ || !gone_) return;
    pollfd asked{Lowest().socket().native_handle(), POLLRDHUP, 0};
    if (poll(&asked, 1, 0) > 0 && (asked.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0) return FireGone();
    watch_timer_.expires_after(kGonePeriod);
    watch_timer_.async_wait([self = Self(), request](error_code error) {
      if (!error) self->CheckGone(request);
    });
  }
  void StopWatching() {
    gone_ = nullptr;
    ++watched_;
    if (!std::exchange(watching_, false)) return;
    error_code error;
    if (!failed_) Lowest().socket().cancel(error);
    watch_timer_.cancel();
  }
  void FireGone() {
    if (auto gone = std::exchange(gone_, nullptr)) gone();
  }

  std::shared_ptr<asio::ssl::context> tls_;
  Stream stream_;
  asio::steady_timer watch_timer_;
  HttpShared* shared_;
  std::function<void()> ended_, gone_;
  std::string peer_, certificate_;
  beast::flat_buffer buffer_{kBufferBytes};
  std::optional<HttpParser> parser_;
  std::string head_, out_;
  steady_clock::time_point body_began_;
  size_t body_bytes_ = 0, lingered_ = 0;
  uint64_t watched_ = 0;
  bool idle_ = true, http11_ = true, head_request_ = false, chunked_ = false;
  bool close_ = false;   ///< After this answer.
  bool failed_ = false;  ///< Nothing can be written any more.
  bool watching_ = false;
};

}  // namespace

std::shared_ptr<HttpConnection> MakeHttpConnection(asio::ip::tcp::socket socket,
                                                   std::shared_ptr<asio::ssl::context> tls, HttpShared* shared,
                                                   std::function<void()> ended) {
  if (tls == nullptr) {
    return std::make_shared<Connection<Plain>>(shared, nullptr, std::move(ended), std::move(socket));
  }
  asio::ssl::context& context = *tls;
  return std::make_shared<Connection<Tls>>(shared, std::move(tls), std::move(ended), Plain(std::move(socket)), context);
}

}  // namespace driftseal::serve
