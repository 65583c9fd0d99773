#ifndef DRIFTSEAL_BENCH_KERNELS_PARITY_NEIGHBOURS_H_
#define DRIFTSEAL_BENCH_KERNELS_PARITY_NEIGHBOURS_H_

#include "kernels/neighbours/neighbours.h"
#include "parity/parity.h"

namespace driftseal::kernels::parity {

using NeighboursScorer = std::function<std::vector<float>(const neighbours::Neighbours&, RowsView<float>)>;
/// Every hard case through `score`, against neighbours::ScoreReference within 1e-6·d + 6e-8·max ‖s‖; the second term
/// only where reference rows are not float32.
Outcome CheckNeighbours(const NeighboursScorer& score);

/// `rows` normal reference rows, float32, each coordinate `offset` further out.
neighbours::Neighbours RandomNeighbours(Random& random, size_t rows, size_t cols, size_t k, double offset);
/// Rows near a plane of `rank` dimensions, k = 5.
neighbours::Neighbours FlatNeighbours(Random& random, size_t rows, size_t cols, size_t rank);
/// Rows around `clusters` centres that are apart, in turn, k = 5.
neighbours::Neighbours ClusteredNeighbours(Random& random, size_t rows, size_t cols, size_t clusters);

}  // namespace driftseal::kernels::parity

#endif  // DRIFTSEAL_BENCH_KERNELS_PARITY_NEIGHBOURS_H_
