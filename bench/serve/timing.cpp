#include "bench/serve/timing.h"

#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace driftseal::bench {

void SleepUntil(Clock::time_point when) {
  static thread_local const int slack = prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
  (void)slack;
  const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch()).count();
  const timespec at = {nanoseconds / 1'000'000'000, nanoseconds % 1'000'000'000};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) != 0) {
  }
}

double ProcessorSeconds(pid_t process) {
  std::ifstream in("/proc/" + std::to_string(process) + "/stat");
  std::string line;
  if (!std::getline(in, line)) return 0;
  std::istringstream fields(line.substr(line.rfind(')') + 2));  // The program's name may hold blanks.
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

void Durations::Merge(const Durations& other) {
  microseconds_.insert(microseconds_.end(), other.microseconds_.begin(), other.microseconds_.end());
}

nlohmann::json Durations::Summary() const {
  if (microseconds_.empty()) return nullptr;
  std::vector<float> sorted = microseconds_;
  std::sort(sorted.begin(), sorted.end());
  const auto at = [&](double share) {
    return sorted[std::min(sorted.size() - 1, static_cast<size_t>(share * static_cast<double>(sorted.size())))];
  };
  return {{"count", sorted.size()}, {"p50", at(0.5)},    {"p90", at(0.9)},
          {"p99", at(0.99)},        {"p999", at(0.999)}, {"max", sorted.back()}};
}

void Tally::Merge(const Tally& other) {
  answered.Merge(other.answered);
  refused.Merge(other.refused);
  refused_since_sent.Merge(other.refused_since_sent);
  late.Merge(other.late);
  for (const auto& [message, count] : other.failed) failed[message] += count;
  wrong += other.wrong;
}

Window::Window(pid_t server)
    : server_(server),
      began_(Clock::now()),
      own_seconds_(ProcessorSeconds(getpid())),
      server_seconds_(ProcessorSeconds(server)) {}

void Window::Close() {
  seconds_ = std::chrono::duration<double>(Clock::now() - began_).count();
  own_seconds_ = ProcessorSeconds(getpid()) - own_seconds_;
  server_seconds_ = ProcessorSeconds(server_) - server_seconds_;
}

nlohmann::json Window::Report(const Tally& tally, size_t rows_a_request) const {
  const double rate = static_cast<double>(tally.answered.size()) / seconds_;
  return {{"seconds", seconds_},
          {"requests_per_second", rate},
          {"rows_per_second", rate * static_cast<double>(rows_a_request)},
          {"latency_us", tally.answered.Summary()},
          {"refused_us", tally.refused.Summary()},
          {"refused_since_sent_us", tally.refused_since_sent.Summary()},
          {"late_us", tally.late.Summary()},
          {"failed", tally.failed},
          {"wrong", tally.wrong},
          {"client_cpu_seconds", own_seconds_},
          {"server_cpu_seconds", server_seconds_}};
}

}  // namespace driftseal::bench
