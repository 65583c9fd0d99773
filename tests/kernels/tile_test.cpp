#include "kernels/tile/tile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "parity/parity.h"
#include "simd_scorer.h"

namespace driftseal::kernels::tile {
namespace {

class TileOn : public testing::TestWithParam<device::Isa> {};

/// The same bits, NaN included.
void ExpectSame(const Aligned<float>& got, const Aligned<float>& want, const std::string& what) {
  const auto same = [](float a, float b) { return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b); };
  EXPECT_TRUE(std::equal(got.data(), got.data() + got.size(), want.data(), same)) << what;
}

TEST_P(TileOn, TransposesAsThePlainLoopDoes) {
  Random random(1);
  for (size_t cols : {1, 2, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 64, 100, 257}) {
    for (size_t rows : parity::kRowCounts) {
      if (rows > kTileRows) continue;
      const std::vector<float> values = parity::NormalRows(random, rows, cols);
      Aligned<float> got(DataSize(rows, cols)), want(DataSize(rows, cols));
      Aligned<float> got_finite(FiniteSize(rows)), want_finite(FiniteSize(rows));
      std::fill_n(got.data(), got.size(), 7.0F);  // What a workspace held before.
      const Tile tile = FillTileFor(GetParam())({values.data(), rows, cols}, got.data(), got_finite.data());
      FillTileReference({values.data(), rows, cols}, want.data(), want_finite.data());
      EXPECT_EQ(tile.rows, rows);
      EXPECT_EQ(tile.cols, cols);
      const std::string what = std::to_string(rows) + " rows, " + std::to_string(cols) + " columns";
      ExpectSame(got, want, what);
      for (size_t r = 0; r < rows; ++r) EXPECT_EQ(got_finite[r], want_finite[r]) << what;
    }
  }
}

TEST_P(TileOn, MarksRowsThatAreNotFinite) {
  Random random(2);
  for (size_t cols : {1, 7, 33}) {
    const std::vector<float> values = parity::HardRows(random, cols);
    const size_t rows = values.size() / cols;
    Aligned<float> data(DataSize(rows, cols)), finite(FiniteSize(rows));
    FillTileFor(GetParam())({values.data(), rows, cols}, data.data(), finite.data());
    size_t marked = 0;
    for (size_t r = 0; r < rows; ++r) {
      const bool is_finite = AllFinite(values.data() + r * cols, cols);
      EXPECT_EQ(std::isnan(finite[r]), !is_finite) << "row " << r;
      if (is_finite) {
        EXPECT_EQ(finite[r], 0) << "row " << r;
      }
      marked += !is_finite;
    }
    EXPECT_EQ(marked, 12u);
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, TileOn, testing::ValuesIn(device::SupportedIsas()), IsaName);

TEST(Tile, PacksRowsCentredAndScaled) {
  std::vector<double> values(130 * 2);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i);
  const Aligned<float> blocks = PackBlocks(values, 2, std::vector<double>{1, 2}, 0.5);
  EXPECT_EQ(blocks.size(), 3 * 64 * 2u);
  EXPECT_EQ(blocks[0], -0.5F);                       // row 0, column 0: (0 − 1)/2
  EXPECT_EQ(blocks[64 + 5], 0.5F * (11 - 2));        // row 5, column 1
  EXPECT_EQ(blocks[2 * 128 + 1], 0.5F * (258 - 1));  // row 129, column 0
  EXPECT_EQ(blocks[2 * 128 + 64 + 2], 0);            // beyond the last row
}

TEST(Isa, TheBestComesFirstAndNamesFindTheirs) {
  const auto isas = device::SupportedIsas();
  ASSERT_FALSE(isas.empty());
  for (size_t i = 1; i < isas.size(); ++i) EXPECT_LT(isas[i - 1].target, isas[i].target);
  for (const device::Isa& isa : isas) EXPECT_EQ(device::FindIsa(isa.name)->target, isa.target);
  EXPECT_EQ(device::FindIsa("abacus"), nullptr);
}

}  // namespace
}  // namespace driftseal::kernels::tile
