#ifndef DRIFTSEAL_BENCH_FLEET_MANIFEST_H_
#define DRIFTSEAL_BENCH_FLEET_MANIFEST_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/fleet/fleet.h"

namespace driftseal::fleet {

/// The options with which a range of a domain's models was made. What was poisoned stays out of the models' folder: of
/// the options that would tell only a digest is kept.
struct FleetRun {
  std::string domain;
  size_t first_index = 0, count = 0;
  uint64_t seed = 0;
  std::string recipe = {}, format = {}, data = {};
  std::string poison_sha256 = {};
  bool extensible = false;  ///< One kind of model only, so that more of them change nothing of those there.
};
FleetRun RunOf(const Domain& domain, const FleetOptions& options);

/// `.fleet.json` in a fleet's folder: with which options its models were made, so that a fleet is never continued with
/// others. Holds a lock on the folder while it lives.
class Manifest {
 public:
  /// Makes the folder where it is missing. Unavailable when another process holds the lock; InvalidArgument for a
  /// manifest that is none.
  static absl::StatusOr<Manifest> Open(const std::string& directory);
  Manifest(Manifest&& other) noexcept;
  Manifest& operator=(Manifest&&) = delete;
  ~Manifest();

  /// Adds a run, or continues or lengthens the one that is there. FailedPrecondition naming the option that differs.
  absl::Status Admit(const FleetRun& run);
  absl::Status Save() const;

 private:
  Manifest(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  int fd_;
  std::string path_;
  std::vector<FleetRun> runs_;
};

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_MANIFEST_H_
