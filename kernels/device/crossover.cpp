#include "kernels/device/crossover.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>

namespace driftseal::kernels::device {
namespace {

using Clock = std::chrono::steady_clock;

double Since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// The least of some repetitions, after one that is not counted; negative where a batch failed. Stops early where
/// `seconds` are spent.
double Fastest(const ScoreBatch& score, size_t rows, size_t repetitions, double seconds) {
  const auto begin = Clock::now();
  double fastest = INFINITY;
  for (size_t i = 0; i <= repetitions; ++i) {
    const auto start = Clock::now();
    if (!score(rows)) return -1;
    // The first run pays for cold caches; it counts only where there is no time for a second.
    if (i > 0 || Since(begin) > seconds) fastest = std::min(fastest, Since(start));
    if (Since(begin) > seconds) break;
  }
  return fastest;
}

}  // namespace

size_t CrossoverOf(const std::vector<CrossoverPoint>& points) {
  size_t from = points.size();
  while (from > 0 && points[from - 1].gpu_seconds <= points[from - 1].cpu_seconds) --from;
  if (from == points.size()) return SIZE_MAX;
  if (from == 0) return points.front().rows;
  const CrossoverPoint &below = points[from - 1], &above = points[from];
  const double lead = below.gpu_seconds - below.cpu_seconds, behind = above.cpu_seconds - above.gpu_seconds;
  const double share = lead / (lead + behind);
  return below.rows + static_cast<size_t>(std::ceil(share * static_cast<double>(above.rows - below.rows)));
}

Crossover MeasureCrossover(const ScoreBatch& cpu, const ScoreBatch& gpu, const CrossoverOptions& options) {
  const auto start = Clock::now();
  Crossover crossover;
  for (size_t rows = 1; rows <= options.most_rows; rows *= 4) {
    const double left = options.budget_seconds - Since(start);
    // A batch four times the last takes up to four times as long, twice on either side.
    if (!crossover.points.empty()) {
      const CrossoverPoint& last = crossover.points.back();
      if (8 * (last.cpu_seconds + last.gpu_seconds) > left) break;
    }
    const double on_gpu = Fastest(gpu, rows, options.repetitions, left / 8);
    const double on_cpu = Fastest(cpu, rows, options.repetitions, left / 8);
    if (on_gpu < 0 || on_cpu < 0) {
      crossover.rows = on_gpu < 0 ? SIZE_MAX : 0;
      return crossover;
    }
    crossover.points.push_back({rows, on_cpu, on_gpu});
  }
  crossover.rows = CrossoverOf(crossover.points);
  return crossover;
}

}  // namespace driftseal::kernels::device
