#ifndef DRIFTSEAL_BENCH_KERNELS_PARITY_PARITY_H_
#define DRIFTSEAL_BENCH_KERNELS_PARITY_PARITY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "kernels/random.h"
#include "kernels/rows.h"

// One body of checks for every variant of a kernel: the tests run it over each instruction set, `make gpu-check` over
// the GPU, the benchmarks before they time anything.
namespace driftseal::kernels::parity {

/// What a run of checks saw.
struct Outcome {
  size_t cases = 0, rows = 0;
  double largest = 0;  ///< The largest error, as a share of the bound.
  std::vector<std::string> failures;

  /// `got` against `expected`, entry by entry: NaN where NaN is expected, the same infinity where one is, and
  /// |got − expected| <= bound everywhere else.
  void Compare(const std::string& name, std::span<const float> got, std::span<const double> expected, double bound);
  void Compare(const std::string& name, std::span<const float> got, std::span<const double> expected,
               const std::function<double(double)>& bound);
};

/// Numbers of rows around every width that a variant may work in: lanes, warps, blocks, tiles.
inline constexpr size_t kRowCounts[] = {0,  1,  2,  3,  4,  5,   7,   8,   9,   15,  16,  17,  31,
                                        32, 33, 63, 64, 65, 127, 128, 129, 511, 512, 513, 1025};

/// Row-major, standard normal, from the project's generator.
std::vector<float> NormalRows(Random& random, size_t rows, size_t cols);

/// Rows that hold, one after the other, NaN, ±inf, denormals, ±0, the largest floats, 1e18, and the same row twice.
std::vector<float> HardRows(Random& random, size_t cols);

std::vector<double> Widen(std::span<const float> values);

}  // namespace driftseal::kernels::parity

#endif  // DRIFTSEAL_BENCH_KERNELS_PARITY_PARITY_H_
