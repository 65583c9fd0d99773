#ifndef DRIFTSEAL_ENGINE_FINGERPRINT_TENSOR_ORDER_H_
#define DRIFTSEAL_ENGINE_FINGERPRINT_TENSOR_ORDER_H_

#include <string>
#include <string_view>
#include <vector>

#include "engine/artifact/model_file.h"

namespace driftseal::fingerprint {

bool IsFloat(artifact::DType type);

/// The weight matrices: float tensors of rank 2 or more with at least one element, in an order that depends on their
/// names alone, since a state_dict is in the order of the layers and a safetensors file often in alphabetical order:
/// first by the part of a network that the name speaks of (embedding, convolution, body, fully connected, classifier),
/// then by natural order of the names (fc2 before fc10).
std::vector<const artifact::TensorInfo*> WeightMatrices(const artifact::TensorTable& table);

/// Whether `a` comes before `b` when runs of digits compare as numbers.
bool NaturalLess(std::string_view a, std::string_view b);

/// The bias of a weight matrix: the vector with one element a row whose name has "bias" for the last "weight" (or
/// "kernel") of the matrix's name; nullptr when there is none.
const artifact::TensorInfo* BiasOf(const artifact::TensorTable& table, const artifact::TensorInfo& weight);

}  // namespace driftseal::fingerprint

#endif  // DRIFTSEAL_ENGINE_FINGERPRINT_TENSOR_ORDER_H_
