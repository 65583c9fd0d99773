#ifndef DRIFTSEAL_BENCH_KERNELS_BENCH_SCORER_H_
#define DRIFTSEAL_BENCH_KERNELS_BENCH_SCORER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/device/isa.h"
#include "kernels/rows.h"
#include "model_io.h"

namespace driftseal::kernels::bench {

/// A kernel with a model that was packed for it, and the memory of its threads. Times what a caller pays: row-major
/// rows go in, tiles are filled on the way.
class Scorer {
 public:
  virtual ~Scorer() = default;

  virtual size_t threads() const = 0;
  /// Scores of one row: 1, or as many as the ensemble has members.
  virtual size_t outputs() const { return 1; }
  /// Scores `rows` in calls of `batch` rows, `passes` times over; out[m * rows.rows + r] is row r's score m. Returns
  /// the Highway target that the kernel was compiled for, or 0 where two calls disagree on it.
  virtual int64_t Score(RowsView<float> rows, size_t batch, size_t passes, std::span<float> out) = 0;
};

/// `kernel` is "transpose" (tiles are filled, nothing is scored), "forest", "svm", "autoencoder", "mahalanobis",
/// "neighbours" or "ensemble". Throws std::runtime_error where it is none of them or the model has no such member.
std::unique_ptr<Scorer> MakeScorer(const Model& model, const std::string& kernel, const device::Isa& isa,
                                   size_t threads);

/// The same by the double reference.
std::vector<double> ScoreByReference(const Model& model, const std::string& kernel, RowsView<float> rows);

}  // namespace driftseal::kernels::bench

#endif  // DRIFTSEAL_BENCH_KERNELS_BENCH_SCORER_H_
