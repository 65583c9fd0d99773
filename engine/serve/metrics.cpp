#include "engine/serve/metrics.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <deque>
#include <mutex>

#include "engine/serve/process_metrics.h"
#include "engine/serve/status.h"
#include "prometheus/text_serializer.h"

namespace driftseal::serve {
namespace {

constexpr size_t kCodes = 17;

void SetLabels(const MetricLabels& labels, prometheus::ClientMetric& metric) {
  for (const auto& [name, value] : labels) metric.label.push_back({name, value});
}

// Seconds: from a lone row on a warm path to a verification that reads a large model.
std::vector<double> SecondsBounds() {
  return {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60};
}

struct MethodCounts {
  explicit MethodCounts(std::string name) : path(std::move(name)), seconds(SecondsBounds()) {}
  const std::string path;
  std::array<std::atomic<uint64_t>, kCodes> by_code{};
  std::atomic<uint64_t> rows{0};
  AtomicHistogram seconds;
};

}  // namespace

AtomicHistogram::AtomicHistogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}

void AtomicHistogram::Observe(double value) {
  const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  counts_[static_cast<size_t>(bound - bounds_.begin())].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

prometheus::ClientMetric AtomicHistogram::Collect(const MetricLabels& labels) const {
  prometheus::ClientMetric metric;
  SetLabels(labels, metric);
  uint64_t below = 0;
  for (size_t i = 0; i < bounds_.size(); ++i) {
    below += counts_[i].load(std::memory_order_relaxed);
    metric.histogram.bucket.push_back({below, bounds_[i]});
  }
  metric.histogram.sample_count = below + counts_.back().load(std::memory_order_relaxed);
  metric.histogram.sample_sum = sum_.load(std::memory_order_relaxed);
  return metric;
}

prometheus::ClientMetric CounterValue(double value, const MetricLabels& labels) {
  prometheus::ClientMetric metric;
  SetLabels(labels, metric);
  metric.counter.value = value;
  return metric;
}

prometheus::ClientMetric GaugeValue(double value, const MetricLabels& labels) {
  prometheus::ClientMetric metric;
  SetLabels(labels, metric);
  metric.gauge.value = value;
  return metric;
}

prometheus::MetricFamily Family(std::string name, std::string help, prometheus::MetricType type,
                                std::vector<prometheus::ClientMetric> metrics) {
  return {std::move(name), std::move(help), type, std::move(metrics)};
}

struct Metrics::State {
  std::deque<MethodCounts> methods;  // Neither copied nor moved.
  prometheus::Registry registry;
  mutable std::mutex mutex;  // Of collectors.
  std::vector<Collector> collectors;

  void CollectCalls(std::vector<prometheus::MetricFamily>& families) const {
    std::vector<prometheus::ClientMetric> calls, rows, seconds;
    for (const MethodCounts& method : methods) {
      uint64_t all = 0;
      for (size_t code = 0; code < kCodes; ++code) {
        const uint64_t count = method.by_code[code].load(std::memory_order_relaxed);
        all += count;
        if (count == 0) continue;
        const std::string name = CodeName(static_cast<grpc::StatusCode>(code));
        calls.push_back(CounterValue(static_cast<double>(count), {{"method", method.path}, {"code", name}}));
      }
      if (all == 0) continue;
      const auto scored = static_cast<double>(method.rows.load(std::memory_order_relaxed));
      if (scored > 0) rows.push_back(CounterValue(scored, {{"method", method.path}}));
      seconds.push_back(method.seconds.Collect({{"method", method.path}}));
    }
    using prometheus::MetricType;
    families.push_back(Family("driftseal_requests_total", "Calls that ended, by method and status code.",
                              MetricType::Counter, std::move(calls)));
    families.push_back(Family("driftseal_request_seconds", "From a call's first byte to its end, streams as a whole.",
                              MetricType::Histogram, std::move(seconds)));
    families.push_back(Family("driftseal_rows_total", "Rows and fingerprints that were scored, by method.",
                              MetricType::Counter, std::move(rows)));
  }
};

Metrics::Metrics() : state_(std::make_unique<State>()) {}
Metrics::~Metrics() = default;

void Metrics::SetMethods(std::vector<std::string> paths) {
  assert(state_->methods.empty());
  for (std::string& path : paths) state_->methods.emplace_back(std::move(path));
}

void Metrics::CountCall(size_t method, grpc::StatusCode code, std::chrono::nanoseconds duration, size_t rows) {
  in_flight_.fetch_sub(1, std::memory_order_relaxed);
  MethodCounts& counts = state_->methods[method];
  const size_t slot = std::min(static_cast<size_t>(code), kCodes - 1);
  counts.by_code[slot].fetch_add(1, std::memory_order_relaxed);
  if (rows > 0) counts.rows.fetch_add(rows, std::memory_order_relaxed);
  counts.seconds.Observe(std::chrono::duration<double>(duration).count());
}

prometheus::Registry& Metrics::registry() { return state_->registry; }

void Metrics::Add(Collector collector) {
  const std::lock_guard lock(state_->mutex);
  state_->collectors.push_back(std::move(collector));
}

std::string Metrics::Text() const {
  std::vector<prometheus::MetricFamily> families;
  state_->CollectCalls(families);
  families.push_back(Family("driftseal_requests_in_flight", "Calls that have begun and not ended.",
                            prometheus::MetricType::Gauge,
                            {GaugeValue(static_cast<double>(in_flight_.load(std::memory_order_relaxed)))}));
  {
    const std::lock_guard lock(state_->mutex);
    for (const Collector& collector : state_->collectors) collector(families);
  }
  for (prometheus::MetricFamily& family : state_->registry.Collect()) families.push_back(std::move(family));
  CollectProcess(families);
  std::erase_if(families, [](const prometheus::MetricFamily& family) { return family.metric.empty(); });
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace driftseal::serve
