#include <algorithm>
#include <cassert>

#include "kernels/ensemble/ensemble.h"

namespace driftseal::kernels::ensemble {
namespace {

template <class Pack, class Model>
auto PackIf(const Model* model, const Pack& pack) {
  return model != nullptr ? std::optional(pack(*model)) : std::nullopt;
}

size_t TileBytes(size_t cols) {
  return tile::Bytes<float>(tile::DataSize(tile::kTileRows, cols)) +
         tile::Bytes<float>(tile::FiniteSize(tile::kTileRows));
}

}  // namespace

Packed Pack(const Members& members, size_t cols) {
  Packed packed;
  packed.cols = cols;
  packed.autoencoder = PackIf(members.autoencoder, autoencoder::Pack);
  packed.forest = PackIf(members.forest, [](const forest::Forest& model) { return forest::Pack(model); });
  packed.svm = PackIf(members.svm, svm::Pack);
  packed.mahalanobis = PackIf(members.mahalanobis, mahalanobis::Pack);
  packed.neighbours = PackIf(members.neighbours, neighbours::Pack);
  return packed;
}

size_t WorkspaceSize(const Packed& packed) {
  size_t most = 0;
  if (packed.autoencoder) most = std::max(most, autoencoder::WorkspaceSize(*packed.autoencoder));
  if (packed.forest) most = std::max(most, forest::WorkspaceSize(*packed.forest));
  if (packed.svm) most = std::max(most, svm::WorkspaceSize(*packed.svm));
  if (packed.mahalanobis) most = std::max(most, mahalanobis::WorkspaceSize(*packed.mahalanobis));
  if (packed.neighbours) most = std::max(most, neighbours::WorkspaceSize(*packed.neighbours));
  return TileBytes(packed.cols) + tile::RoundUp(most, tile::kAlignment);
}

Kernels SimdKernels(const device::Isa& isa) {
  return {tile::FillTileFor(isa), autoencoder::SimdKernel(isa), forest::SimdKernel(isa),
          svm::SimdKernel(isa),   mahalanobis::SimdKernel(isa), neighbours::SimdKernel(isa)};
}

int64_t ScoreTile(const Packed& packed, const Kernels& kernels, RowsView<float> rows, tile::Workspace workspace,
                  const FloatScores& out) {
  assert(rows.rows <= tile::kTileRows && rows.cols == packed.cols && workspace.size() >= WorkspaceSize(packed));
  tile::Arena arena(workspace);
  float* data = arena.Take<float>(tile::DataSize(rows.rows, rows.cols));
  float* finite = arena.Take<float>(tile::FiniteSize(rows.rows));
  const tile::Tile tile = kernels.fill(rows, data, finite);
  const tile::Workspace left = workspace.subspan(TileBytes(packed.cols));
  int64_t target = 0;
  const auto run = [&](const auto& member, const auto& kernel, Member which) {
    if (member && out[which] != nullptr) target = kernel(*member, tile, left, out[which]);
  };
  run(packed.autoencoder, kernels.autoencoder, kAutoencoder);
  run(packed.forest, kernels.forest, kForest);
  run(packed.svm, kernels.svm, kSvm);
  run(packed.mahalanobis, kernels.mahalanobis, kMahalanobis);
  run(packed.neighbours, kernels.neighbours, kNeighbours);
  return target;
}

}  // namespace driftseal::kernels::ensemble
