#ifndef DRIFTSEAL_ENGINE_ARTIFACT_PICKLE_GLOBALS_H_
#define DRIFTSEAL_ENGINE_ARTIFACT_PICKLE_GLOBALS_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "engine/artifact/model_file.h"

namespace driftseal::artifact {

/// What an import of a pickle stands for. An allow-list: all that is not on it is kUnknown or kDangerous, and neither
/// is ever acted on; the two differ in the message only.
enum class GlobalKind : uint8_t {
  kOrderedDict,
  kRebuildTensorV2,
  kRebuildTensorV3,
  kRebuildParameter,
  kRebuildParameterWithState,
  kStorageType,  ///< With its dtype, or without for torch.storage.UntypedStorage.
  kDType,
  kSize,
  kInert,           ///< A constructor whose result holds no tensors: torch.device, complex.
  kTypedList,       ///< torch.jit._pickle.build_*list(list)
  kRestoreTypeTag,  ///< torch.jit._pickle.restore_type_tag(value, type)
  kTorchScriptClass,
  kUnsupportedTensor,  ///< A kind of tensor or element that is known but not understood: quantized, sparse, ...
  kUnknown,
  kDangerous,  ///< Known to run code, read files or reach the network.
};

struct GlobalMeaning {
  GlobalKind kind = GlobalKind::kUnknown;
  std::optional<DType> dtype;
};

GlobalMeaning ClassifyGlobal(std::string_view module, std::string_view name);

}  // namespace driftseal::artifact

#endif  // DRIFTSEAL_ENGINE_ARTIFACT_PICKLE_GLOBALS_H_
