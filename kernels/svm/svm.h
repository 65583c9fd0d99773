#ifndef DRIFTSEAL_KERNELS_SVM_SVM_H_
#define DRIFTSEAL_KERNELS_SVM_SVM_H_

#include <cstddef>
#include <span>
#include <vector>

#include "kernels/device/isa.h"
#include "kernels/rows.h"
#include "kernels/tile/tile.h"

// One-class support vector machine with a Gaussian kernel (Schölkopf, Platt, Shawe-Taylor, Smola, Williamson 2001,
// "Estimating the Support of a High-Dimensional Distribution", Neural Computation 13:7, eqs. 8 and 10).
namespace driftseal::kernels::svm {

/// `alpha.size()` support vectors of `cols` values each.
struct Svm {
  size_t cols = 0;
  std::vector<double> vectors;  ///< alpha.size() × cols, row-major.
  std::vector<double> alpha;    ///< Dual coefficients, in libsvm's scale (0 < α <= 1, Σα = ν·rows).
  double gamma = 1, rho = 0;
};

/// score = ρ − Σ_i α_i exp(−γ‖x − s_i‖²); above 0 outside the support (the negative of libsvm's and scikit-learn's
/// decision function, so that higher is more anomalous). rows.cols == svm.cols; `out` has rows.rows entries.
void ScoreReference(const Svm& svm, RowsView<double> rows, std::span<double> out);

/// A model as the float32 variants read it. With k = √(2γ·log2 e), x' = k(x − c) and s' = k(s − c),
///   exp(−γ‖x − s‖²) = 2^(x'·s' − ‖x'‖²/2 − ‖s'‖²/2)
/// where c is the mean of the support vectors. Immutable; about 4 bytes a value of Svm::vectors.
struct Packed {
  size_t cols = 0, vectors = 0;
  float scale = 1;             ///< k
  double rho = 0, weight = 0;  ///< ρ and Σ|α|
  /// The inner product loses what ‖s'‖² has in digits before the point. Where that could cost more than 1e-5·Σ|α|
  /// (support vectors very far apart for their γ), distances are summed as differences, at about half the speed.
  bool differences = false;
  tile::Aligned<float> centre;  ///< cols: c
  tile::Aligned<float> blocks;  ///< s' in blocks of 64 (kernels/tile/tile.h); vectors that fill up the last are zeros.
  tile::Aligned<float> norms;   ///< −‖s'‖²/2 a vector, to the end of the last block.
  tile::Aligned<float> alpha;   ///< 0 for vectors that fill up.
};
Packed Pack(const Svm& svm);

/// Bytes that a TileKernel works in.
size_t WorkspaceSize(const Packed& svm);

/// Scores tile.rows rows into `out`; |error| <= 1e-5·Σ|α| against ScoreReference. Returns the Highway target it was
/// compiled for, which proves the variant that ran.
using TileKernel = int64_t (*)(const Packed& svm, const tile::Tile& tile, tile::Workspace workspace, float* out);
TileKernel SimdKernel(const device::Isa& isa);

}  // namespace driftseal::kernels::svm

#endif  // DRIFTSEAL_KERNELS_SVM_SVM_H_
