#include "engine/serve/engine_metrics.h"

#include <string>
#include <utility>
#include <vector>

#include "engine/serve/metrics.h"

namespace driftseal::serve {
namespace {

using prometheus::MetricType;
using Families = std::vector<prometheus::MetricFamily>;

void Counter(Families& families, const char* name, const char* help, double value) {
  families.push_back(Family(name, help, MetricType::Counter, {CounterValue(value)}));
}

void Gauge(Families& families, const char* name, const char* help, double value) {
  families.push_back(Family(name, help, MetricType::Gauge, {GaugeValue(value)}));
}

void CollectBatcher(const Engine& engine, Families& families) {
  const batch::Counts counts = engine.batcher->counts();
  std::vector<prometheus::ClientMetric> jobs;
  for (const auto& [outcome, count] : {std::pair<const char*, uint64_t>{"accepted", counts.accepted_jobs},
                                       {"refused", counts.refused_jobs},
                                       {"cancelled", counts.cancelled_jobs},
                                       {"expired", counts.expired_jobs}}) {
    jobs.push_back(CounterValue(static_cast<double>(count), {{"outcome", outcome}}));
  }
  families.push_back(Family("driftseal_queue_jobs_total",
                            "Requests that came to the queue, by what became of them; cancelled and expired ones were "
                            "accepted first.",
                            MetricType::Counter, std::move(jobs)));
  Counter(families, "driftseal_queue_rows_total", "Rows that the queue accepted.",
          static_cast<double>(counts.accepted_rows));
  Counter(families, "driftseal_queue_wait_seconds_total", "Waiting in the queue, summed over rows.",
          counts.queue_seconds);
  Counter(families, "driftseal_batches_total", "Batches that were scored.", static_cast<double>(counts.batches));
  Counter(families, "driftseal_batch_rows_total", "Rows in them.", static_cast<double>(counts.batch_rows));
  Counter(families, "driftseal_batch_compute_seconds_total", "Time to score them.", counts.compute_seconds);
  const batch::Load load = engine.batcher->load();
  Gauge(families, "driftseal_pending_rows", "Rows that wait to be scored.", static_cast<double>(counts.queued_rows));
  Gauge(families, "driftseal_pending_jobs", "Requests that wait to be scored.",
        static_cast<double>(counts.queued_jobs));
  Gauge(families, "driftseal_queue_limit_rows", "Rows that may wait, at the rate of late.",
        static_cast<double>(load.limit));
}

void CollectDetectors(const Engine& engine, Families& families) {
  std::vector<prometheus::ClientMetric> detectors;
  for (const detector::RegisteredDetector& one : engine.detectors->List()) {
    if (!one.active) continue;
    detectors.push_back(GaugeValue(
        1, {{"name", one.name}, {"version", std::to_string(one.version)}, {"sha256", one.sha256.substr(0, 16)}}));
  }
  families.push_back(
      Family("driftseal_detector_active_info", "The active versions.", MetricType::Gauge, std::move(detectors)));
}

}  // namespace

void AddEngineMetrics(Engine& engine) {
  const std::string backend = detector::Describe(*engine.backend);
  engine.metrics->Add([&engine, backend](Families& families) {
    families.push_back(Family("driftseal_build_info", "What runs.", MetricType::Gauge,
                              {GaugeValue(1, {{"version", DRIFTSEAL_VERSION}, {"backend", backend}})}));
    CollectBatcher(engine, families);
    CollectDetectors(engine, families);
    engine.gate->Collect(families);
    Gauge(families, "driftseal_draining", "1 while the engine shuts down.", engine.gate->draining() ? 1 : 0);
    Counter(families, "driftseal_log_lines_dropped_total", "Lines of the log that nobody read in time.",
            static_cast<double>(engine.log.dropped()));
  });
}

}  // namespace driftseal::serve
