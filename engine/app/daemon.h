#ifndef DRIFTSEAL_ENGINE_APP_DAEMON_H_
#define DRIFTSEAL_ENGINE_APP_DAEMON_H_

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"

// What a program that runs for long owes the system: signals, descriptors, the service manager.
namespace driftseal::app {

/// Signals that the program waits for instead of being interrupted by. Made before any thread, so that all of them
/// inherit what is blocked; one a process.
class Signals {
 public:
  Signals();  ///< Blocks SIGTERM, SIGINT and SIGHUP; ignores SIGPIPE.
  /// The next of them.
  int Wait();
  /// From now on SIGTERM and SIGINT end the process at once, with 128 + their number. (Their default would do nothing
  /// to the first process of a container.)
  void EndAtOnce();
};

/// Raises the limit of open descriptors as far as the system lets. How many there may be.
size_t RaiseDescriptorLimit();

/// Tells the service manager (sd_notify(3)) where one listens, in NOTIFY_SOCKET: "READY=1", "STOPPING=1".
absl::Status NotifyManager(std::string_view state);

/// A small file that appears whole, and is gone when the object is.
class Announcement {
 public:
  /// What an earlier run left at `path` is removed at once; empty: does nothing.
  explicit Announcement(std::string path);
  ~Announcement();
  Announcement(const Announcement&) = delete;
  Announcement& operator=(const Announcement&) = delete;
  absl::Status Write(std::string_view text);

 private:
  std::string path_;
  bool written_ = false;
};

}  // namespace driftseal::app

#endif  // DRIFTSEAL_ENGINE_APP_DAEMON_H_
