#ifndef DRIFTSEAL_ENGINE_ARTIFACT_LIMITS_H_
#define DRIFTSEAL_ENGINE_ARTIFACT_LIMITS_H_

#include <cstddef>
#include <cstdint>

// Limits of the readers of model files. They stand far above what real models need and keep the memory that a hostile
// file can cause within a small multiple of its own size plus a constant (docs/formats/model-files.md).
namespace driftseal::artifact {

inline constexpr uint64_t kMaxTensors = 1u << 17;
inline constexpr size_t kMaxRank = 32;
inline constexpr size_t kMaxNameBytes = 4096;
inline constexpr uint64_t kMaxNameBytesTotal = 64u << 20;  ///< Of all tensor names of a file together.
inline constexpr size_t kMaxMetadata = 1u << 16;           ///< Entries of a safetensors file.
inline constexpr size_t kMaxTrees = 1u << 18;
inline constexpr uint64_t kMaxTensorBytes = uint64_t{1} << 60;

}  // namespace driftseal::artifact

#endif  // DRIFTSEAL_ENGINE_ARTIFACT_LIMITS_H_
