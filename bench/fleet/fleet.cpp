#include "bench/fleet/fleet.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <mutex>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "bench/fleet/canary.h"
#include "bench/fleet/manifest.h"
#include "bench/fleet/progress.h"
#include "bench/fleet/shift.h"
#include "bench/fleet/torch_network.h"
#include "bench/fleet/truth.h"

namespace driftseal::fleet {
namespace {

using Clock = std::chrono::steady_clock;

double Seconds(Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); }

/// What the worker threads share.
struct Work {
  const FleetOptions& options;
  const std::vector<Job>& jobs;
  const std::atomic<bool>& stop;
  TruthFile& truth;
  Progress& progress;
  std::atomic<size_t> next = 0;
  std::atomic<bool> failed = false;
  std::mutex mutex = {};
  absl::Status status = {};  // guarded by mutex, as is the summary
  FleetSummary summary = {};
};

absl::Status MakeOne(const Job& job, Work& work) {
  const auto start = Clock::now();
  const auto product = MakeProduct(job, work.options.job);
  if (!product.ok()) return product.status();
  // The truth first: a model whose meta file is there has its record. A record without a meta file is written again.
  absl::Status status = work.truth.Append(product->name, product->truth);
  if (status.ok()) status = WriteProduct(*product, work.options.output);
  if (!status.ok()) return status;
  const std::lock_guard lock(work.mutex);
  DomainSummary& summary = work.summary.domains[job.domain->info().name];
  summary.made += 1;
  summary.train_seconds += product->train_seconds;
  summary.total_seconds += Seconds(start);
  return absl::OkStatus();
}

void RunWorker(Work& work) {
  UseOneTorchThread();
  while (!work.stop && !work.failed) {
    const size_t i = work.next++;
    if (i >= work.jobs.size()) return;
    absl::Status status;
    try {
      status = MakeOne(work.jobs[i], work);
    } catch (const std::exception& error) {  // LibTorch throws
      status = absl::InternalError(error.what());
    }
    if (!status.ok()) {
      const std::lock_guard lock(work.mutex);
      if (!work.failed.exchange(true)) {
        work.status = absl::Status(status.code(), absl::StrCat(ModelName(work.jobs[i]), ": ", status.message()));
      }
      return;
    }
    work.progress.Done(work.jobs[i].domain->info().name);
  }
}

/// Problems with files keep their message but must not look like bad usage, which InvalidArgument and
/// FailedPrecondition stand for in what MakeFleet gives.
absl::Status AsFileProblem(const absl::Status& status) {
  if (!absl::IsInvalidArgument(status) && !absl::IsFailedPrecondition(status)) return status;
  return absl::DataLossError(status.message());
}

/// What the command line could not know: whether the chosen domains can do what is asked of them.
absl::Status CheckAgainst(const std::vector<std::unique_ptr<Domain>>& domains, const FleetOptions& options) {
  for (const std::string& format : options.job.formats) {
    const auto has = [&](const auto& domain) { return std::ranges::count(domain->info().formats, format) > 0; };
    if (std::ranges::none_of(domains, has)) {
      return absl::InvalidArgumentError(absl::StrCat("--format: none of the chosen domains can be saved as \"", format,
                                                     "\"; known are torchscript, safetensors, json, ubj"));
    }
  }
  for (const auto& domain : domains) {
    const absl::Status status = CheckRecipe(options.job.recipe, domain->info().knobs, domain->info().name);
    if (!status.ok()) return status;
    for (const AttackCount& entry : options.poison) {
      const absl::Status possible = entry.count > 0 ? CheckAttack(entry.attack, *domain) : absl::OkStatus();
      if (!possible.ok()) return possible;
    }
    for (const std::string& shift : options.shifts) {
      const absl::Status possible = CheckShift(shift, *domain);
      if (!possible.ok()) return possible;
    }
    for (const std::string& variant : options.variants) {
      const absl::Status possible = CheckVariant(variant, *domain);
      if (!possible.ok()) return possible;
    }
    if (options.job.attack.target_class.value_or(0) >= domain->data().classes) {
      return absl::InvalidArgumentError(
          absl::StrCat("--target-class: domain ", domain->info().name, " has classes 0..", domain->data().classes - 1));
    }
  }
  return absl::OkStatus();
}

/// Leaves the jobs whose meta file is missing.
std::vector<Job> Missing(const std::vector<Job>& jobs, const FleetOptions& options, FleetSummary& summary) {
  std::vector<Job> missing;
  for (const Job& job : jobs) {
    const auto meta = std::filesystem::path(options.output) / (ModelName(job) + ".meta.json");
    std::error_code error;
    if (std::filesystem::exists(meta, error)) {
      summary.domains[job.domain->info().name].skipped += 1;
    } else {
      missing.push_back(job);
    }
  }
  return missing;
}

}  // namespace

std::vector<Job> PlanJobs(const Domain& domain, const FleetOptions& options) {
  std::vector<Job> jobs;
  for (const AttackCount& entry : options.poison) {
    const size_t shifts = options.shifts.size(), variants = options.variants.size();
    for (size_t i = 0; i < entry.count; ++i) {
      jobs.push_back({&domain, 0, entry.attack, i / (shifts * variants), options.shifts[i % shifts],
                      options.variants[i / shifts % variants]});
    }
  }
  if (options.poison.size() > 1 || options.shifts.size() > 1 || options.variants.size() > 1) {
    Random random(SeedOf(options.job.seed, {"order", domain.info().name}));
    random.Shuffle(jobs);
  }
  for (size_t i = 0; i < jobs.size(); ++i) jobs[i].index = options.first_index + i;
  return jobs;
}

absl::StatusOr<FleetSummary> MakeFleet(const FleetOptions& options, const std::atomic<bool>& stop) {
  const auto start = Clock::now();
  UseOneTorchThread();
  std::vector<std::unique_ptr<Domain>> domains;
  for (const std::string& name : options.domains) {
    auto domain = MakeDomain(name, options.data);
    if (!domain.ok()) return AsFileProblem(domain.status());
    domains.push_back(std::move(*domain));
  }
  absl::Status status = CheckAgainst(domains, options);
  if (!status.ok()) return status;
  auto manifest = Manifest::Open(options.output);
  if (!manifest.ok()) return AsFileProblem(manifest.status());
  std::vector<Job> jobs;
  for (const auto& domain : domains) {
    status = manifest->Admit(RunOf(*domain, options));
    if (!status.ok()) return status;
    std::ranges::copy(PlanJobs(*domain, options), std::back_inserter(jobs));
  }
  status = manifest->Save();
  if (!status.ok()) return AsFileProblem(status);
  for (const auto& domain : domains) {
    if (options.canary.empty()) break;
    status = WriteCanaries(*domain, options.canary);
    if (!status.ok()) return AsFileProblem(status);
  }
  auto truth = TruthFile::Open(options.truth, options.output);
  if (!truth.ok()) return AsFileProblem(truth.status());

  FleetSummary summary;
  jobs = Missing(jobs, options, summary);
  Progress progress(jobs.size());
  for (const auto& domain : domains) progress.Say(absl::StrCat(domain->info().name, ": ", domain->data().source));
  Work work{.options = options, .jobs = jobs, .stop = stop, .truth = *truth, .progress = progress};
  work.summary = std::move(summary);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(1u, options.workers); ++i) threads.emplace_back([&work] { RunWorker(work); });
  for (std::thread& thread : threads) thread.join();
  progress.Finish();
  if (!work.status.ok()) return AsFileProblem(work.status);
  status = truth->Complete();
  if (!status.ok()) return AsFileProblem(status);
  work.summary.interrupted = stop && work.next < jobs.size();
  work.summary.wall_seconds = Seconds(start);
  return std::move(work.summary);
}

}  // namespace driftseal::fleet
