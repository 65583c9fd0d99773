#ifndef DRIFTSEAL_ENGINE_ARTIFACT_FORMATS_H_
#define DRIFTSEAL_ENGINE_ARTIFACT_FORMATS_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/artifact/model_file.h"
#include "engine/artifact/source.h"
#include "engine/artifact/text.h"

// The readers behind ReadModelFile, one a format, and what they share. Not for other folders.
namespace driftseal::artifact {

absl::StatusOr<TensorTable> ReadSafetensors(const Source& source);
/// Archives of torch.save (state_dicts, checkpoints, tensors) and of torch.jit.save. Unimplemented, saying what it
/// looks like, for other zip archives.
absl::StatusOr<TensorTable> ReadTorchZip(const Source& source);
absl::StatusOr<Booster> ReadXgboostJson(const Source& source);
absl::StatusOr<Booster> ReadXgboostUbj(const Source& source);

/// product(shape) × DTypeBytes(type), or nothing when it exceeds kMaxTensorBytes. A shape with a 0 in it has 0 bytes.
std::optional<uint64_t> TensorBytes(std::span<const uint64_t> shape, DType type);
/// By the name that safetensors gives it.
std::optional<DType> ParseDType(std::string_view name);

/// InvalidArgument "<file>: <what was found and expected>".
absl::Status Malformed(const Source& source, std::string_view what);
/// ResourceExhausted "<file>: <what>: <found>, the limit is <limit>".
absl::Status OverLimit(const Source& source, std::string_view what, uint64_t found, uint64_t limit);

}  // namespace driftseal::artifact

#endif  // DRIFTSEAL_ENGINE_ARTIFACT_FORMATS_H_
