#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/artifact/text.h"
#include "engine/serve/engine.h"
#include "engine/serve/metrics.h"
#include "engine/serve/monitor.h"
#include "engine/serve/operations.h"
#include "engine/serve/verify_pool.h"
#include "engine/store/verdict_store.h"

namespace driftseal::serve {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

absl::Status InState(const absl::Status& status) {
  return absl::Status(status.code(), artifact::Cat("state_dir: ", status.message()));
}

void Collect(const VerifyPool& pool, const store::VerdictStore& verdicts, std::vector<MetricFamily>& families) {
  const VerifyPool::Load load = pool.load();
  const auto number = [](auto value) { return static_cast<double>(value); };
  families.push_back(Family("driftseal_verify_jobs_total",
                            "Jobs that came to the pool that reads artifacts, by what became of them.",
                            MetricType::Counter,
                            {CounterValue(number(load.done), {{"outcome", "done"}}),
                             CounterValue(number(load.refused), {{"outcome", "refused"}}),
                             CounterValue(number(load.cancelled), {{"outcome", "cancelled"}}),
                             CounterValue(number(load.expired), {{"outcome", "expired"}})}));
  families.push_back(Family("driftseal_verify_queue_jobs", "Jobs that wait for a thread of that pool.",
                            MetricType::Gauge, {GaugeValue(number(load.waiting))}));
  families.push_back(Family("driftseal_verify_running_jobs", "Jobs that a thread of that pool works on.",
                            MetricType::Gauge, {GaugeValue(number(load.running))}));
  const store::VerdictStore::Counts counts = verdicts.counts();
  families.push_back(Family("driftseal_verdicts_stored_total", "Verdicts stored by run and id.", MetricType::Counter,
                            {CounterValue(number(counts.stored))}));
  families.push_back(Family("driftseal_verdicts_found_total", "Verdicts that were there when they were asked for.",
                            MetricType::Counter, {CounterValue(number(counts.found))}));
}

}  // namespace

absl::Status OpenVerifying(Engine& engine) {
  const std::string& state = engine.options.state_dir;
  auto verdicts = store::VerdictStore::Open(artifact::Cat(state, "/verdicts.sqlite"));
  if (!verdicts.ok()) return InState(verdicts.status());
  auto monitor = Monitor::Open(artifact::Cat(state, "/monitor.json"), engine.options.alpha, &engine.log);
  if (!monitor.ok()) return InState(monitor.status());
  engine.verdicts = *std::move(verdicts);
  engine.monitor = *std::move(monitor);
  engine.operations = std::make_shared<Operations>();
  engine.verify_pool = std::make_shared<VerifyPool>(engine.options.verify_threads, engine.options.verify_queue);
  engine.metrics->Add([pool = engine.verify_pool, stored = engine.verdicts](std::vector<MetricFamily>& families) {
    Collect(*pool, *stored, families);
  });
  return absl::OkStatus();
}

}  // namespace driftseal::serve
