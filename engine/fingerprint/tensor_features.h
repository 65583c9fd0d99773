#ifndef DRIFTSEAL_ENGINE_FINGERPRINT_TENSOR_FEATURES_H_
#define DRIFTSEAL_ENGINE_FINGERPRINT_TENSOR_FEATURES_H_

#include <vector>

#include "absl/status/status.h"
#include "engine/artifact/model_file.h"
#include "engine/artifact/source.h"
#include "engine/fingerprint/row.h"
#include "engine/fingerprint/tensor_sample.h"

namespace driftseal::fingerprint {

/// Spectra are taken of the slots' matrices and of at most this many in all, evenly spaced among the others.
inline constexpr size_t kSpectraLimit = 24;

/// Fills the groups spectral, quantile and head from the weights. An error is about the file: it could not be read, or
/// it holds weights that are not finite (InvalidArgument, naming the tensor); what could be computed is in the row.
absl::Status FillTensorFeatures(const artifact::Source& source, const artifact::TensorTable& table, Row& row);

/// The head group from the last weight matrix and its bias (empty: none).
void FillHeadFeatures(const MatrixSample& head, const std::vector<float>& bias, Row& row);

/// Elements of the float tensors, without normalisation layers' running statistics.
double CountParameters(const artifact::TensorTable& table);

}  // namespace driftseal::fingerprint

#endif  // DRIFTSEAL_ENGINE_FINGERPRINT_TENSOR_FEATURES_H_
