#include <algorithm>
#include <cstring>

#include "engine/artifact/pickle_reader.h"
#include "engine/artifact/text.h"

// What the opcodes do with the machine's stack: values first, then what is imported and called.
namespace driftseal::artifact {

absl::Status PickleReader::Mark() {
  if (marks_.size() == kMaxPickleMarks) return Fail(absl::StatusCode::kResourceExhausted, "nests too deeply");
  marks_.push_back(static_cast<uint32_t>(stack_.size()));
  return absl::OkStatus();
}

absl::Status PickleReader::Integer(size_t width, bool is_signed) {
  uint64_t bits = 0;
  if (absl::Status status = TakeUnsigned(width, bits); !status.ok()) return status;
  if (is_signed) bits = static_cast<uint64_t>(int64_t{static_cast<int32_t>(bits)});
  return PushNew(Kind::kInt, 0, bits);
}

absl::Status PickleReader::LongInteger() {
  uint64_t length = 0;
  std::string_view digits;
  if (absl::Status status = TakeUnsigned(1, length); !status.ok()) return status;
  if (absl::Status status = Take(length, digits); !status.ok()) return status;
  if (length > 8) return Bad("holds an integer of more than 64 bits");
  // Two's complement, little-endian, sign-extended from the last byte.
  uint64_t bits = length > 0 && (digits.back() & 0x80) != 0 ? ~uint64_t{0} : 0;
  std::memcpy(&bits, digits.data(), length);
  return PushNew(Kind::kInt, 0, bits);
}

absl::Status PickleReader::Float() {
  std::string_view digits;
  if (absl::Status status = Take(8, digits); !status.ok()) return status;
  uint64_t bits = 0;
  std::memcpy(&bits, digits.data(), 8);
  return PushNew(Kind::kFloat, 0, __builtin_bswap64(bits));
}

absl::Status PickleReader::String(size_t length_bytes) {
  uint64_t length = 0;
  std::string_view text;
  if (absl::Status status = TakeUnsigned(length_bytes, length); !status.ok()) return status;
  if (absl::Status status = Take(length, text); !status.ok()) return status;
  if (length > kMaxPickleString) {
    return Fail(absl::StatusCode::kResourceExhausted,
                Cat("holds a string of ", length, " bytes, the limit is ", kMaxPickleString));
  }
  return PushNew(Kind::kString, static_cast<uint32_t>(length), at_ - length);
}

absl::Status PickleReader::EmptyContainer(Kind kind) {
  pickle_.containers.emplace_back();
  return PushNew(kind, 0, pickle_.containers.size() - 1);
}

absl::Status PickleReader::TupleOf(size_t count) {
  std::vector<ValueId> items(count);
  for (size_t i = count; i-- > 0;) {
    if (absl::Status status = Pop(items[i]); !status.ok()) return status;
  }
  return PushTuple(items);
}

absl::Status PickleReader::TupleFromMark() {
  std::vector<ValueId> items;
  if (absl::Status status = PopMark(items); !status.ok()) return status;
  return PushTuple(items);
}

absl::Status PickleReader::Append(bool from_mark) {
  std::vector<ValueId> items(1);
  if (absl::Status status = from_mark ? PopMark(items) : Pop(items[0]); !status.ok()) return status;
  ValueId target = 0;
  if (absl::Status status = Pop(target); !status.ok()) return status;
  const PickleValue& value = pickle_.at(target);
  if (value.kind == Kind::kList) {
    std::vector<ValueId>& list = pickle_.containers[value.bits];
    list.insert(list.end(), items.begin(), items.end());
  } else if (value.kind != Kind::kOpaque) {
    return Bad("appends to what is no list");
  }
  return Push(target);
}

absl::Status PickleReader::SetItems(bool from_mark) {
  std::vector<ValueId> items(2);
  if (from_mark) {
    if (absl::Status status = PopMark(items); !status.ok()) return status;
  } else {
    if (absl::Status status = Pop(items[1]); !status.ok()) return status;
    if (absl::Status status = Pop(items[0]); !status.ok()) return status;
  }
  if (items.size() % 2 != 0) return Bad("sets a key without a value");
  ValueId target = 0;
  if (absl::Status status = Pop(target); !status.ok()) return status;
  const PickleValue& value = pickle_.at(target);
  if (value.kind == Kind::kDict) {
    std::vector<ValueId>& dict = pickle_.containers[value.bits];
    dict.insert(dict.end(), items.begin(), items.end());
  } else if (value.kind != Kind::kOpaque) {
    return Bad("sets items of what is no dictionary");
  }
  return Push(target);
}

absl::Status PickleReader::Global() {
  std::string_view module, name;
  if (absl::Status status = TakeLine(module); !status.ok()) return status;
  if (absl::Status status = TakeLine(name); !status.ok()) return status;
  return Import(module, name);
}

absl::Status PickleReader::StackGlobal() {
  ValueId name = 0, module = 0;
  if (absl::Status status = Pop(name); !status.ok()) return status;
  if (absl::Status status = Pop(module); !status.ok()) return status;
  const PickleValue &n = pickle_.at(name), &m = pickle_.at(module);
  if (n.kind != Kind::kString || m.kind != Kind::kString) return Refused("imports by what are no strings");
  if (n.count > kMaxPickleLine || m.count > kMaxPickleLine) return Bad("imports by a name that is too long");
  return Import(pickle_.Text(m), pickle_.Text(n));
}

absl::Status PickleReader::Import(std::string_view module, std::string_view name) {
  const GlobalMeaning meaning = ClassifyGlobal(module, name);
  const std::string full = Cat(module, ".", name);
  if (meaning.kind == GlobalKind::kDangerous) {
    return Refused(Cat("imports ", Quoted(full), ", which would run code when loaded"));
  }
  if (meaning.kind == GlobalKind::kUnknown && first_not_understood_.ok()) {
    first_not_understood_ =
        Fail(absl::StatusCode::kUnimplemented,
             Cat("needs the code of ", Quoted(full), " to be rebuilt: save the state_dict, or a TorchScript archive"));
  }
  if (meaning.kind == GlobalKind::kUnsupportedTensor && first_not_understood_.ok()) {
    first_not_understood_ =
        Fail(absl::StatusCode::kUnimplemented, Cat("uses ", Quoted(full), ", which is not understood"));
  }
  if (pickle_.globals.size() == kMaxPickleGlobals)
    return Fail(absl::StatusCode::kResourceExhausted, "has too many imports");
  pickle_.globals.push_back(
      {.module = std::string(module), .name = std::string(name), .kind = meaning.kind, .dtype = meaning.dtype});
  return PushNew(Kind::kGlobal, 0, pickle_.globals.size() - 1);
}

absl::Status PickleReader::Instance() {
  std::string_view module, name;
  if (absl::Status status = TakeLine(module); !status.ok()) return status;
  if (absl::Status status = TakeLine(name); !status.ok()) return status;
  return Refused(Cat("uses INST, which would call ", Quoted(Cat(module, ".", name))));
}

absl::Status PickleReader::Reduce() {
  ValueId arguments = 0, callable = 0;
  if (absl::Status status = Pop(arguments); !status.ok()) return status;
  if (absl::Status status = Pop(callable); !status.ok()) return status;
  const PickleValue args = pickle_.at(arguments), function = pickle_.at(callable);
  if (args.kind != Kind::kTuple && args.kind != Kind::kOpaque) return Bad("calls with what is no tuple of arguments");
  if (function.kind == Kind::kOpaque || args.kind == Kind::kOpaque) return PushNew(Kind::kOpaque, 0, 0);
  if (function.kind != Kind::kGlobal) return Refused("calls what was not imported by name");
  absl::StatusOr<ValueId> result = ApplyPickleGlobal(pickle_, pickle_.globals[function.bits], args);
  if (!result.ok()) return Fail(result.status().code(), std::string(result.status().message()));
  return Push(*result);
}

absl::Status PickleReader::NewObject() {
  ValueId arguments = 0, type = 0;
  if (absl::Status status = Pop(arguments); !status.ok()) return status;
  if (absl::Status status = Pop(type); !status.ok()) return status;
  const PickleValue& value = pickle_.at(type);
  const GlobalKind kind = value.kind == Kind::kGlobal ? pickle_.globals[value.bits].kind : GlobalKind::kInert;
  if (value.kind == Kind::kOpaque || kind == GlobalKind::kUnknown || kind == GlobalKind::kUnsupportedTensor) {
    return PushNew(Kind::kOpaque, 0, 0);
  }
  if (kind != GlobalKind::kTorchScriptClass) return Refused("makes an object of what is no TorchScript class");
  if (arguments != kEmptyTupleId) return Bad("makes a TorchScript object with arguments");
  return EmptyContainer(Kind::kObject);
}

absl::Status PickleReader::Build() {
  ValueId state = 0, target = 0;
  if (absl::Status status = Pop(state); !status.ok()) return status;
  if (absl::Status status = Pop(target); !status.ok()) return status;
  const PickleValue& value = pickle_.at(target);
  const bool ordered_dict = value.kind == Kind::kDict && value.count == 1;
  if (value.kind == Kind::kObject) {
    std::vector<ValueId>& states = pickle_.containers[value.bits];
    if (!states.empty()) return Bad("sets the state of an object twice");
    states.push_back(state);
  } else if (ordered_dict) {
    // The attributes of a state_dict (_metadata: versions of modules) hold no tensors of the model.
    if (pickle_.at(state).kind != Kind::kDict) return Refused("sets a state that is no dictionary");
  } else if (value.kind != Kind::kOpaque) {
    return Refused("uses BUILD on what is no record");
  }
  return Push(target);
}

absl::Status PickleReader::PersistentId() {
  ValueId id = 0;
  if (absl::Status status = Pop(id); !status.ok()) return status;
  absl::StatusOr<PickleStorage> storage = StorageOfPersistentId(pickle_, pickle_.at(id));
  if (storage.status().code() == absl::StatusCode::kUnimplemented && !first_not_understood_.ok()) {
    return PushNew(Kind::kOpaque, 0, 0);
  }
  if (!storage.ok()) return Fail(storage.status().code(), std::string(storage.status().message()));
  pickle_.storages.push_back(*storage);
  return PushNew(Kind::kStorage, 0, pickle_.storages.size() - 1);
}

absl::Status PickleReader::Put(size_t index_bytes) {
  uint64_t index = 0;
  if (absl::Status status = TakeUnsigned(index_bytes, index); !status.ok()) return status;
  return SetMemo(index);
}

absl::Status PickleReader::Memoize() { return SetMemo(memo_size_); }

absl::Status PickleReader::SetMemo(uint64_t index) {
  constexpr ValueId kUnset = ~ValueId{0};
  if (stack_.empty() || (!marks_.empty() && stack_.size() == marks_.back()))
    return Bad("memorizes a value of an empty stack");
  if (index >= kMaxPickleMemo)
    return Fail(absl::StatusCode::kResourceExhausted, Cat("uses memo ", index, ", the limit is ", kMaxPickleMemo));
  if (index >= memo_.size())
    memo_.resize(std::max<size_t>(index + 1, std::min(2 * memo_.size(), kMaxPickleMemo)), kUnset);
  memo_size_ += memo_[index] == kUnset;
  memo_[index] = stack_.back();
  return absl::OkStatus();
}

absl::Status PickleReader::Get(size_t index_bytes) {
  uint64_t index = 0;
  if (absl::Status status = TakeUnsigned(index_bytes, index); !status.ok()) return status;
  if (index >= memo_.size() || memo_[index] >= pickle_.values.size())
    return Bad(Cat("recalls memo ", index, ", which was not set"));
  return Push(memo_[index]);
}

}  // namespace driftseal::artifact
