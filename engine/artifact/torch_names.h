#ifndef DRIFTSEAL_ENGINE_ARTIFACT_TORCH_NAMES_H_
#define DRIFTSEAL_ENGINE_ARTIFACT_TORCH_NAMES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/artifact/pickle.h"

namespace driftseal::artifact {

struct NamedPickleTensor {
  std::string name;
  uint32_t tensor = 0;  ///< Index into Pickle::tensors.
};

/// The tensors that the pickle's root holds, in its order, named by the keys and attributes on the way to them with
/// dots between ("conv1.weight"): for a state_dict its keys, for a TorchScript archive the names that its state_dict
/// has. A root that is itself a tensor is named "tensor". InvalidArgument for values that contain themselves and for
/// names that are not UTF-8; ResourceExhausted.
absl::StatusOr<std::vector<NamedPickleTensor>> NameTensors(std::string_view where, const Pickle& pickle);

}  // namespace driftseal::artifact

#endif  // DRIFTSEAL_ENGINE_ARTIFACT_TORCH_NAMES_H_
