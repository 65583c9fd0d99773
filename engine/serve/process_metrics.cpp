#include "engine/serve/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "engine/serve/metrics.h"

namespace driftseal::serve {
namespace {

using prometheus::MetricType;

void One(std::vector<prometheus::MetricFamily>& families, const char* name, const char* help, MetricType type,
         double value) {
  families.push_back(Family(name, help, type, {type == MetricType::Counter ? CounterValue(value) : GaugeValue(value)}));
}

double BootTime() {
  std::ifstream in("/proc/stat");
  std::string word;
  double seconds = 0;
  while (in >> word) {
    if (word == "btime" && in >> seconds) return seconds;
  }
  return 0;
}

double OpenDescriptors() {
  std::error_code error;
  double count = -1;  // The one that reads the folder.
  for (std::filesystem::directory_iterator it("/proc/self/fd", error), end; !error && it != end; it.increment(error)) {
    ++count;
  }
  return count;
}

}  // namespace

void CollectProcess(std::vector<prometheus::MetricFamily>& families) {
  std::ifstream in("/proc/self/stat");
  std::string line;
  std::getline(in, line);
  // The second field is the program's name in parentheses, which may hold anything.
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return;
  std::istringstream fields(line.substr(name_end + 1));
  std::string skipped;
  constexpr int kState = 3, kUserTicks = 14;
  for (int field = kState; field < kUserTicks; ++field) fields >> skipped;
  double user = 0, system = 0, children_user = 0, children_system = 0, priority = 0, nice = 0, threads = 0, timer = 0;
  double started = 0, virtual_bytes = 0, resident_pages = 0;
  fields >> user >> system >> children_user >> children_system >> priority >> nice >> threads >> timer >> started >>
      virtual_bytes >> resident_pages;
  if (!fields) return;
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  One(families, "process_cpu_seconds_total", "Processor time, user and system.", MetricType::Counter,
      (user + system) / ticks);
  One(families, "process_resident_memory_bytes", "Memory in use.", MetricType::Gauge,
      resident_pages * static_cast<double>(sysconf(_SC_PAGESIZE)));
  One(families, "process_virtual_memory_bytes", "Address space in use.", MetricType::Gauge, virtual_bytes);
  One(families, "process_threads", "Threads.", MetricType::Gauge, threads);
  One(families, "process_start_time_seconds", "When it started, in Unix time.", MetricType::Gauge,
      BootTime() + started / ticks);
  One(families, "process_open_fds", "Open descriptors.", MetricType::Gauge, OpenDescriptors());
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    One(families, "process_max_fds", "Descriptors that may be open.", MetricType::Gauge,
        static_cast<double>(limit.rlim_cur));
  }
}

}  // namespace driftseal::serve
