#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "kernels/autoencoder/autoencoder.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/autoencoder/simd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/autoencoder/activation-inl.h"
#include "kernels/device/dispatch.h"
#include "kernels/tile/product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace driftseal::kernels::autoencoder::HWY_NAMESPACE {
using tile::kBlockRows;
using tile::HWY_NAMESPACE::Sums;

// Inner products in parts of so many inputs: the rounding of a long sum would otherwise be the largest error.
constexpr size_t kPart = 128;

template <size_t J, size_t N>
HWY_INLINE Sums<J, N> LongProduct(const float* a, const float* b, size_t inputs) {
  auto sums = tile::HWY_NAMESPACE::Product<J, N>(a, b, std::min(kPart, inputs));
  for (size_t first = kPart; first < inputs; first += kPart) {
    const size_t offset = first * kBlockRows;
    const auto part = tile::HWY_NAMESPACE::Product<J, N>(a + offset, b + offset, std::min(kPart, inputs - first));
    for (size_t j = 0; j < J; ++j) {
      for (size_t n = 0; n < N; ++n) sums.at[j][n] = hn::Add(sums.at[j][n], part.at[j][n]);
    }
  }
  return sums;
}

// A layer for N vectors of rows at `in`, J outputs at a time. Outputs that fill up the last block are written too.
template <Activation kActivation, size_t J, size_t N>
HWY_INLINE void Forward(const PackedLayer& layer, const float* in, float* out) {
  static_assert(kBlockRows % J == 0);
  const D d;
  const size_t lanes = hn::Lanes(d);
  for (size_t o = 0; o < layer.outputs; o += J) {
    const float* weights = layer.weights.data() + o / kBlockRows * kBlockRows * layer.inputs + o % kBlockRows;
    const auto sums = LongProduct<J, N>(weights, in, layer.inputs);
    for (size_t j = 0; j < J; ++j) {
      const V bias = hn::Set(d, layer.bias[o + j]);
      for (size_t n = 0; n < N; ++n) {
        hn::Store(Activate<kActivation>(hn::Add(sums.at[j][n], bias)), d, out + (o + j) * kBlockRows + n * lanes);
      }
    }
  }
}

// The same for one row, with outputs in the lanes.
template <Activation kActivation>
HWY_INLINE void ForwardRow(const PackedLayer& layer, const float* in, float* out) {
  const D d;
  constexpr size_t kVectors = 4;
  const size_t lanes = hn::Lanes(d), step = std::min(kVectors * lanes, kBlockRows);
  alignas(tile::kAlignment) float values[kBlockRows];
  for (size_t o = 0; o < layer.outputs; o += step) {
    const float* weights = layer.weights.data() + o / kBlockRows * kBlockRows * layer.inputs + o % kBlockRows;
    const auto sums = LongProduct<1, kVectors>(in, weights, layer.inputs);
    for (size_t n = 0; n < kVectors; ++n) {
      const V bias = hn::Load(d, layer.bias.data() + o + n * lanes);
      hn::Store(Activate<kActivation>(hn::Add(sums.at[0][n], bias)), d, values + n * lanes);
    }
    for (size_t i = 0; i < step; ++i) out[(o + i) * kBlockRows] = values[i];
  }
}

template <Activation kActivation>
HWY_INLINE void ForwardBlock(const PackedLayer& layer, size_t rows, const float* in, float* out) {
  const size_t lanes = hn::Lanes(D());
  // Fewer rows than this finish sooner one by one.
  if (rows <= std::max<size_t>(lanes / 4, 1)) {
    for (size_t r = 0; r < rows; ++r) ForwardRow<kActivation>(layer, in + r, out + r);
    return;
  }
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
  constexpr size_t kTall = 4, kWide = 4;
#else
  constexpr size_t kTall = 4, kWide = 2;
#endif
  size_t r = 0;
  for (; r < rows && rows - r > (kWide - 1) * lanes && r + kWide * lanes <= kBlockRows; r += kWide * lanes) {
    Forward<kActivation, kTall, kWide>(layer, in + r, out + r);
  }
  for (; r < rows; r += lanes) Forward<kActivation, 8, 1>(layer, in + r, out + r);
}

HWY_INLINE void ForwardAny(const PackedLayer& layer, size_t rows, const float* in, float* out) {
  switch (layer.activation) {
    case Activation::kIdentity:
      return ForwardBlock<Activation::kIdentity>(layer, rows, in, out);
    case Activation::kRelu:
      return ForwardBlock<Activation::kRelu>(layer, rows, in, out);
    case Activation::kTanh:
      return ForwardBlock<Activation::kTanh>(layer, rows, in, out);
    case Activation::kLogistic:
      return ForwardBlock<Activation::kLogistic>(layer, rows, in, out);
  }
}

// mean_j (x_j − y_j)², each difference scaled before it is squared so that only a mean beyond float32 overflows.
HWY_INLINE void MeanSquares(size_t rows, size_t cols, const float* x, const float* y, float* out) {
  const D d;
  const V scale = hn::Set(d, static_cast<float>(1 / std::sqrt(static_cast<double>(cols))));
  for (size_t r = 0; r < rows; r += hn::Lanes(d)) {
    V total = hn::Zero(d);
    for (size_t first = 0; first < cols; first += kPart) {
      V part = hn::Zero(d);
      for (size_t c = first; c < std::min(first + kPart, cols); ++c) {
        const size_t at = c * kBlockRows + r;
        const V difference = hn::Mul(hn::Sub(hn::Load(d, x + at), hn::Load(d, y + at)), scale);
        part = hn::MulAdd(difference, difference, part);
      }
      total = hn::Add(total, part);
    }
    hn::Store(total, d, out + r);
  }
}

int64_t Score(const Packed& network, const tile::Tile& tile, tile::Workspace workspace, float* out) {
  tile::Arena arena(workspace);
  float* result = arena.Take<float>(network.widest * kBlockRows);
  float* spare = arena.Take<float>(network.widest * kBlockRows);
  alignas(tile::kAlignment) float scores[kBlockRows];
  for (size_t b = 0; b < tile.blocks(); ++b) {
    const size_t rows = tile.block_rows(b);
    const float* in = tile.block(b);
    for (const PackedLayer& layer : network.layers) {
      ForwardAny(layer, rows, in, result);
      in = result;
      std::swap(result, spare);
    }
    MeanSquares(rows, network.cols, tile.block(b), in, scores);
    for (size_t r = 0; r < rows; ++r) {
      // inf − inf inside the network: too far away for a float, which is what +inf says.
      const float score = std::isnan(scores[r]) ? std::numeric_limits<float>::infinity() : scores[r];
      out[b * kBlockRows + r] = score + tile.finite[b * kBlockRows + r];
    }
  }
  return HWY_TARGET;
}

}  // namespace driftseal::kernels::autoencoder::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace driftseal::kernels::autoencoder {
HWY_EXPORT(Score);
TileKernel SimdKernel(const device::Isa& isa) { return DRIFTSEAL_KERNEL_FOR(Score, isa); }
}  // namespace driftseal::kernels::autoencoder
#endif
