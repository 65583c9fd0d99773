// driftseal-fleet: trains fleets of real models. Exit codes: 0 done, 2 usage, 3 input or I/O error, 130 interrupted.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>

#include "absl/strings/str_format.h"
#include "bench/fleet/options.h"

namespace {

std::atomic<bool> stop = false;

/// The first signal lets the models in work finish; the second ends at once, which loses only those.
void OnSignal(int) {
  if (stop.exchange(true)) _exit(130);
}

void Print(const driftseal::fleet::FleetSummary& summary) {
  absl::PrintF("%-14s %7s %8s %14s %14s\n", "domain", "made", "skipped", "train s/model", "total s/model");
  for (const auto& [name, domain] : summary.domains) {
    const double made = domain.made > 0 ? static_cast<double>(domain.made) : 1;
    absl::PrintF("%-14s %7d %8d %14.3f %14.3f\n", name, domain.made, domain.skipped, domain.train_seconds / made,
                 domain.total_seconds / made);
  }
  absl::PrintF("%.1f s\n", summary.wall_seconds);
}

int ExitCode(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsFailedPrecondition(status) ? 2 : 3;
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = driftseal::fleet::ParseOptions(argc, argv);
  if (absl::IsCancelled(options.status())) return 0;
  if (!options.ok()) {
    absl::FPrintF(stderr, "driftseal-fleet: %s\n", options.status().message());
    return 2;
  }
  struct sigaction action {};
  action.sa_handler = OnSignal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  const auto summary = driftseal::fleet::MakeFleet(*options, stop);
  if (!summary.ok()) {
    absl::FPrintF(stderr, "driftseal-fleet: %s\n", summary.status().message());
    return ExitCode(summary.status());
  }
  Print(*summary);
  absl::PrintF("What was done to which model: %s\n", options->truth);
  if (!summary->interrupted) return 0;
  absl::FPrintF(stderr, "driftseal-fleet: interrupted; run the same command again to continue\n");
  return 130;
}
