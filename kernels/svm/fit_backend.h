#ifndef DRIFTSEAL_KERNELS_SVM_FIT_BACKEND_H_
#define DRIFTSEAL_KERNELS_SVM_FIT_BACKEND_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/svm/fit.h"
#include "kernels/tile/tile.h"

// What the solver's loop (fit.cpp) stands on: the expensive parts, which the cores of a processor or a GPU serve.
namespace driftseal::kernels::svm {

/// The rows as a backend reads them, in the order of FitOrder: centred and scaled as in Packed, in blocks of 64
/// (kernels/tile/tile.h), so that k(x, y) = 2^(x·y − ‖x‖²/2 − ‖y‖²/2).
struct FitRows {
  size_t rows = 0, cols = 0;
  bool differences = false;  ///< As Packed::differences.
  tile::Aligned<float> blocks;
};
FitRows PackFitRows(RowsView<double> rows, std::span<const size_t> order, const FitOptions& options);

/// A fixed random order of the rows: every prefix is a sample.
std::vector<size_t> FitOrder(size_t rows);

/// Of the gradient G = Qα: where α could still rise and where it could still fall.
struct FitBounds {
  double up = 0;    ///< min{G_i : α_i < 1}, +inf where there is none.
  double down = 0;  ///< max{G_i : α_i > 0}, −inf where there is none.
};

/// Holds the rows, and α and G of a problem that is a prefix of them.
class FitBackend {
 public:
  virtual ~FitBackend() = default;
  /// The problem of the first alpha.size() rows, from these α: computes G.
  virtual void Begin(std::span<const double> alpha) = 0;
  /// Σ_j α_j·k(x_i, x_j) over the present problem for the first sums.size() rows, which may be more than it has.
  virtual void Density(std::span<double> sums) = 0;
  /// Chooses the working set: of the rows whose α can rise those of the least G, of the rows whose α can fall those of
  /// the largest, in turn. So it holds the pair that violates the KKT conditions most, and the free vectors.
  virtual FitBounds Select() = 0;
  /// Optimises the working set and brings α and G up to date. Returns the number of steps.
  virtual uint64_t Solve(double tolerance, uint64_t limit) = 0;
  virtual void Read(std::span<double> alpha, std::span<double> gradient) = 0;
  /// Not 0 once something has failed; the calls after that do nothing.
  virtual int error() const { return 0; }
};

/// The solver; `backend` holds `rows` in the order of FitOrder.
FitResult FitWith(FitBackend& backend, RowsView<double> rows, std::span<const size_t> order, const FitOptions& options);

}  // namespace driftseal::kernels::svm

#endif  // DRIFTSEAL_KERNELS_SVM_FIT_BACKEND_H_
