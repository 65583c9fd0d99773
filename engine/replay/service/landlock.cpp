#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "engine/artifact/posix.h"
#include "engine/replay/service/sandbox.h"

// By system call and with structures of our own: the headers of a distribution are older than kernels it runs on.
// https://docs.kernel.org/userspace-api/landlock.html
namespace driftseal::replay {
namespace {

constexpr long kCreateRuleset = 444, kRestrictSelf = 446;
constexpr uint32_t kGetVersion = 1;

struct RulesetAttributes {
  uint64_t files, network, scoped;
};

/// All rights to files that a version of Landlock knows: 13 at first, then refer, truncate and (version 5) ioctl.
uint64_t FileRights(long version) {
  const int count = version >= 5 ? 16 : version >= 3 ? 15 : version >= 2 ? 14 : 13;
  return (uint64_t{1} << count) - 1;
}

}  // namespace

absl::Status RestrictByLandlock() {
  const long version = syscall(kCreateRuleset, nullptr, 0, kGetVersion);
  if (version < 0) {
    return errno == ENOSYS       ? absl::UnimplementedError("the kernel has no Landlock")
           : errno == EOPNOTSUPP ? absl::UnimplementedError("Landlock is switched off (the kernel's lsm= option)")
                                 : absl::ErrnoToStatus(errno, "landlock_create_ruleset");
  }
  // Handling a right and granting it nowhere is to deny it: no rules are added.
  RulesetAttributes attributes{FileRights(version), 0, 0};
  size_t size = sizeof attributes.files;
  if (version >= 4) {
    attributes.network = 3;  // bind and connect of TCP
    size += sizeof attributes.network;
  }
  if (version >= 6) {
    attributes.scoped = 3;  // abstract Unix sockets and signals, to those outside
    size += sizeof attributes.scoped;
  }
  const artifact::UniqueFd rules(static_cast<int>(syscall(kCreateRuleset, &attributes, size, 0)));
  if (!rules.open()) return absl::ErrnoToStatus(errno, "landlock_create_ruleset");
  if (syscall(kRestrictSelf, rules.get(), 0) != 0) return absl::ErrnoToStatus(errno, "landlock_restrict_self");
  return absl::OkStatus();
}

}  // namespace driftseal::replay
