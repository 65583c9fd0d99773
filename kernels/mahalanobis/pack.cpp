#include <algorithm>

#include "kernels/mahalanobis/mahalanobis.h"

namespace driftseal::kernels::mahalanobis {

Packed Pack(const Mahalanobis& model) {
  using tile::kBlockRows;
  Packed packed;
  packed.cols = model.mean.size();
  packed.directions = model.weights.size();
  packed.isotropic = model.isotropic;
  packed.mean = tile::Aligned<double>(packed.cols);
  std::copy(model.mean.begin(), model.mean.end(), packed.mean.data());
  packed.blocks = tile::Aligned<double>(tile::DataSize(packed.directions, packed.cols));
  packed.weights = tile::Aligned<double>(tile::RoundUp(packed.directions, kBlockRows));
  std::copy(model.weights.begin(), model.weights.end(), packed.weights.data());
  for (size_t j = 0; j < packed.directions; ++j) {
    double* block = packed.blocks.data() + j / kBlockRows * packed.cols * kBlockRows;
    for (size_t c = 0; c < packed.cols; ++c) {
      block[c * kBlockRows + j % kBlockRows] = model.directions[j * packed.cols + c];
    }
  }
  return packed;
}

// A centred block of rows.
size_t WorkspaceSize(const Packed& model) { return tile::Bytes<double>(model.cols * tile::kBlockRows); }

}  // namespace driftseal::kernels::mahalanobis
