#ifndef DRIFTSEAL_ENGINE_FINGERPRINT_SPECTRUM_H_
#define DRIFTSEAL_ENGINE_FINGERPRINT_SPECTRUM_H_

#include <array>
#include <string_view>
#include <vector>

#include "engine/fingerprint/columns.h"
#include "engine/fingerprint/tensor_sample.h"

namespace driftseal::fingerprint {

/// Singular values, largest first, as the roots of the eigenvalues of the smaller Gram matrix (W·Wᵀ or Wᵀ·W) in double
/// precision: exact to about 1e-8·σ₁, at a small part of the cost of an SVD. Needs finite values.
std::vector<double> SingularValues(const MatrixSample& matrix);

/// The SpectralStats of singular values, NaN where they are not defined.
std::array<double, kSpectralStats> SpectralFeatures(const std::vector<double>& sigma);
/// Why a stat is not defined.
std::string_view SpectralReason(SpectralStat stat);

}  // namespace driftseal::fingerprint

#endif  // DRIFTSEAL_ENGINE_FINGERPRINT_SPECTRUM_H_
