#ifndef DRIFTSEAL_ENGINE_FINGERPRINT_TENSOR_SAMPLE_H_
#define DRIFTSEAL_ENGINE_FINGERPRINT_TENSOR_SAMPLE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "engine/artifact/model_file.h"
#include "engine/artifact/source.h"

namespace driftseal::fingerprint {

// A matrix of more than kSmallSide × kLargeSide is read in part: of a side that is too long, every (n/limit)-th row, or
// runs of kRun columns that are as evenly spaced. Memory and time a matrix are bounded by it.
inline constexpr uint64_t kSmallSide = 1024, kLargeSide = 8192, kRun = 64;

/// The i-th of k evenly spaced positions in [0, n), without overflow for any n.
constexpr uint64_t SpacedIndex(uint64_t i, uint64_t n, uint64_t k) {
  return n <= k ? i : i * (n / k) + i * (n % k) / k;
}

/// A tensor of rank >= 2 as a matrix, shape[0] rows × the rest, or the part of it described above; row-major.
struct MatrixSample {
  uint64_t rows = 0, cols = 0;  ///< Of the sample.
  uint64_t tensor_rows = 0, tensor_cols = 0;
  std::vector<float> values;
  bool finite = true;  ///< No NaN and no infinity among the values.
  bool reduced() const { return rows != tensor_rows || cols != tensor_cols; }
  std::span<const float> row(uint64_t i) const { return std::span(values).subspan(i * cols, cols); }
};

/// Replaces `out`, whose memory is reused. Errors are those of artifact::ReadTensor.
absl::Status ReadSample(const artifact::Source& source, const artifact::TensorInfo& tensor, MatrixSample& out);

bool AllFinite(std::span<const float> values);

}  // namespace driftseal::fingerprint

#endif  // DRIFTSEAL_ENGINE_FINGERPRINT_TENSOR_SAMPLE_H_
