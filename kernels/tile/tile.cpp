#include "kernels/tile/tile.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace driftseal::kernels::tile {

Tile FillTileReference(RowsView<float> rows, float* data, float* finite) {
  std::fill_n(data, DataSize(rows.rows, rows.cols), 0.0F);
  std::fill_n(finite, FiniteSize(rows.rows), 0.0F);
  for (size_t r = 0; r < rows.rows; ++r) {
    const float* row = rows.row(r);
    float* block = data + r / kBlockRows * rows.cols * kBlockRows;
    for (size_t f = 0; f < rows.cols; ++f) block[f * kBlockRows + r % kBlockRows] = row[f];
    if (!AllFinite(row, rows.cols)) finite[r] = std::numeric_limits<float>::quiet_NaN();
  }
  return {data, finite, rows.rows, rows.cols};
}

Aligned<float> PackBlocks(std::span<const double> values, size_t cols, std::span<const double> centre, double scale) {
  const size_t rows = cols == 0 ? 0 : values.size() / cols;
  Aligned<float> blocks(DataSize(rows, cols));
  for (size_t r = 0; r < rows; ++r) {
    float* block = blocks.data() + r / kBlockRows * cols * kBlockRows;
    for (size_t c = 0; c < cols; ++c) {
      const double value = values[r * cols + c] - (centre.empty() ? 0 : centre[c]);
      block[c * kBlockRows + r % kBlockRows] = static_cast<float>(value * scale);
    }
  }
  return blocks;
}

}  // namespace driftseal::kernels::tile
