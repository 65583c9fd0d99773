#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/time/time.h"
#include "engine/app/inputs.h"
#include "engine/app/serve.h"
#include "engine/artifact/posix.h"
#include "engine/artifact/text.h"
#include "engine/serve/tokens.h"

namespace driftseal::app {
namespace {

using Time = std::chrono::system_clock::time_point;

struct TokenFlags {
  std::string client, expires, file;
  std::vector<std::string> scopes;
};

absl::StatusOr<std::optional<Time>> ExpiryOf(const std::string& text) {
  if (text.empty()) return std::nullopt;
  absl::Time time;
  std::string error;
  if (!absl::ParseTime("%Y-%m-%d", text, &time, &error) && !absl::ParseTime(absl::RFC3339_full, text, &time, &error)) {
    return absl::InvalidArgumentError(artifact::Cat(
        "--expires: expected a date (2027-06-30) or a time (2027-06-30T12:00:00Z), found ", artifact::Quoted(text)));
  }
  if (time <= absl::Now()) {
    return absl::InvalidArgumentError(artifact::Cat("--expires: ", text, " is past"));
  }
  return absl::ToChronoTime(time);
}

absl::Status Failed(const std::string& file, const char* what) { return artifact::ErrnoStatus(errno, file, what); }

// One write at the end of the file, so that an engine that reads it meanwhile sees whole lines. A new file is for its
// owner alone.
absl::Status Append(const std::string& file, std::string line) {
  const artifact::UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (fd.get() < 0) return Failed(file, "cannot be opened");
  if (::flock(fd.get(), LOCK_EX) != 0) return Failed(file, "cannot be locked");
  const off_t size = ::lseek(fd.get(), 0, SEEK_END);
  char last = '\n';
  if (size < 0 || (size > 0 && ::pread(fd.get(), &last, 1, size - 1) != 1)) return Failed(file, "cannot be read");
  if (last != '\n') line.insert(line.begin(), '\n');
  const ssize_t written = ::write(fd.get(), line.data(), line.size());
  if (written != static_cast<ssize_t>(line.size())) {
    const bool restored = ::ftruncate(fd.get(), size) == 0;
    return Failed(file, restored ? "cannot be written" : "cannot be written, and ends in half a line");
  }
  return ::fsync(fd.get()) == 0 ? absl::OkStatus() : Failed(file, "cannot be synced");
}

// 256 bits of the system's randomness, so that its hash needs neither salt nor stretching.
absl::StatusOr<std::string> NewToken() {
  unsigned char bytes[32];
  if (RAND_priv_bytes(bytes, sizeof bytes) != 1) return absl::InternalError("the system gives no random bytes");
  const std::string text =
      "ds_" + absl::WebSafeBase64Escape(absl::string_view(reinterpret_cast<const char*>(bytes), sizeof bytes));
  OPENSSL_cleanse(bytes, sizeof bytes);
  return text;
}

// A name that is no word would be read as more than one.
absl::Status CheckClient(const std::string& client) {
  const bool good = !client.empty() && client.size() <= 64 && std::all_of(client.begin(), client.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.';
  });
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(
      artifact::Cat("client: expected at most 64 letters, digits, '-', '_' and '.', found ", artifact::Quoted(client)));
}

absl::Status MakeToken(const TokenFlags& flags) {
  if (const absl::Status client = CheckClient(flags.client); !client.ok()) return client;
  const absl::StatusOr<std::optional<Time>> expires = ExpiryOf(flags.expires);
  if (!expires.ok()) return expires.status();
  // A file that the engine would refuse is not added to.
  if (::access(flags.file.c_str(), F_OK) == 0) {
    const auto tokens = serve::Tokens::Read(flags.file);
    if (!tokens.ok()) return tokens.status();
  }
  const absl::StatusOr<std::string> token = NewToken();
  if (!token.ok()) return token.status();
  absl::StatusOr<std::string> line = serve::TokenLine(flags.client, flags.scopes, *token, *expires);
  if (!line.ok()) return line.status();
  while (!line->empty() && line->back() == '\n') line->pop_back();
  if (const absl::Status appended = Append(flags.file, *line + "\n"); !appended.ok()) return appended;
  std::printf("%s\n", token->c_str());
  if (std::fflush(stdout) != 0) return absl::InternalError("standard output cannot be written: remove the last line");
  std::fprintf(stderr, "driftseal: added to %s; the token is shown this once. A running engine takes it on SIGHUP.\n",
               flags.file.c_str());
  return absl::OkStatus();
}

}  // namespace

void AddToken(CLI::App& app, int& code) {
  auto flags = std::make_shared<TokenFlags>();
  CLI::App* sub = app.add_subcommand("token", "Make a bearer token for the engine; the file keeps its SHA-256 alone");
  sub->add_option("client", flags->client, "Whom it is for")->required();
  sub->add_option("--scope", flags->scopes, "What it lets do: score, verify (and score), admin (everything)")
      ->required()
      ->delimiter(',');
  sub->add_option("--expires", flags->expires, "Last moment: 2027-06-30 (0:00 UTC) or 2027-06-30T12:00:00Z [never]");
  sub->add_option("--tokens-file", flags->file, "File it is added to, made where it is not there")->required();
  sub->callback([flags, &code] {
    const absl::Status made = MakeToken(*flags);
    code = made.ok() ? 0 : Fail(made);
    if (absl::IsInvalidArgument(made)) code = 2;
  });
}

}  // namespace driftseal::app
