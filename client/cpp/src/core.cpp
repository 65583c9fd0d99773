#include "client/cpp/src/core.h"

#include <algorithm>
#include <cstdio>
#include <random>
#include <string_view>

#include "client/cpp/src/disposal.h"

namespace driftseal::internal {
namespace {

constexpr size_t kTokenLimitBytes = 4096, kPemLimitBytes = 1 << 20;

Result<std::string> ReadFile(const std::string& path, size_t limit) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  const auto unreadable = [&] { return Status{Code::kNotFound, path + ": cannot be read", {}, {}, {}, 0}; };
  if (file == nullptr) return unreadable();
  std::string text(limit + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) return unreadable();
  if (text.size() > limit) return InvalidArgument(path + ": is larger than " + std::to_string(limit) + " bytes");
  return text;
}

// The text where there is one, otherwise the file's.
Status Settle(std::string& text, const std::string& file) {
  if (!text.empty() || file.empty()) return {};
  Result<std::string> read = ReadFile(file, kPemLimitBytes);
  if (!read.ok()) return read.status();
  text = *std::move(read);
  return text.empty() ? InvalidArgument(file + ": is empty") : Status();
}

Result<std::string> TokenOf(const ClientOptions& options) {
  std::string token = options.token;
  if (token.empty() && !options.token_file.empty()) {
    Result<std::string> read = ReadFile(options.token_file, kTokenLimitBytes);
    if (!read.ok()) return read.status();
    token = read->substr(0, read->find_first_of("\r\n"));
    if (token.empty()) return InvalidArgument(options.token_file + ": expected a token on its first line");
  }
  const bool clean = std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 0x7F; });
  if (!clean) return InvalidArgument("the token: expected printable ASCII characters without blanks");
  return token;
}

// Whether what is sent to the address does not leave this machine.
bool IsLocal(std::string_view address) {
  if (address.rfind("unix:", 0) == 0 || address.rfind("unix-abstract:", 0) == 0) return true;
  for (const std::string_view scheme : {"dns:///", "dns:", "ipv4:", "ipv6:"}) {
    if (address.rfind(scheme, 0) == 0) {
      address.remove_prefix(scheme.size());
      break;
    }
  }
  const std::string_view host = address.substr(0, address.rfind(':'));
  if (host == "localhost" || host == "[::1]") return true;
  const bool digits = host.find_first_not_of("0123456789.") == std::string_view::npos;
  return digits && host.rfind("127.", 0) == 0;  // "127.example.com" is another machine.
}

Result<std::shared_ptr<grpc::ChannelCredentials>> CredentialsOf(TlsOptions tls) {
  if (!tls.enabled) return grpc::InsecureChannelCredentials();
  if (Status status = Settle(tls.ca, tls.ca_file); !status.ok()) return status;
  if (Status status = Settle(tls.certificate, tls.certificate_file); !status.ok()) return status;
  if (Status status = Settle(tls.key, tls.key_file); !status.ok()) return status;
  if (tls.certificate.empty() != tls.key.empty()) {
    return InvalidArgument("mutual TLS: expected a certificate and its key, found one of the two");
  }
  return grpc::SslCredentials({tls.ca, tls.key, tls.certificate});
}

grpc::ChannelArguments ArgumentsOf(const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(static_cast<int>(std::min<size_t>(options.max_receive_bytes, 1u << 30)));
  arguments.SetMaxSendMessageSize(-1);  // The engine has a limit of its own, and says so.
  // Retries are this library's: gRPC's would multiply with them.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // An engine that was started again is found within a moment, and not after the two minutes of the default.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  if (options.keepalive.count() > 0) {
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, static_cast<int>(options.keepalive.count()));
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);  // As many as a long verification takes.
  }
  // A connection of its own, and none that other clients of the process have.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (!options.tls.server_name.empty()) arguments.SetSslTargetNameOverride(options.tls.server_name);
  arguments.SetUserAgentPrefix("driftseal-cpp/" DRIFTSEAL_VERSION);
  return arguments;
}

}  // namespace

Result<std::shared_ptr<Core>> Core::Create(ClientOptions options) {
  if (options.address.empty()) return InvalidArgument("the address of the engine: expected host:port, found nothing");
  if (options.retry.max_attempts < 1) return InvalidArgument("retry.max_attempts: expected at least 1");
  if (options.piece_rows == 0) return InvalidArgument("piece_rows: expected at least 1");
  Result<std::string> token = TokenOf(options);
  if (!token.ok()) return token.status();
  if (!token->empty() && !options.tls.enabled && !options.allow_plaintext_token && !IsLocal(options.address)) {
    return InvalidArgument(options.address +
                           ": a token would travel there unencrypted: use TLS, or allow_plaintext_token on a network "
                           "that nobody else can read");
  }
  Result<std::shared_ptr<grpc::ChannelCredentials>> credentials = CredentialsOf(options.tls);
  if (!credentials.ok()) return credentials.status();
  auto channel = grpc::CreateCustomChannel(options.address, *credentials, ArgumentsOf(options));
  return std::shared_ptr<Core>(new Core(std::move(options), std::move(channel), *std::move(token)), DestroyCore());
}

Core::Core(ClientOptions client_options, std::shared_ptr<grpc::Channel> to, std::string bearer)
    : options(std::move(client_options)),
      channel(std::move(to)),
      scoring(v1::Scoring::NewStub(channel)),
      detectors(v1::Detectors::NewStub(channel)),
      integrity(v1::Integrity::NewStub(channel)),
      predictions(v1::Predictions::NewStub(channel)),
      budget(options.retry),
      authorization_(bearer.empty() ? "" : "Bearer " + bearer) {}

void Core::AddMetadata(grpc::ClientContext& context, const std::string& request_id) const {
  if (!authorization_.empty()) context.AddMetadata("authorization", authorization_);
  context.AddMetadata("x-request-id", request_id);
}

std::string RandomId() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string id;
  for (int half = 0; half < 2; ++half) {
    uint64_t bits = random();
    for (int i = 0; i < 16; ++i, bits >>= 4) id += kDigits[bits & 15];
  }
  return id;
}

Attempts::Attempts(Core& core, const CallOptions& options, bool idempotent, std::chrono::milliseconds usual)
    : core_(core),
      idempotent_(idempotent),
      request_id_(options.request_id.empty() ? RandomId() : options.request_id),
      canceller_(options.canceller == nullptr ? nullptr : options.canceller->state()),
      backoff_(core.options.retry) {
  const std::chrono::milliseconds limit = options.timeout.count() != 0 ? options.timeout : usual;
  if (limit.count() > 0) deadline_ = Clock::now() + limit;
}

void Attempts::Prepare(grpc::ClientContext& context) const {
  if (deadline_ != Clock::time_point::max()) context.set_deadline(deadline_);
  core_.AddMetadata(context, request_id_);
}

std::optional<std::chrono::milliseconds> Attempts::Ended(Status& status) {
  status.attempts = ++attempts_;
  if (status.ok()) {
    core_.budget.Succeeded();
    return std::nullopt;
  }
  if (!MayRetry(status, idempotent_)) return std::nullopt;
  if (IsCancelled(canceller_)) {
    status = Cancelled(std::move(status));
    return std::nullopt;
  }
  const bool budget = core_.budget.Failed();
  if (backoff_.failures() + 1 >= core_.options.retry.max_attempts || !budget) return std::nullopt;
  const std::chrono::milliseconds wait = backoff_.Next(status.retry_after);
  if (deadline_ != Clock::time_point::max() && Clock::now() + wait >= deadline_) return std::nullopt;
  return wait;
}

Status Connect(Core& core, const Attempts& attempts) {
  const auto until = std::min(attempts.deadline(), Clock::now() + core.options.connect_timeout);
  if (core.channel->WaitForConnected(until)) return {};
  return {Code::kUnavailable, core.options.address + ": no connection", attempts.request_id(), {}, {}, 0};
}

}  // namespace driftseal::internal
