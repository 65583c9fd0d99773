#include "engine/fingerprint/tensor_sample.h"

#include <algorithm>
#include <bit>

#include "engine/artifact/text.h"

namespace driftseal::fingerprint {
namespace {

using artifact::TensorInfo;

constexpr uint64_t kRowLimit = kSmallSide * kLargeSide;  // Elements of one row of a tensor with strides that is cut up.

// A part of a tensor's storage: `count` elements from element `first`, `stride` apart.
TensorInfo Piece(const TensorInfo& tensor, uint64_t first, uint64_t count, std::vector<uint64_t> stride) {
  return {tensor.name,
          tensor.dtype,
          {count},
          std::move(stride),
          tensor.offset + first * artifact::DTypeBytes(tensor.dtype)};
}

// Columns [0, total) cut down to `wanted`: runs of kRun whose starts are evenly spaced.
std::vector<uint64_t> RunStarts(uint64_t total, uint64_t wanted) {
  std::vector<uint64_t> starts(wanted / kRun);
  for (uint64_t i = 0; i < starts.size(); ++i) starts[i] = SpacedIndex(i, total - kRun, starts.size());
  return starts;
}

absl::Status ReadContiguousRow(const artifact::Source& source, const TensorInfo& tensor, uint64_t row,
                               const MatrixSample& shape, std::span<const uint64_t> starts, std::vector<float>& piece,
                               std::vector<float>& out) {
  const uint64_t first = row * shape.tensor_cols;
  if (starts.empty()) {
    if (auto read = ReadTensor(source, Piece(tensor, first, shape.cols, {}), shape.cols, piece); !read.ok())
      return read;
    out.insert(out.end(), piece.begin(), piece.end());
    return absl::OkStatus();
  }
  for (const uint64_t start : starts) {
    if (auto read = ReadTensor(source, Piece(tensor, first + start, kRun, {}), kRun, piece); !read.ok()) return read;
    out.insert(out.end(), piece.begin(), piece.end());
  }
  return absl::OkStatus();
}

absl::Status ReadStridedRow(const artifact::Source& source, const TensorInfo& tensor, uint64_t row,
                            const MatrixSample& shape, std::span<const uint64_t> starts, std::vector<float>& piece,
                            std::vector<float>& out) {
  TensorInfo slice = tensor;
  slice.offset += row * tensor.strides[0] * artifact::DTypeBytes(tensor.dtype);
  slice.shape.erase(slice.shape.begin());
  slice.strides.erase(slice.strides.begin());
  if (auto read = ReadTensor(source, slice, kRowLimit, piece); !read.ok()) return read;
  if (starts.empty()) out.insert(out.end(), piece.begin(), piece.begin() + static_cast<ptrdiff_t>(shape.cols));
  for (const uint64_t start : starts) {
    const auto from = piece.begin() + static_cast<ptrdiff_t>(start);
    out.insert(out.end(), from, from + static_cast<ptrdiff_t>(kRun));
  }
  return absl::OkStatus();
}

}  // namespace

bool AllFinite(std::span<const float> values) {
  // The exponent of NaN and of the infinities is all ones. Written as a sum, so that it is compiled to vectors.
  uint32_t odd = 0;
  for (const float value : values) odd |= (std::bit_cast<uint32_t>(value) & 0x7F800000u) == 0x7F800000u ? 1u : 0u;
  return odd == 0;
}

absl::Status ReadSample(const artifact::Source& source, const TensorInfo& tensor, MatrixSample& out) {
  out.tensor_rows = tensor.shape[0];
  out.tensor_cols = tensor.Elements() / std::max<uint64_t>(out.tensor_rows, 1);
  const bool tall = out.tensor_rows > out.tensor_cols;
  out.rows = std::min(out.tensor_rows, tall ? kLargeSide : kSmallSide);
  out.cols = std::min(out.tensor_cols, tall ? kSmallSide : kLargeSide);
  if (!out.reduced()) {
    const absl::Status read = ReadTensor(source, tensor, kRowLimit, out.values);
    out.finite = read.ok() && AllFinite(out.values);
    return read;
  }
  const std::vector<uint64_t> starts =
      out.cols < out.tensor_cols ? RunStarts(out.tensor_cols, out.cols) : std::vector<uint64_t>();
  out.values.clear();
  out.values.reserve(out.rows * out.cols);
  std::vector<float> piece;
  for (uint64_t i = 0; i < out.rows; ++i) {
    const uint64_t row = SpacedIndex(i, out.tensor_rows, out.rows);
    const absl::Status read = tensor.strides.empty()
                                  ? ReadContiguousRow(source, tensor, row, out, starts, piece, out.values)
                                  : ReadStridedRow(source, tensor, row, out, starts, piece, out.values);
    if (!read.ok()) return read;
  }
  out.finite = AllFinite(out.values);
  return absl::OkStatus();
}

}  // namespace driftseal::fingerprint
