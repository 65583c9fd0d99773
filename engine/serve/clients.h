#ifndef DRIFTSEAL_ENGINE_SERVE_CLIENTS_H_
#define DRIFTSEAL_ENGINE_SERVE_CLIENTS_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "prometheus/metric_family.h"

namespace driftseal::serve {

/// So many requests at once, refilled at so many a second; 0 a second: no limit.
struct RateLimit {
  double per_second = 0, burst = 1;
};

/// Who is counted and limited as one.
struct Client {
  Client(std::string whose_share, std::string whose_name, double burst)
      : key(std::move(whose_share)), label(std::move(whose_name)), tokens(burst) {}

  using Clock = std::chrono::steady_clock;
  /// Takes one request: zero, or how long to wait where there is none left.
  std::chrono::nanoseconds Take(const RateLimit& limit, Clock::time_point now);

  const std::string key, label;
  std::atomic<uint64_t> requests{0}, rows{0}, refused{0};
  std::atomic<size_t> open{0};  ///< Calls.
  std::atomic<Clock::rep> last_seen{0};

 private:
  std::mutex mutex_;
  double tokens;
  Clock::time_point refilled_{};
};

/// Those that were seen lately. At most `capacity` are remembered, so that a caller with many addresses costs no
/// memory: who has not been seen for longest is forgotten first. Safe to share between threads.
class Clients {
 public:
  Clients(RateLimit limit, size_t capacity) : limit_(limit), capacity_(capacity) {}

  /// By a name that a token or certificate gave it.
  std::shared_ptr<Client> Named(std::string_view name);
  /// By its address without the port.
  std::shared_ptr<Client> At(std::string_view address);
  const RateLimit& limit() const { return limit_; }
  /// driftseal_client_...: by name; those without one together.
  void Collect(std::vector<prometheus::MetricFamily>& families) const;
  size_t size() const;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  using Table = std::unordered_map<std::string, std::shared_ptr<Client>, Hash, std::equal_to<>>;
  struct Totals {
    uint64_t requests = 0, rows = 0, refused = 0;
    void Add(const Client& client);
  };

  std::shared_ptr<Client> FindOrAdd(Table& table, std::string_view key, std::string_view label);
  void Forget(Table& table, Client::Clock::time_point now);

  const RateLimit limit_;
  const size_t capacity_;
  mutable std::mutex mutex_;
  Table named_, addresses_;
  Totals forgotten_named_, forgotten_addresses_;
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_CLIENTS_H_
