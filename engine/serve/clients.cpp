#include "engine/serve/clients.h"

#include <algorithm>

#include "engine/serve/metrics.h"

namespace driftseal::serve {
namespace {

constexpr char kAnonymous[] = "anonymous";

}  // namespace

std::chrono::nanoseconds Client::Take(const RateLimit& limit, Clock::time_point now) {
  last_seen.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  if (limit.per_second <= 0) return std::chrono::nanoseconds(0);
  const std::lock_guard lock(mutex_);
  if (refilled_ != Clock::time_point()) {
    const double passed = std::max(std::chrono::duration<double>(now - refilled_).count(), 0.0);
    tokens = std::min(limit.burst, tokens + passed * limit.per_second);
  }
  refilled_ = std::max(refilled_, now);
  if (tokens >= 1) {
    tokens -= 1;
    return std::chrono::nanoseconds(0);
  }
  const std::chrono::duration<double> wait((1 - tokens) / limit.per_second);
  return std::max(std::chrono::duration_cast<std::chrono::nanoseconds>(wait), std::chrono::nanoseconds(1));
}

void Clients::Totals::Add(const Client& client) {
  requests += client.requests.load(std::memory_order_relaxed);
  rows += client.rows.load(std::memory_order_relaxed);
  refused += client.refused.load(std::memory_order_relaxed);
}

std::shared_ptr<Client> Clients::Named(std::string_view name) { return FindOrAdd(named_, name, name); }

std::shared_ptr<Client> Clients::At(std::string_view address) { return FindOrAdd(addresses_, address, kAnonymous); }

std::shared_ptr<Client> Clients::FindOrAdd(Table& table, std::string_view key, std::string_view label) {
  const std::lock_guard lock(mutex_);
  if (const auto found = table.find(key); found != table.end()) return found->second;
  if (table.size() >= capacity_) Forget(table, Client::Clock::now());
  auto client = std::make_shared<Client>(std::string(key), std::string(label), limit_.burst);
  client->last_seen = Client::Clock::now().time_since_epoch().count();
  return table.emplace(std::string(key), std::move(client)).first->second;
}

// The older half of those that have no call open. Forgetting half at once keeps the cost of each newcomer constant.
void Clients::Forget(Table& table, Client::Clock::time_point now) {
  std::vector<Client::Clock::rep> seen;
  for (const auto& [key, client] : table) {
    if (client.use_count() == 1) seen.push_back(client->last_seen.load(std::memory_order_relaxed));
  }
  if (seen.empty()) return;
  const auto middle = seen.begin() + static_cast<std::ptrdiff_t>(seen.size() / 2);
  std::nth_element(seen.begin(), middle, seen.end());
  const auto last = std::min(*middle, now.time_since_epoch().count());
  std::erase_if(table, [&](const auto& entry) {
    const Client& client = *entry.second;
    if (entry.second.use_count() > 1 || client.last_seen.load(std::memory_order_relaxed) > last) return false;
    (&table == &named_ ? forgotten_named_ : forgotten_addresses_).Add(client);
    return true;
  });
}

void Clients::Collect(std::vector<prometheus::MetricFamily>& families) const {
  std::vector<prometheus::ClientMetric> requests, rows, refused;
  const auto tell = [&](const std::string& name, const Totals& totals) {
    const MetricLabels labels = {{"client", name}};
    requests.push_back(CounterValue(static_cast<double>(totals.requests), labels));
    rows.push_back(CounterValue(static_cast<double>(totals.rows), labels));
    refused.push_back(CounterValue(static_cast<double>(totals.refused), labels));
  };
  {
    const std::lock_guard lock(mutex_);
    Totals anonymous = forgotten_addresses_;
    for (const auto& [key, client] : addresses_) anonymous.Add(*client);
    if (anonymous.requests > 0) tell(kAnonymous, anonymous);
    for (const auto& [key, client] : named_) {
      Totals totals;
      totals.Add(*client);
      tell(key, totals);
    }
    // Never a client's name: it has characters that those cannot have.
    if (forgotten_named_.requests > 0) tell("(others)", forgotten_named_);
  }
  using prometheus::MetricType;
  families.push_back(Family("driftseal_client_requests_total", "Calls that were admitted, by client.",
                            MetricType::Counter, std::move(requests)));
  families.push_back(Family("driftseal_client_rows_total", "Rows and fingerprints that were scored, by client.",
                            MetricType::Counter, std::move(rows)));
  families.push_back(Family("driftseal_client_rate_limited_total",
                            "Calls refused and stream messages held back by the client's rate limit.",
                            MetricType::Counter, std::move(refused)));
}

size_t Clients::size() const {
  const std::lock_guard lock(mutex_);
  return named_.size() + addresses_.size();
}

}  // namespace driftseal::serve
