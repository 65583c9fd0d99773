#include "engine/serve/tokens.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <unordered_map>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "driftseal/v1/options.pb.h"
#include "engine/artifact/posix.h"
#include "engine/artifact/text.h"

namespace driftseal::serve {
namespace {

using artifact::Cat;
using artifact::Quoted;
using Digest = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

constexpr size_t kFileLimit = 16u << 20;
constexpr size_t kNameLimit = 64, kCommonNameLimit = 256;
constexpr std::string_view kToken = "sha256:", kCertificate = "cert:";

Digest DigestOf(std::string_view token) {
  Digest digest;
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), digest.data());
  return digest;
}

// Where to look for a digest: of a secret nobody can guess, its hash says nothing.
uint64_t Head(const Digest& digest) {
  uint64_t head = 0;
  std::memcpy(&head, digest.data(), sizeof(head));
  return head;
}

std::optional<Digest> ParseDigest(std::string_view hex) {
  Digest digest;
  if (hex.size() != 2 * digest.size()) return std::nullopt;
  const auto is_hex = [](unsigned char c) { return std::isxdigit(c) != 0; };
  if (!std::all_of(hex.begin(), hex.end(), is_hex)) return std::nullopt;
  const std::string bytes = absl::HexStringToBytes(artifact::ForAbsl(hex));
  std::memcpy(digest.data(), bytes.data(), digest.size());
  return digest;
}

bool IsName(std::string_view name) {
  const auto allowed = [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; };
  return !name.empty() && name.size() <= kNameLimit && std::all_of(name.begin(), name.end(), allowed) &&
         name != "anonymous";  // Which is what those without a name are counted as.
}

int ScopeOf(std::string_view name) {
  if (name == "score") return v1::SCOPE_SCORE;
  if (name == "verify") return v1::SCOPE_VERIFY;
  return name == "admin" ? v1::SCOPE_ADMIN : v1::SCOPE_UNSPECIFIED;
}

// The highest of a comma list; SCOPE_UNSPECIFIED where one is unknown.
int HighestScope(std::string_view list) {
  int highest = v1::SCOPE_UNSPECIFIED;
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    const int scope = ScopeOf(list.substr(begin, end - begin));
    if (scope == v1::SCOPE_UNSPECIFIED) return scope;
    highest = std::max(highest, scope);
    begin = end + 1;
  }
  return highest;
}

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  line = line.substr(0, line.find('#'));
  constexpr std::string_view kBlank = " \t\r";
  for (size_t begin = line.find_first_not_of(kBlank); begin != std::string_view::npos;) {
    const size_t end = std::min(line.find_first_of(kBlank, begin), line.size());
    words.push_back(line.substr(begin, end - begin));
    begin = line.find_first_not_of(kBlank, end);
  }
  return words;
}

absl::StatusOr<std::string> ReadPrivateFile(const std::string& path) {
  const artifact::UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) return absl::ErrnoToStatus(errno, Cat(path, ": cannot be opened"));
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return absl::ErrnoToStatus(errno, path);
  if (!S_ISREG(info.st_mode)) return absl::FailedPreconditionError(Cat(path, ": is no regular file"));
  if ((info.st_mode & S_IRWXO) != 0) {
    return absl::PermissionDeniedError(Cat(path, ": everybody may read or write it; expected mode 0600 or 0640"));
  }
  std::string text;
  std::array<char, 1u << 16> buffer{};
  for (;;) {
    const ssize_t got = read(fd.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::ErrnoToStatus(errno, path);
    if (got == 0) return text;
    text.append(buffer.data(), static_cast<size_t>(got));
    if (text.size() > kFileLimit) return absl::ResourceExhaustedError(Cat(path, ": is larger than 16 MiB"));
  }
}

}  // namespace

struct Tokens::State {
  struct Token {
    Digest digest;
    Identity identity;
  };
  std::unordered_multimap<uint64_t, Token> tokens;
  std::map<std::string, Identity, std::less<>> certificates;

  const Identity* Find(const Digest& digest) const {
    const auto [first, last] = tokens.equal_range(Head(digest));
    for (auto it = first; it != last; ++it) {
      if (CRYPTO_memcmp(it->second.digest.data(), digest.data(), digest.size()) == 0) return &it->second.identity;
    }
    return nullptr;
  }

  absl::Status AddCredential(std::string_view credential, Identity identity);
  absl::Status AddLine(const std::vector<std::string_view>& words);
};

absl::Status Tokens::State::AddCredential(std::string_view credential, Identity identity) {
  if (credential.starts_with(kCertificate)) {
    const std::string_view name = credential.substr(kCertificate.size());
    if (name.empty() || name.size() > kCommonNameLimit) return absl::InvalidArgumentError("the certificate's name");
    if (!certificates.emplace(name, std::move(identity)).second) {
      return absl::InvalidArgumentError(Cat("the certificate ", Quoted(name), " was named before"));
    }
    return absl::OkStatus();
  }
  if (credential.starts_with(kToken)) credential.remove_prefix(kToken.size());
  const std::optional<Digest> digest = ParseDigest(credential);
  if (!digest.has_value()) {
    return absl::InvalidArgumentError("expected sha256: and 64 hexadecimal digits, or cert: and a common name");
  }
  if (Find(*digest) != nullptr) return absl::InvalidArgumentError("this token was listed before");
  tokens.emplace(Head(*digest), Token{*digest, std::move(identity)});
  return absl::OkStatus();
}

absl::Status Tokens::State::AddLine(const std::vector<std::string_view>& words) {
  if (words.size() < 3 || words.size() > 4) {
    return absl::InvalidArgumentError("expected: client scopes credential [expires]");
  }
  Identity identity;
  identity.client = words[0];
  if (!IsName(words[0])) {
    return absl::InvalidArgumentError(
        Cat("client ", Quoted(words[0]), ": expected at most 64 letters, digits, '-', '_' and '.', and not anonymous"));
  }
  identity.scope = HighestScope(words[1]);
  if (identity.scope == v1::SCOPE_UNSPECIFIED) {
    return absl::InvalidArgumentError(Cat("scopes ", Quoted(words[1]), ": expected score, verify, admin"));
  }
  if (words.size() == 4) {
    absl::Time expires;
    std::string error;
    if (!absl::ParseTime(absl::RFC3339_full, artifact::ForAbsl(words[3]), &expires, &error) ||
        expires == absl::InfiniteFuture() || expires == absl::InfinitePast()) {
      return absl::InvalidArgumentError(Cat("expires ", Quoted(words[3]), ": expected a time as 2027-06-30T00:00:00Z"));
    }
    identity.expires = absl::ToChronoTime(expires);
  }
  return AddCredential(words[2], std::move(identity));
}

Tokens::Tokens() : state_(std::make_unique<State>()) {}
Tokens::~Tokens() = default;

absl::StatusOr<std::shared_ptr<const Tokens>> Tokens::Read(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadPrivateFile(path);
  if (!text.ok()) return text.status();
  return Parse(path, *text);
}

absl::StatusOr<std::shared_ptr<const Tokens>> Tokens::Parse(const std::string& name, std::string_view text) {
  const std::shared_ptr<Tokens> tokens(new Tokens);
  size_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    ++number;
    if (const auto words = Words(text.substr(begin, end - begin)); !words.empty()) {
      const absl::Status added = tokens->state_->AddLine(words);
      if (!added.ok()) return absl::Status(added.code(), Cat(name, ":", number, ": ", added.message()));
    }
    begin = end + 1;
  }
  return tokens;
}

const Identity* Tokens::FindToken(std::string_view token) const { return state_->Find(DigestOf(token)); }

const Identity* Tokens::FindCertificate(std::string_view common_name) const {
  const auto found = state_->certificates.find(common_name);
  return found == state_->certificates.end() ? nullptr : &found->second;
}

size_t Tokens::size() const { return state_->tokens.size() + state_->certificates.size(); }

absl::StatusOr<std::string> TokenLine(std::string_view client, const std::vector<std::string>& scopes,
                                      std::string_view token,
                                      std::optional<std::chrono::system_clock::time_point> expires) {
  const Digest digest = DigestOf(token);
  const absl::string_view bytes(reinterpret_cast<const char*>(digest.data()), digest.size());
  std::string line = Cat(client, " ", absl::StrJoin(scopes, ","), " ", kToken, absl::BytesToHexString(bytes));
  if (expires.has_value()) {
    line += " " + absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromChrono(*expires), absl::UTCTimeZone());
  }
  const auto parsed = Tokens::Parse("token", line);
  if (!parsed.ok()) return parsed.status();
  if ((*parsed)->size() != 1) return absl::InvalidArgumentError("the client's name has blanks");
  return line;
}

}  // namespace driftseal::serve
