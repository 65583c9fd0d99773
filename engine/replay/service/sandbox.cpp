#include "engine/replay/service/sandbox.h"

#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "engine/artifact/text.h"

namespace driftseal::replay {
namespace {

using artifact::Cat;

constexpr uid_t kNobody = 65534;
constexpr rlim_t kServiceFiles = 1024, kWorkerFiles = 16;

absl::Status Limit(int resource, rlim_t most, const char* name) {
  rlimit limit{};
  const auto which = static_cast<__rlimit_resource_t>(resource);
  if (getrlimit(which, &limit) != 0) return absl::ErrnoToStatus(errno, name);
  if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < most) most = limit.rlim_max;
  limit.rlim_cur = limit.rlim_max = most;
  if (setrlimit(which, &limit) != 0) return absl::ErrnoToStatus(errno, name);
  return absl::OkStatus();
}

absl::Status LimitService() {
  for (const auto& [resource, most, name] :
       {std::tuple{RLIMIT_FSIZE, rlim_t{0}, "RLIMIT_FSIZE"}, std::tuple{RLIMIT_CORE, rlim_t{0}, "RLIMIT_CORE"},
        std::tuple{RLIMIT_MEMLOCK, rlim_t{0}, "RLIMIT_MEMLOCK"},
        std::tuple{RLIMIT_MSGQUEUE, rlim_t{0}, "RLIMIT_MSGQUEUE"},
        std::tuple{RLIMIT_NOFILE, kServiceFiles, "RLIMIT_NOFILE"}}) {
    if (absl::Status status = Limit(resource, most, name); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Unshare(int flag) {
  if (unshare(flag) == 0) return absl::OkStatus();
  if (errno == EPERM)
    return absl::PermissionDeniedError("unshare: not permitted (a container, or the system's policy)");
  if (errno == ENOSPC) return absl::ResourceExhaustedError("unshare: user.max_*_namespaces is reached");
  return absl::ErrnoToStatus(errno, "unshare");
}

absl::Status DropCapabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> none{};
  if (syscall(SYS_capset, &header, none.data()) != 0) return absl::ErrnoToStatus(errno, "capset");
  return absl::OkStatus();
}

/// Best effort: where it fails, the capabilities are dropped all the same.
void BecomeNobody() {
  if (geteuid() != 0) return;
  if (setgroups(0, nullptr) != 0 || setresgid(kNobody, kNobody, kNobody) != 0) return;
  if (setresuid(kNobody, kNobody, kNobody) != 0) return;
}

}  // namespace

bool Sandbox::Wanted(std::string_view name) const {
  return std::find(without_.begin(), without_.end(), name) == without_.end();
}

bool Sandbox::Active(std::string_view name) const {
  return std::any_of(measures_.begin(), measures_.end(), [&](const Measure& m) { return m.name == name && m.active; });
}

void Sandbox::Try(std::string_view name, const std::function<absl::Status()>& measure) {
  const absl::Status status = Wanted(name) ? measure() : absl::UnimplementedError("left out");
  const auto known = std::find_if(measures_.begin(), measures_.end(), [&](const Measure& m) { return m.name == name; });
  Measure& entry = known != measures_.end() ? *known : measures_.emplace_back();
  entry = {std::string(name), status.ok(), std::string(status.message())};
}

void Sandbox::EnterNamespaces() {
  const std::array<std::pair<const char*, int>, 3> others = {std::pair{"network-namespace", CLONE_NEWNET},
                                                             std::pair{"ipc-namespace", CLONE_NEWIPC},
                                                             std::pair{"pid-namespace", CLONE_NEWPID}};
  // As root the others need no user namespace, which a system may forbid; as anybody else they come after one.
  const bool root = geteuid() == 0;
  if (root) {
    for (const auto& [name, flag] : others) Try(name, [flag = flag] { return Unshare(flag); });
    BecomeNobody();
  }
  Try("user-namespace", [] { return Unshare(CLONE_NEWUSER); });
  for (const auto& [name, flag] : others) {
    if (!Active(name)) Try(name, [flag = flag] { return Unshare(flag); });
  }
}

void Sandbox::Close() {
  Try("capabilities", DropCapabilities);
  Try("rlimits", LimitService);
  Try("no-new-privs", [] {
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? absl::OkStatus()
                                                       : absl::ErrnoToStatus(errno, "PR_SET_NO_NEW_PRIVS");
  });
  Try("landlock", RestrictByLandlock);
  Try("seccomp", [] { return FilterSystemCalls(true); });
}

absl::Status Sandbox::CloseWorker(uint64_t address_space, uint32_t processor_seconds) const {
  if (Active("rlimits")) {
    for (const auto& [resource, most, name] :
         {std::tuple{RLIMIT_AS, static_cast<rlim_t>(address_space), "RLIMIT_AS"},
          std::tuple{RLIMIT_CPU, processor_seconds == 0 ? RLIM_INFINITY : rlim_t{processor_seconds}, "RLIMIT_CPU"},
          std::tuple{RLIMIT_NOFILE, kWorkerFiles, "RLIMIT_NOFILE"},
          std::tuple{RLIMIT_NPROC, rlim_t{0}, "RLIMIT_NPROC"}}) {
      if (absl::Status status = Limit(resource, most, name); !status.ok()) return status;
    }
  }
  return Active("seccomp") ? FilterSystemCalls(false) : absl::OkStatus();
}

}  // namespace driftseal::replay
