#include "engine/serve/credentials.h"

#include <openssl/crypto.h>
#include <strings.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>

#include "driftseal/v1/options.pb.h"
#include "engine/artifact/text.h"
#include "engine/serve/gate.h"
#include "grpc/grpc_security_constants.h"

namespace driftseal::serve {
namespace {

using artifact::Cat;

constexpr std::string_view kBearer = "bearer ";
constexpr size_t kTokenLimit = 4096;

std::string_view View(grpc::string_ref text) { return {text.data(), text.size()}; }

std::string_view MetadataOf(const grpc::CallbackServerContext& context, const char* name) {
  const auto found = context.client_metadata().find(name);
  return found == context.client_metadata().end() ? std::string_view() : View(found->second);
}

// Whether the call came over the channel of this process: nobody else knows the key.
bool IsInProcess(const grpc::CallbackServerContext& context) {
  const std::string_view key = MetadataOf(context, kInProcessKey);
  const std::string& expected = InProcessKey();
  return key.size() == expected.size() && CRYPTO_memcmp(key.data(), expected.data(), key.size()) == 0;
}

std::string CommonNameOf(const grpc::CallbackServerContext& context) {
  if (IsInProcess(context)) return std::string(MetadataOf(context, kForwardedCertificate));
  const auto auth = context.auth_context();
  if (auth == nullptr || !auth->IsPeerAuthenticated()) return "";
  const auto names = auth->FindPropertyValues(GRPC_X509_CN_PROPERTY_NAME);
  return names.empty() ? "" : std::string(View(names.front()));
}

absl::StatusOr<std::string_view> TokenOf(std::string_view authorization) {
  if (authorization.size() > kBearer.size() && authorization.size() <= kTokenLimit &&
      strncasecmp(authorization.data(), kBearer.data(), kBearer.size()) == 0) {
    return authorization.substr(kBearer.size());
  }
  return absl::UnauthenticatedError("authorization: expected \"Bearer TOKEN\"");
}

}  // namespace

const std::string& InProcessKey() {
  static const std::string key = [] {
    std::random_device random;
    std::string text;
    constexpr int kWords = 8;
    for (int i = 0; i < kWords; ++i) text += Cat(absl::Hex(random(), absl::kZeroPad8));
    return text;
  }();
  return key;
}

std::string PeerOf(const grpc::CallbackServerContext& context) {
  if (!IsInProcess(context)) return context.peer();
  const std::string_view forwarded = MetadataOf(context, kForwardedPeer);
  return std::string(forwarded.empty() ? "inproc" : forwarded);
}

absl::Status Credentials::Open(const std::string& tokens_file, bool certificates) {
  tokens_file_ = tokens_file;
  certificates_ = certificates;
  return Reload();
}

absl::Status Credentials::Reload() {
  if (tokens_file_.empty()) return absl::OkStatus();
  absl::StatusOr<std::shared_ptr<const Tokens>> tokens = Tokens::Read(tokens_file_);
  if (!tokens.ok()) return absl::Status(tokens.status().code(), Cat("tokens_file: ", tokens.status().message()));
  const std::lock_guard lock(mutex_);
  tokens_ = *std::move(tokens);
  return absl::OkStatus();
}

absl::StatusOr<Caller> Credentials::FromIdentity(const Identity* identity, std::string_view what) const {
  if (identity == nullptr) return absl::UnauthenticatedError(Cat("unknown ", what));
  if (identity->expires.has_value() && *identity->expires <= std::chrono::system_clock::now()) {
    return absl::UnauthenticatedError(Cat("the ", what, " of ", identity->client, " has expired"));
  }
  return Caller{identity->client, "", identity->scope};
}

absl::StatusOr<Caller> Credentials::Identify(const grpc::CallbackServerContext& context) const {
  if (tokens_file_.empty() && !certificates_) {
    std::string address = PeerOf(context);
    address.resize(std::min(address.rfind(':'), address.size()));
    return Caller{"", std::move(address), v1::SCOPE_ADMIN};
  }
  Shown shown;
  const auto [first, last] = context.client_metadata().equal_range("authorization");
  if (first != last) {
    if (std::next(first) != last) return absl::UnauthenticatedError("authorization: expected one value, found several");
    shown.authorization = View(first->second);
  }
  if (certificates_) shown.common_name = CommonNameOf(context);
  return Identify(shown);
}

absl::StatusOr<Caller> Credentials::Identify(const Shown& shown) const {
  if (tokens_file_.empty() && !certificates_) return Caller{"", "", v1::SCOPE_ADMIN};
  if (tokens_file_.empty()) {
    if (!shown.common_name.empty()) return Caller{shown.common_name, "", v1::SCOPE_ADMIN};
    return absl::UnauthenticatedError("expected a client certificate with a common name");
  }
  std::shared_ptr<const Tokens> tokens;
  {
    const std::lock_guard lock(mutex_);
    tokens = tokens_;
  }
  if (shown.authorization.has_value()) {
    const absl::StatusOr<std::string_view> token = TokenOf(*shown.authorization);
    return token.ok() ? FromIdentity(tokens->FindToken(*token), "token") : token.status();
  }
  if (certificates_ && !shown.common_name.empty()) {
    return FromIdentity(tokens->FindCertificate(shown.common_name), "certificate");
  }
  return absl::UnauthenticatedError(certificates_ ? "expected \"authorization: Bearer TOKEN\" or a certificate"
                                                  : "expected \"authorization: Bearer TOKEN\"");
}

}  // namespace driftseal::serve
