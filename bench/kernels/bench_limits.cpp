#include "bench_limits.h"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cmath>
#include <ctime>
#include <thread>
#include <vector>

#include "bench_clock.h"
#include "kernels/tile/tile.h"

namespace driftseal::kernels::bench {
namespace {

struct Buffers {
  explicit Buffers(size_t bytes) : from(std::max<size_t>(bytes, 4096) / 4), to(std::max<size_t>(bytes, 4096) / 4) {
    for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<float>(i % 97);
  }
  tile::Aligned<float> from, to;
};

// Rounds that take about `seconds` on one thread.
size_t Calibrate(const Limit& limit, Buffers& buffers, double seconds) {
  double work = 0;
  for (size_t rounds = 1;; rounds *= 4) {
    const Clock clock;
    limit.run(rounds, buffers.from.data(), buffers.to.data(), &work);
    const double taken = clock.Read().wall;
    if (taken > seconds / 8)
      return std::max<size_t>(1, static_cast<size_t>(seconds / taken * static_cast<double>(rounds)));
  }
}

}  // namespace

Rate MeasureLimit(const Limit& limit, size_t threads, double seconds) {
  std::vector<Buffers> buffers;
  for (size_t t = 0; t < threads; ++t) buffers.emplace_back(limit.buffer_bytes);
  const size_t rounds = Calibrate(limit, buffers[0], seconds);
  std::vector<double> work(threads, 0);
  Rate rate;
  const auto run = [&](size_t t) {
    const int64_t target = limit.run(rounds, buffers[t].from.data(), buffers[t].to.data(), &work[t]);
    if (t == 0) rate.target = target;
  };
  const Clock clock;
  std::vector<std::jthread> others;
  for (size_t t = 1; t < threads; ++t) others.emplace_back(run, t);
  run(0);
  others.clear();
  const Seconds taken = clock.Read();
  for (double done : work) rate.per_second += done;
  rate.per_cpu_second = rate.per_second / taken.cpu;
  rate.per_second /= taken.wall;
  return rate;
}

}  // namespace driftseal::kernels::bench
