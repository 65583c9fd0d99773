#ifndef DRIFTSEAL_ENGINE_SERVE_METRICS_H_
#define DRIFTSEAL_ENGINE_SERVE_METRICS_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grpcpp/support/status.h"
#include "prometheus/metric_family.h"
#include "prometheus/metric_type.h"
#include "prometheus/registry.h"

// What Prometheus reads. prometheus-cpp's counters take a lock each; what is counted for every request is counted in
// atomics here and collected when somebody asks.
namespace driftseal::serve {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

/// Counts of values at most `bounds[i]` each, lock-free.
class AtomicHistogram {
 public:
  explicit AtomicHistogram(std::vector<double> bounds);  ///< Ascending.
  void Observe(double value);
  prometheus::ClientMetric Collect(const MetricLabels& labels = {}) const;

 private:
  std::vector<double> bounds_;
  std::vector<std::atomic<uint64_t>> counts_;  ///< One more than bounds: above the last.
  std::atomic<double> sum_{0};
};

/// Make families when they are collected; one without metrics is left out of the text.
prometheus::ClientMetric CounterValue(double value, const MetricLabels& labels = {});
prometheus::ClientMetric GaugeValue(double value, const MetricLabels& labels = {});

prometheus::MetricFamily Family(std::string name, std::string help, prometheus::MetricType type,
                                std::vector<prometheus::ClientMetric> metrics);

class Metrics {
 public:
  /// Called at each scrape: appends families.
  using Collector = std::function<void(std::vector<prometheus::MetricFamily>&)>;

  Metrics();
  ~Metrics();

  /// Names of the methods that CountCall counts, by Method::index. Once, before the first call.
  void SetMethods(std::vector<std::string> paths);
  /// One call that ended. Lock-free.
  void CountCall(size_t method, grpc::StatusCode code, std::chrono::nanoseconds duration, size_t rows);
  void CallBegan() { in_flight_.fetch_add(1, std::memory_order_relaxed); }

  /// For what is counted seldom (verdicts, operations): prometheus-cpp's own families. Names begin with "driftseal_".
  prometheus::Registry& registry();
  /// For what others count in atomics. `collector` is called until the Metrics are gone.
  void Add(Collector collector);
  /// In the text format, version 0.0.4.
  std::string Text() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::atomic<int64_t> in_flight_{0};
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_METRICS_H_
