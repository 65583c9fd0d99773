#ifndef DRIFTSEAL_ENGINE_SERVE_OPERATIONS_H_
#define DRIFTSEAL_ENGINE_SERVE_OPERATIONS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "driftseal/v1/detectors.pb.h"

namespace driftseal::serve {

/// What takes long: one runs at a time, a bounded number waits. They do not survive a restart; the last kKept that
/// ended can still be asked for. Safe to share between threads.
class Operations {
 public:
  static constexpr size_t kQueue = 16, kKept = 64;

  /// What a running operation tells.
  class Report {
   public:
    virtual ~Report() = default;
    /// A stage begins, of `total` steps (0: not known).
    virtual void Stage(const std::string& stage, uint64_t total) = 0;
    virtual void Done(uint64_t steps) = 0;  ///< Steps of the stage done so far.
  };
  /// Fills in what came of it (detector, report, left_out). Cancelled once `stop` asked, with nothing left behind.
  using Work = std::function<absl::Status(Report& report, std::stop_token stop, v1::Operation& result)>;

  Operations();
  ~Operations();  ///< Stops what runs, and waits for it.

  /// ResourceExhausted (details: Overload) where too many wait.
  absl::StatusOr<v1::Operation> Start(Work work);
  /// NotFound, saying that a restart or time forgets them.
  absl::StatusOr<v1::Operation> Get(const std::string& name) const;
  absl::StatusOr<v1::Operation> Cancel(const std::string& name);

  /// Calls `changed` (must not block, nor call Operations) after each change of an operation, on the thread that made
  /// it, until Unwatch, which waits for one that is running.
  using Watch = uint64_t;
  Watch WatchChanges(const std::string& name, std::function<void(const v1::Operation&)> changed);
  void Unwatch(Watch watch);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Queued or running.
bool IsGoing(const v1::Operation& operation);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_OPERATIONS_H_
