#ifndef DRIFTSEAL_ENGINE_DETECTOR_KERNEL_BACKEND_H_
#define DRIFTSEAL_ENGINE_DETECTOR_KERNEL_BACKEND_H_

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/detector/backend.h"
#include "kernels/ensemble/ensemble.h"
#include "kernels/rows.h"

// What a Backend is, for this folder only.
namespace driftseal::detector {

/// Each member's raw score of one row, in the order of kernels::ensemble::Member; NaN for members that are not there.
using RawScores = std::array<double, kernels::ensemble::kMembers>;

/// A detector's members as one backend reads them.
class Prepared {
 public:
  virtual ~Prepared() = default;
};

/// Scaled rows of one detector, and where their scores go (rows.rows of them).
struct Task {
  const Prepared* detector = nullptr;
  kernels::RowsView<double> rows;
  std::span<RawScores> out;
};

/// A call of kernels that read float32: the rows of all groups one after the other, and so their scores.
struct FloatGroup {
  const Prepared* detector = nullptr;
  size_t rows = 0, cols = 0;
};
struct FloatCall {
  std::span<const FloatGroup> groups;
  const float* values = nullptr;
  bool spread = true;  ///< Over all cores, where they are free; false: the caller's thread does it all.
  kernels::ensemble::FloatScores scores{};  ///< Those of members that a detector lacks are left as they are.
};

/// Safe to share between threads.
class Backend {
 public:
  virtual ~Backend() = default;
  /// "reference", "simd (avx3), 2 threads", "cuda (NVIDIA H200)".
  virtual std::string description() const = 0;
  /// `members` must outlive the result. FailedPrecondition where the backend cannot take them, saying why.
  virtual absl::StatusOr<std::unique_ptr<const Prepared>> Prepare(const kernels::ensemble::Members& members,
                                                                  size_t cols) const = 0;
  /// One call for rows of any number of detectors, all prepared by this backend.
  virtual absl::Status Score(std::span<const Task> tasks) const = 0;
  /// How many calls are worth making at once, where they are not spread.
  virtual size_t lanes() const { return 1; }
  /// Whether its kernels read float32: Score then narrows its rows, and ScoreFloats gives the same scores without.
  virtual bool reads_floats() const { return false; }
  virtual absl::Status ScoreFloats(const FloatCall& call) const;
};

/// `small` for calls of fewer than `crossover_rows` rows, `large` for the others.
std::shared_ptr<const Backend> SplitBySize(std::shared_ptr<const Backend> small, std::shared_ptr<const Backend> large,
                                           size_t crossover_rows, std::function<void(const std::string&)> log);

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_KERNEL_BACKEND_H_
