#ifndef DRIFTSEAL_BENCH_KERNELS_BENCH_SCORER_H_
#define DRIFTSEAL_BENCH_KERNELS_BENCH_SCORER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "kernels/device/isa.h"
#include "kernels/ensemble/scorer.h"
#include "kernels/rows.h"
#include "model_io.h"

namespace driftseal::kernels::bench {

/// A kernel with a model that was packed for it, as the engine calls it: row-major rows go in, and what is timed
/// includes the transposition into tiles. `kernel` is "forest", "svm", "autoencoder", "mahalanobis", "neighbours",
/// "ensemble" (all of them in one pass), or "transpose" (tiles are filled and read by nobody).
class BenchScorer {
 public:
  /// Throws std::runtime_error where there is no such kernel or the model lacks its member.
  BenchScorer(const Model& model, const std::string& kernel, size_t cols, const device::Isa& isa, size_t threads);

  /// Scores of one row: 1, or as many as the ensemble has members.
  size_t outputs() const { return members_.empty() ? 1 : members_.size(); }

  /// Scores `rows` in calls of `batch` rows, `passes` times over; out[m * rows.rows + r] is row r's score by member m.
  /// Returns the Highway target that the kernels were compiled for, or 0 where two calls disagree on it.
  int64_t Score(RowsView<float> rows, size_t batch, size_t passes, std::span<float> out);

 private:
  int64_t Transpose(RowsView<float> rows);

  std::vector<ensemble::Member> members_;  ///< Empty: transpose.
  ensemble::Packed packed_;
  ensemble::Scorer scorer_;
  tile::Aligned<float> data_, finite_;
};

/// The double reference's scores of one member.
std::vector<double> ScoreByReference(const Model& model, const std::string& kernel, RowsView<float> rows);

/// How much of which limit (bench_limits.h) the kernel's work needs for one row at least, as its README reckons it.
std::map<std::string, double> WorkPerRow(const Model& model, const std::string& kernel, size_t cols);

}  // namespace driftseal::kernels::bench

#endif  // DRIFTSEAL_BENCH_KERNELS_BENCH_SCORER_H_
