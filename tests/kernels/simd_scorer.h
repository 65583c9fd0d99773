#ifndef DRIFTSEAL_TESTS_KERNELS_SIMD_SCORER_H_
#define DRIFTSEAL_TESTS_KERNELS_SIMD_SCORER_H_

#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <vector>

#include "kernels/device/isa.h"
#include "kernels/rows.h"
#include "kernels/tile/tile.h"
#include "parity/parity.h"

namespace driftseal::kernels {

/// Scores rows tile by tile with a packed model's SIMD kernel, and expects the forced instruction set to be the one
/// that ran. `kernel(tile, workspace, out)` returns the target it was compiled for.
template <class Kernel>
std::vector<float> ScoreTiles(const device::Isa& isa, RowsView<float> rows, size_t workspace_size,
                              const Kernel& kernel) {
  const tile::FillTile fill = tile::FillTileFor(isa);
  tile::Aligned<float> data(tile::DataSize(tile::kTileRows, rows.cols)), finite(tile::FiniteSize(tile::kTileRows));
  tile::Aligned<std::byte> workspace(workspace_size);
  std::vector<float> out(rows.rows);
  for (size_t first = 0; first < rows.rows; first += tile::kTileRows) {
    const size_t count = std::min(tile::kTileRows, rows.rows - first);
    const tile::Tile tile = fill({rows.row(first), count, rows.cols}, data.data(), finite.data());
    EXPECT_EQ(kernel(tile, tile::Workspace(workspace.data(), workspace.size()), out.data() + first), isa.target);
  }
  return out;
}

inline void ExpectParity(const parity::Outcome& outcome, size_t at_least) {
  EXPECT_GE(outcome.cases, at_least);
  for (const std::string& failure : outcome.failures) ADD_FAILURE() << failure;
  testing::Test::RecordProperty("largest_error_of_bound", std::to_string(outcome.largest));
}

/// For INSTANTIATE_TEST_SUITE_P: every instruction set that runs here.
inline std::string IsaName(const testing::TestParamInfo<device::Isa>& info) { return std::string(info.param.name); }

}  // namespace driftseal::kernels

#endif  // DRIFTSEAL_TESTS_KERNELS_SIMD_SCORER_H_
