#include "engine/replay/limits.h"

#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <tuple>

namespace driftseal::replay {
namespace {

// LibTorch reserves address space far beyond what it uses: below 4 GiB it does not start.
constexpr rlim_t kAddressSpace = rlim_t{8} << 30;
constexpr rlim_t kProcessorSeconds = 4 * 3600;
constexpr rlim_t kOpenFiles = 64;  // LibTorch reads a few files of /proc and /sys

absl::Status Limit(int resource, rlim_t most, const char* name) {
  rlimit limit{};
  if (getrlimit(static_cast<__rlimit_resource_t>(resource), &limit) != 0) return absl::ErrnoToStatus(errno, name);
  if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < most) most = limit.rlim_max;
  limit.rlim_cur = limit.rlim_max = most;
  if (setrlimit(static_cast<__rlimit_resource_t>(resource), &limit) != 0) return absl::ErrnoToStatus(errno, name);
  return absl::OkStatus();
}

}  // namespace

absl::Status LimitSelf() {
  // Not every kernel has close_range (5.9); what the engine opens is close-on-exec anyway.
  syscall(SYS_close_range, 3U, ~0U, 0U);
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return absl::ErrnoToStatus(errno, "PR_SET_PDEATHSIG");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return absl::ErrnoToStatus(errno, "PR_SET_NO_NEW_PRIVS");
  for (const auto& [resource, most, name] :
       {std::tuple{RLIMIT_AS, kAddressSpace, "RLIMIT_AS"}, std::tuple{RLIMIT_CPU, kProcessorSeconds, "RLIMIT_CPU"},
        std::tuple{RLIMIT_NOFILE, kOpenFiles, "RLIMIT_NOFILE"}, std::tuple{RLIMIT_FSIZE, rlim_t{0}, "RLIMIT_FSIZE"},
        std::tuple{RLIMIT_CORE, rlim_t{0}, "RLIMIT_CORE"}}) {
    if (absl::Status status = Limit(resource, most, name); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace driftseal::replay
