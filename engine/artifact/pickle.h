#ifndef DRIFTSEAL_ENGINE_ARTIFACT_PICKLE_H_
#define DRIFTSEAL_ENGINE_ARTIFACT_PICKLE_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/artifact/pickle_globals.h"

// A pickle, understood as far as rebuilding tensors needs and no further: nothing is imported or called. Values live in
// an arena and refer to each other by index, so that cycles neither leak nor recurse.
namespace driftseal::artifact {

using ValueId = uint32_t;

struct PickleValue {
  enum class Kind : uint8_t {
    kNone,
    kBool,
    kInt,
    kFloat,
    kString,   // bits: offset into the pickle; count: bytes
    kTuple,    // bits: first of `count` entries of tuple_items
    kList,     // bits: index into containers
    kDict,     // the same; keys and values alternate
    kObject,   // the same; one entry: the state. A record of TorchScript, or an opaque value's arguments
    kGlobal,   // bits: index into globals
    kStorage,  // bits: index into storages
    kTensor,   // bits: index into tensors
    kInert,    // a value that holds no tensor: device, complex number
    kOpaque,   // made by a global that is not understood
  };
  Kind kind = Kind::kNone;
  uint32_t count = 0;
  uint64_t bits = 0;
};

struct PickleGlobal {
  std::string module, name;
  GlobalKind kind = GlobalKind::kUnknown;
  std::optional<DType> dtype;
};

/// What a persistent id names: a member of the archive.
struct PickleStorage {
  std::string_view key;
  std::optional<DType> dtype;  ///< Nothing for an untyped storage, which counts bytes.
  uint64_t elements = 0;
};

struct PickleTensor {
  uint32_t storage = 0;
  DType dtype = DType::kF32;
  uint64_t offset = 0;  ///< In elements.
  std::vector<uint64_t> shape{}, strides{};
};

struct Pickle {
  std::string_view bytes;
  std::vector<PickleValue> values;
  std::vector<ValueId> tuple_items;
  std::vector<std::vector<ValueId>> containers;
  std::vector<PickleGlobal> globals;
  std::vector<PickleStorage> storages;
  std::vector<PickleTensor> tensors;
  ValueId root = 0;

  const PickleValue& at(ValueId id) const { return values[id]; }
  std::string_view Text(const PickleValue& value) const { return bytes.substr(value.bits, value.count); }
  std::span<const ValueId> Tuple(const PickleValue& value) const {
    return std::span(tuple_items).subspan(value.bits, value.count);
  }
};

/// Reads a whole pickle (protocols 2 to 5). `where` starts every message: "m.pt: data.pkl". `bytes` must outlive the
/// result.
///
///   PermissionDenied   an import that is known to run code; an opcode that rebuilding tensors does not need, by name
///   Unimplemented      a global that is not understood: the whole pickle is still searched for what is forbidden
///   InvalidArgument    truncated or malformed
///   ResourceExhausted  too many values, too deep a stack
absl::StatusOr<Pickle> ReadPickle(std::string_view where, std::string_view bytes);

}  // namespace driftseal::artifact

#endif  // DRIFTSEAL_ENGINE_ARTIFACT_PICKLE_H_
