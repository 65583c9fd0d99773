#ifndef DRIFTSEAL_ENGINE_REPLAY_SERVICE_SANDBOX_H_
#define DRIFTSEAL_ENGINE_REPLAY_SERVICE_SANDBOX_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "engine/replay/protocol/message.h"

// What keeps a model that has taken over its process away from everything else. Each measure stands alone, and is told
// apart: what a kernel or a container does not allow is named, and the engine decides (docs/formats/replay.md).
namespace driftseal::replay {

class Sandbox {
 public:
  /// Measures named in `without` are left out and reported as lacking: tests of what happens then.
  explicit Sandbox(std::vector<std::string> without = {}) : without_(std::move(without)) {}

  /// First, in a process of one thread: gives up root, and leaves the user, network, ipc and pid namespaces. The next
  /// fork is the first process of the new pid namespace.
  void EnterNamespaces();
  /// Then, in that process, once all files are open and all libraries have started: capabilities, resource limits,
  /// no_new_privs, Landlock, and a seccomp filter that still lets it fork and end workers.
  void Close();
  /// At last, in a forked worker: its own limits, and a filter without fork. Once this has been called the process can
  /// compute, and talk over the descriptors it has.
  absl::Status CloseWorker(uint64_t address_space, uint32_t processor_seconds) const;

  /// "user-namespace", "network-namespace", "ipc-namespace", "pid-namespace", "capabilities", "rlimits",
  /// "no-new-privs", "landlock", "seccomp", in the order they were tried.
  const std::vector<Measure>& measures() const { return measures_; }

 private:
  bool Wanted(std::string_view name) const;
  /// Tries one and keeps what came of it.
  void Try(std::string_view name, const std::function<absl::Status()>& measure);
  bool Active(std::string_view name) const;
  std::vector<std::string> without_;
  std::vector<Measure> measures_;
};

/// Denies all access to files by path, TCP, abstract sockets and signals to others, as far as the kernel's Landlock
/// goes. Unimplemented where there is none.
absl::Status RestrictByLandlock();

/// Installs a filter that lets through what a computing process needs and answers everything else with EPERM.
/// `may_fork`: also what the service itself needs to start, limit and end workers.
absl::Status FilterSystemCalls(bool may_fork);

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_ENGINE_REPLAY_SERVICE_SANDBOX_H_
