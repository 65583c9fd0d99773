#include <algorithm>

#include "engine/artifact/formats.h"
#include "engine/artifact/limits.h"
#include "engine/artifact/pickle_reader.h"
#include "engine/artifact/text.h"

// What the few allowed globals make of their arguments: torch/_utils.py, torch/serialization.py (persistent_load) and
// torch/jit/_pickle.py.
namespace driftseal::artifact {
namespace {

using Kind = PickleValue::Kind;

absl::Status Bad(std::string_view what) { return absl::InvalidArgumentError(Cat(what)); }

absl::StatusOr<ValueId> Add(Pickle& pickle, PickleValue value) {
  if (pickle.values.size() >= kMaxPickleValues) {
    return absl::ResourceExhaustedError(Cat("makes more than ", kMaxPickleValues, " values"));
  }
  pickle.values.push_back(value);
  return static_cast<ValueId>(pickle.values.size() - 1);
}

// Non-negative integers of a tuple, or of the list that some writers use.
absl::Status ReadDims(const Pickle& pickle, const PickleValue& value, std::string_view what,
                      std::vector<uint64_t>& out) {
  if (value.kind != Kind::kTuple) return Bad(Cat("rebuilds a tensor whose ", what, " is no tuple"));
  if (value.count > kMaxRank) {
    return absl::ResourceExhaustedError(
        Cat("rebuilds a tensor of ", value.count, " dimensions, the limit is ", kMaxRank));
  }
  for (const ValueId id : pickle.Tuple(value)) {
    const PickleValue& item = pickle.at(id);
    if (item.kind != Kind::kInt || static_cast<int64_t>(item.bits) < 0) {
      return Bad(Cat("rebuilds a tensor whose ", what, " holds other than non-negative integers"));
    }
    out.push_back(item.bits);
  }
  return absl::OkStatus();
}

// Whether offset, shape and strides stay within the storage.
absl::Status CheckBounds(const PickleTensor& tensor, uint64_t capacity) {
  if (!TensorBytes(tensor.shape, tensor.dtype)) return Bad("rebuilds a tensor whose size overflows");
  if (std::find(tensor.shape.begin(), tensor.shape.end(), 0u) != tensor.shape.end()) return absl::OkStatus();
  uint64_t last = tensor.offset;
  for (size_t d = 0; d < tensor.shape.size(); ++d) {
    uint64_t step = 0;
    if (__builtin_mul_overflow(tensor.shape[d] - 1, tensor.strides[d], &step) ||
        __builtin_add_overflow(last, step, &last)) {
      return Bad("rebuilds a tensor whose strides overflow");
    }
  }
  if (last >= capacity) {
    return Bad(Cat("rebuilds a tensor whose last element, ", last, ", lies outside of its storage of ", capacity));
  }
  return absl::OkStatus();
}

bool IsContiguous(const PickleTensor& tensor) {
  uint64_t expected = 1;
  for (size_t d = tensor.shape.size(); d-- > 0;) {
    if (tensor.shape[d] == 0) return true;
    if (tensor.shape[d] != 1 && tensor.strides[d] != expected) return false;
    expected *= tensor.shape[d];
  }
  return true;
}

// (storage, storage_offset, size, stride, requires_grad, backward_hooks[, dtype][, metadata])
absl::StatusOr<ValueId> RebuildTensor(Pickle& pickle, std::span<const ValueId> args, bool has_dtype) {
  const size_t required = has_dtype ? 7 : 6;
  if (args.size() != required && args.size() != required + 1)
    return Bad("rebuilds a tensor from a wrong number of arguments");
  const PickleValue &storage = pickle.at(args[0]), &offset = pickle.at(args[1]);
  if (storage.kind != Kind::kStorage) return Bad("rebuilds a tensor of what is no storage");
  if (offset.kind != Kind::kInt || static_cast<int64_t>(offset.bits) < 0)
    return Bad("rebuilds a tensor at no valid offset");
  const PickleStorage& bytes = pickle.storages[storage.bits];
  PickleTensor tensor{.storage = static_cast<uint32_t>(storage.bits), .offset = offset.bits};
  if (has_dtype) {
    const PickleValue& dtype = pickle.at(args[6]);
    if (dtype.kind != Kind::kGlobal || !pickle.globals[dtype.bits].dtype)
      return Bad("rebuilds a tensor of no valid type");
    tensor.dtype = *pickle.globals[dtype.bits].dtype;
  } else if (bytes.dtype) {
    tensor.dtype = *bytes.dtype;
  } else {
    return Bad("rebuilds a tensor without a type");
  }
  if (args.size() == required + 1) {  // Bits such as "conj", which change what the elements mean.
    const PickleValue& metadata = pickle.at(args.back());
    const bool empty =
        metadata.kind == Kind::kNone || (metadata.kind == Kind::kDict && pickle.containers[metadata.bits].empty());
    if (!empty) return absl::UnimplementedError("rebuilds a tensor with metadata, which are not understood");
  }
  if (absl::Status status = ReadDims(pickle, pickle.at(args[2]), "size", tensor.shape); !status.ok()) return status;
  if (absl::Status status = ReadDims(pickle, pickle.at(args[3]), "stride", tensor.strides); !status.ok()) return status;
  if (tensor.shape.size() != tensor.strides.size())
    return Bad("rebuilds a tensor with more or fewer strides than dimensions");
  const uint64_t storage_bytes = bytes.elements * (bytes.dtype ? DTypeBytes(*bytes.dtype) : 1);
  if (absl::Status status = CheckBounds(tensor, storage_bytes / DTypeBytes(tensor.dtype)); !status.ok()) return status;
  if (IsContiguous(tensor)) tensor.strides.clear();
  if (pickle.tensors.size() == kMaxTensors)
    return absl::ResourceExhaustedError(Cat("rebuilds more than ", kMaxTensors, " tensors"));
  pickle.tensors.push_back(std::move(tensor));
  return Add(pickle, {.kind = Kind::kTensor, .bits = pickle.tensors.size() - 1});
}

absl::StatusOr<ValueId> AddContainer(Pickle& pickle, Kind kind, std::vector<ValueId> items, uint32_t count) {
  pickle.containers.push_back(std::move(items));
  return Add(pickle, {.kind = kind, .count = count, .bits = pickle.containers.size() - 1});
}

bool IsTensor(const Pickle& pickle, ValueId id) { return pickle.at(id).kind == Kind::kTensor; }

}  // namespace

absl::StatusOr<ValueId> ApplyPickleGlobal(Pickle& pickle, const PickleGlobal& global, const PickleValue& arguments) {
  // A copy: the arena may move while it grows.
  const auto view = pickle.Tuple(arguments);
  const std::vector<ValueId> args(view.begin(), view.end());
  const auto name = [&] { return Quoted(Cat(global.module, ".", global.name)); };
  const bool opaque =
      global.kind == GlobalKind::kUnknown || global.kind == GlobalKind::kUnsupportedTensor ||
      std::any_of(args.begin(), args.end(), [&](ValueId id) { return pickle.at(id).kind == Kind::kOpaque; });
  if (opaque) return Add(pickle, {.kind = Kind::kOpaque});
  switch (global.kind) {
    case GlobalKind::kRebuildTensorV2:
      return RebuildTensor(pickle, args, false);
    case GlobalKind::kRebuildTensorV3:
      return RebuildTensor(pickle, args, true);
    case GlobalKind::kRebuildParameter:
    case GlobalKind::kRebuildParameterWithState:
      if (args.size() < 3 || !IsTensor(pickle, args[0])) return Bad("rebuilds a parameter of what is no tensor");
      return args[0];
    case GlobalKind::kOrderedDict:
      if (!args.empty()) return Bad("makes an OrderedDict with arguments");
      return AddContainer(pickle, Kind::kDict, {}, 1);
    case GlobalKind::kTorchScriptClass:
      return AddContainer(pickle, Kind::kObject, args, 0);
    case GlobalKind::kSize:
      if (args.size() != 1 || pickle.at(args[0]).kind != Kind::kTuple)
        return Bad("makes a torch.Size of what is no tuple");
      return args[0];
    case GlobalKind::kTypedList:
      if (args.size() != 1 || pickle.at(args[0]).kind != Kind::kList)
        return Bad(Cat("calls ", name(), " with what is no list"));
      return args[0];
    case GlobalKind::kRestoreTypeTag:
      if (args.size() != 2) return Bad(Cat("calls ", name(), " with a wrong number of arguments"));
      return args[0];
    case GlobalKind::kInert:
      return Add(pickle, {.kind = Kind::kInert});
    default:
      return absl::PermissionDeniedError(Cat("calls ", name(), ", which rebuilding tensors does not need"));
  }
}

absl::StatusOr<PickleStorage> StorageOfPersistentId(const Pickle& pickle, const PickleValue& id) {
  const auto bad = [] { return Bad("has a persistent id other than ('storage', type, key, location, elements)"); };
  if (id.kind != Kind::kTuple || id.count != 5) return bad();
  const auto parts = pickle.Tuple(id);
  const PickleValue &tag = pickle.at(parts[0]), &type = pickle.at(parts[1]), &key = pickle.at(parts[2]);
  const PickleValue &location = pickle.at(parts[3]), &elements = pickle.at(parts[4]);
  if (tag.kind != Kind::kString || pickle.Text(tag) != "storage" || key.kind != Kind::kString ||
      location.kind != Kind::kString || elements.kind != Kind::kInt || type.kind != Kind::kGlobal) {
    return bad();
  }
  const PickleGlobal& global = pickle.globals[type.bits];
  if (global.kind == GlobalKind::kUnsupportedTensor || global.kind == GlobalKind::kUnknown) {
    return absl::UnimplementedError(
        Cat("uses ", Quoted(Cat(global.module, ".", global.name)), ", which is not understood"));
  }
  if (global.kind != GlobalKind::kStorageType) return bad();
  if (pickle.Text(location) == "meta")
    return absl::UnimplementedError("has a storage on the device \"meta\", which holds no data");
  if (elements.bits > kMaxTensorBytes / 8) return Bad("has a storage whose size overflows");
  return PickleStorage{.key = pickle.Text(key), .dtype = global.dtype, .elements = elements.bits};
}

}  // namespace driftseal::artifact
