#ifndef DRIFTSEAL_KERNELS_DEVICE_CROSSOVER_H_
#define DRIFTSEAL_KERNELS_DEVICE_CROSSOVER_H_

#include <cstddef>
#include <functional>
#include <vector>

// From which batch size on the GPU finishes sooner than the CPU, measured on this machine with the detector in
// question.
namespace driftseal::kernels::device {

/// Scores a batch of `rows` rows, wherever the caller chose; false where that failed.
using ScoreBatch = std::function<bool(size_t rows)>;

struct CrossoverOptions {
  size_t most_rows = 65536;     ///< The largest batch that is tried.
  double budget_seconds = 0.8;  ///< For everything; the last sizes are left out where it is spent.
  size_t repetitions = 5;       ///< Of a size, fewer where one takes long; the minimum counts.
};

struct CrossoverPoint {
  size_t rows;
  double cpu_seconds, gpu_seconds;
};

struct Crossover {
  /// Batches of at least this many rows go to the GPU; SIZE_MAX: none should.
  size_t rows = 0;
  std::vector<CrossoverPoint> points;  ///< What was measured, for the log.
};

/// Times both at 1, 4, 16, ... rows. The crossover is the smallest measured size from which on the GPU is never slower;
/// between it and the size below, the times are taken to be straight lines. Where the GPU fails, the answer is
/// SIZE_MAX.
Crossover MeasureCrossover(const ScoreBatch& cpu, const ScoreBatch& gpu, const CrossoverOptions& options = {});

/// The same from times already measured, ascending in rows.
size_t CrossoverOf(const std::vector<CrossoverPoint>& points);

}  // namespace driftseal::kernels::device

#endif  // DRIFTSEAL_KERNELS_DEVICE_CROSSOVER_H_
