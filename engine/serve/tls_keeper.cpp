#include "engine/serve/tls_keeper.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "engine/artifact/posix.h"
#include "engine/artifact/text.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_credentials_options.h"

namespace driftseal::serve {
namespace {

namespace fs = std::filesystem;
using artifact::Cat;
using artifact::UniqueFd;

// gRPC's watcher looks at the copies, which costs it a few reads of memory.
constexpr unsigned kCopiesRefreshSeconds = 1;
constexpr std::array<const char*, 3> kNames = {"cert.pem", "key.pem", "ca.pem"};

absl::StatusOr<UniqueFd> InMemory(const std::string& text) {
  UniqueFd fd(memfd_create("driftseal-tls", MFD_CLOEXEC));
  if (fd.get() < 0) return absl::ErrnoToStatus(errno, "no memory file for a certificate");
  for (size_t done = 0; done < text.size();) {
    const ssize_t wrote = write(fd.get(), text.data() + done, text.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return absl::ErrnoToStatus(errno, "a certificate could not be kept in memory");
    done += static_cast<size_t>(wrote);
  }
  return fd;
}

absl::Status FsError(const std::error_code& error, const fs::path& path) {
  return absl::ErrnoToStatus(error.value(), Cat("state_dir: ", path.string()));
}

bool Same(const TlsFiles& a, const TlsFiles& b) {
  return a.cert == b.cert && a.key == b.key && a.client_ca == b.client_ca;
}

}  // namespace

struct TlsKeeper::State {
  Options options;
  Log* log = nullptr;
  fs::path folder;

  std::mutex mutex;
  std::condition_variable wake;
  bool stop = false;
  TlsFiles shown;
  std::array<UniqueFd, kNames.size()> descriptors;
  uint64_t generation = 0;
  std::string told;  // The error that was logged last.
  std::jthread thread;

  absl::Status Refresh();
  absl::Status Show(const TlsFiles& files);
  void Watch();
};

// A new folder of links to new memory files, and one rename: whoever opens several of them through `current` at nearly
// the same moment gets one generation.
absl::Status TlsKeeper::State::Show(const TlsFiles& files) {
  const std::array<const std::string*, kNames.size()> texts = {&files.cert, &files.key, &files.client_ca};
  std::array<UniqueFd, kNames.size()> fresh;
  const std::string name = Cat(++generation);
  std::error_code error;
  fs::create_directory(folder / name, error);
  if (error) return FsError(error, folder / name);
  for (size_t i = 0; i < kNames.size(); ++i) {
    absl::StatusOr<UniqueFd> fd = InMemory(*texts[i]);
    if (!fd.ok()) return fd.status();
    fs::create_symlink(Cat("/proc/self/fd/", fd->get()), folder / name / kNames[i], error);
    if (error) return FsError(error, folder / name / kNames[i]);
    fresh[i] = *std::move(fd);
  }
  fs::create_directory_symlink(name, folder / "next", error);
  if (error) return FsError(error, folder / "next");
  fs::rename(folder / "next", folder / "current", error);
  if (error) return FsError(error, folder / "current");
  fs::remove_all(folder / Cat(generation - 1), error);
  descriptors = std::move(fresh);
  shown = files;
  return absl::OkStatus();
}

absl::Status TlsKeeper::State::Refresh() {
  const std::lock_guard lock(mutex);
  const absl::StatusOr<TlsFiles> files = ReadTlsFiles(options);
  if (!files.ok()) return files.status();
  return Same(*files, shown) ? absl::OkStatus() : Show(*files);
}

void TlsKeeper::State::Watch() {
  std::unique_lock lock(mutex);
  while (!wake.wait_for(lock, std::chrono::seconds(kTlsRefreshSeconds - kCopiesRefreshSeconds), [&] { return stop; })) {
    lock.unlock();
    const absl::Status status = Refresh();
    lock.lock();
    const std::string text = status.ok() ? "" : std::string(status.message());
    if (text != told && !text.empty()) {
      log->Warning("certificates were replaced by some that cannot be used; the old ones stay", {{"error", text}});
    }
    told = text;
  }
}

absl::StatusOr<std::unique_ptr<TlsKeeper>> TlsKeeper::Open(const Options& options, Log* log) {
  const absl::StatusOr<bool> wanted = WantsTls(options);
  if (!wanted.ok()) return wanted.status();
  if (!*wanted) return nullptr;
  auto state = std::make_unique<State>();
  state->options = options;
  state->log = log;
  // Not canonical: the folder may be renamed while the engine runs, but then its other files are gone as well.
  std::error_code error;
  state->folder = fs::absolute(options.state_dir, error) / "tls";
  fs::remove_all(state->folder, error);  // Of an engine that was killed.
  fs::create_directories(state->folder, error);
  if (error) return FsError(error, state->folder);
  fs::permissions(state->folder, fs::perms::owner_all, error);
  if (absl::Status shown = state->Refresh(); !shown.ok()) return shown;
  state->thread = std::jthread([watched = state.get()] { watched->Watch(); });
  return std::unique_ptr<TlsKeeper>(new TlsKeeper(std::move(state)));
}

TlsKeeper::TlsKeeper(std::unique_ptr<State> state) : state_(std::move(state)) {}

TlsKeeper::~TlsKeeper() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->wake.notify_all();
  state_->thread.join();
  std::error_code error;
  fs::remove_all(state_->folder, error);
}

absl::Status TlsKeeper::Refresh() { return state_->Refresh(); }

std::shared_ptr<grpc::ServerCredentials> TlsKeeper::Credentials() const {
  const auto path = [&](const char* name) { return (state_->folder / "current" / name).string(); };
  const bool mutual = !state_->options.tls_client_ca.empty();
  auto provider = std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
      path("key.pem"), path("cert.pem"), mutual ? path("ca.pem") : "", kCopiesRefreshSeconds);
  grpc::experimental::TlsServerCredentialsOptions tls(std::move(provider));
  tls.watch_identity_key_cert_pairs();
  if (mutual) {
    tls.watch_root_certs();
    tls.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return grpc::experimental::TlsServerCredentials(tls);
}

}  // namespace driftseal::serve
