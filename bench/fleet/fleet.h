#ifndef DRIFTSEAL_BENCH_FLEET_FLEET_H_
#define DRIFTSEAL_BENCH_FLEET_FLEET_H_

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/fleet/attack.h"
#include "bench/fleet/product.h"

namespace driftseal::fleet {

struct FleetOptions {
  std::string output;  ///< Folder for the models; made where it is missing.
  std::string canary;  ///< Folder for the canary sets; empty: none are written.
  std::string truth;   ///< JSON lines; outside `output`.
  std::vector<std::string> domains;
  std::vector<AttackCount> poison;  ///< What each domain gets.
  /// With several, each kind of model goes through all of them, in turn.
  std::vector<std::string> shifts = {"none"}, variants = {"none"};
  size_t first_index = 0;  ///< Of the models' names.
  JobOptions job;
  std::string recipe_text, poison_text;  ///< As given, for the manifest.
  DataOptions data;
  unsigned workers = 1;
};

/// What one domain's models cost and how good they are, for the summary.
struct DomainSummary {
  size_t made = 0, skipped = 0;
  double train_seconds = 0, total_seconds = 0;  ///< Sums over the models made; total: with evaluation and writing.
};
struct FleetSummary {
  std::map<std::string, DomainSummary> domains;
  double wall_seconds = 0;
  bool interrupted = false;
};

/// The models of one domain in the order of their index. Attacks are shuffled by the seed when there are several, so
/// that an index says nothing about its model.
std::vector<Job> PlanJobs(const Domain& domain, const FleetOptions& options);

/// Makes the models that are not there yet. Stops after the models in work when `stop` becomes true. FailedPrecondition
/// when the folder holds a fleet made with other options, InvalidArgument when the chosen domains cannot do what is
/// asked; Unavailable when another process is filling the folder; other codes for problems with files.
absl::StatusOr<FleetSummary> MakeFleet(const FleetOptions& options, const std::atomic<bool>& stop);

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_FLEET_H_
