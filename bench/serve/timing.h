#ifndef DRIFTSEAL_BENCH_SERVE_TIMING_H_
#define DRIFTSEAL_BENCH_SERVE_TIMING_H_

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"

// What one run of load came to, and the clocks it is told by.
namespace driftseal::bench {

using Clock = std::chrono::steady_clock;

/// Sleeps until `when`, to some microseconds (the timer slack of the thread is set to the least).
void SleepUntil(Clock::time_point when);

/// Processor seconds, user and system, that a process has used; 0 where there is none.
double ProcessorSeconds(pid_t process);

/// Durations, each kept: quantiles are exact.
class Durations {
 public:
  void Add(Clock::duration duration) {
    microseconds_.push_back(std::chrono::duration<float, std::micro>(duration).count());
  }
  void Merge(const Durations& other);
  size_t size() const { return microseconds_.size(); }
  /// {"count", "p50", "p90", "p99", "p999", "max"}, microseconds; null where there are none.
  nlohmann::json Summary() const;

 private:
  std::vector<float> microseconds_;
};

/// What became of the requests of one thread.
struct Tally {
  Durations answered, refused;           ///< Open loop: since the time they were due; closed: since they were sent.
  Durations refused_since_sent;          ///< Open loop alone: without what the generator was late by.
  Durations late;                        ///< Open loop alone: sent - due.
  std::map<std::string, size_t> failed;  ///< By message.
  size_t wrong = 0;                      ///< Answered, and not what was asked for.

  void Fail(const std::string& message) { ++failed[message]; }
  void Merge(const Tally& other);
};

/// Measures from its construction to Close: wall clock, processor time of this process and of the server.
class Window {
 public:
  explicit Window(pid_t server);
  void Close();
  /// {"seconds", "requests_per_second", "rows_per_second", "latency_us", ..., "server_cpu_seconds"}
  nlohmann::json Report(const Tally& tally, size_t rows_a_request) const;

 private:
  pid_t server_;
  Clock::time_point began_;
  double own_seconds_, server_seconds_, seconds_ = 0;
};

}  // namespace driftseal::bench

#endif  // DRIFTSEAL_BENCH_SERVE_TIMING_H_
