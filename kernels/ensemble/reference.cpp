#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "kernels/ensemble/ensemble.h"

namespace driftseal::kernels::ensemble {

size_t ScratchSize(const Members& members) {
  size_t size = 0;
  if (members.autoencoder != nullptr) size = std::max(size, autoencoder::ScratchSize(*members.autoencoder));
  if (members.neighbours != nullptr) size = std::max(size, neighbours::ScratchSize(*members.neighbours));
  return size;
}

float Narrow(double x) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  if (std::isfinite(x) && std::abs(x) > kLargest) return static_cast<float>(std::copysign(kLargest, x));
  return static_cast<float>(x);
}

void ScoreReference(const Members& members, RowsView<double> rows, const Workspace& workspace, const Scores& out) {
  if (members.autoencoder != nullptr) {
    autoencoder::ScoreReference(*members.autoencoder, rows, workspace.scratch, out[kAutoencoder]);
  }
  if (members.forest != nullptr) {
    assert(workspace.narrow.size() >= rows.rows * rows.cols);
    for (size_t i = 0; i < rows.rows * rows.cols; ++i) workspace.narrow[i] = Narrow(rows.data[i]);
    forest::ScoreReference(*members.forest, {workspace.narrow.data(), rows.rows, rows.cols}, out[kForest]);
  }
  if (members.svm != nullptr) svm::ScoreReference(*members.svm, rows, out[kSvm]);
  if (members.mahalanobis != nullptr) {
    mahalanobis::ScoreReference(*members.mahalanobis, rows, out[kMahalanobis]);
  }
  if (members.neighbours != nullptr) {
    neighbours::ScoreReference(*members.neighbours, rows, workspace.scratch, out[kNeighbours]);
  }
}

}  // namespace driftseal::kernels::ensemble
