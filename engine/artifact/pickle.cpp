#include "engine/artifact/pickle.h"

#include <cstring>
#include <utility>

#include "engine/artifact/pickle_reader.h"
#include "engine/artifact/text.h"

// The machine: dispatch, stack, memo and frames. Opcodes: Lib/pickletools.py of CPython, which is the specification.
namespace driftseal::artifact {

PickleReader::PickleReader(std::string_view where, std::string_view bytes) : where_(where), bytes_(bytes) {
  pickle_.bytes = bytes;
  pickle_.values = {{.kind = Kind::kNone},
                    {.kind = Kind::kBool, .bits = 1},
                    {.kind = Kind::kBool, .bits = 0},
                    {.kind = Kind::kTuple}};
}

absl::Status PickleReader::Fail(absl::StatusCode code, std::string_view what) const {
  return absl::Status(code, Cat(where_, " at byte ", op_at_, " ", what));
}

absl::StatusOr<Pickle> PickleReader::Run() {
  while (!stopped_) {
    op_at_ = at_;
    if (at_ == frame_end_) frame_end_ = 0;
    if (at_ == bytes_.size()) return Bad("ends without a STOP");
    const uint8_t op = static_cast<uint8_t>(bytes_[at_++]);
    if ((op_at_ == 0) != (op == 0x80)) return Bad("has no PROTO where one is expected, or one where none is");
    if (absl::Status status = Step(op); !status.ok()) return status;
  }
  if (!first_not_understood_.ok()) return first_not_understood_;
  return std::move(pickle_);
}

absl::Status PickleReader::Step(uint8_t op) {
  // clang-format off
  switch (op) {
    case 0x80: return Protocol();
    case 0x95: return Frame();
    case '.': return Stop();
    case 'N': return Push(kNoneId);
    case 0x88: return Push(kTrueId);
    case 0x89: return Push(kFalseId);
    case 'K': return Integer(1, false);
    case 'M': return Integer(2, false);
    case 'J': return Integer(4, true);
    case 0x8a: return LongInteger();
    case 'G': return Float();
    case 'X': return String(4);
    case 0x8c: return String(1);
    case ')': return Push(kEmptyTupleId);
    case ']': return EmptyContainer(Kind::kList);
    case '}': return EmptyContainer(Kind::kDict);
    case '(': return Mark();
    case 't': return TupleFromMark();
    case 0x85: return TupleOf(1);
    case 0x86: return TupleOf(2);
    case 0x87: return TupleOf(3);
    case 'a': return Append(false);
    case 'e': return Append(true);
    case 's': return SetItems(false);
    case 'u': return SetItems(true);
    case 'c': return Global();
    case 0x93: return StackGlobal();
    case 'i': return Instance();
    case 'R': return Reduce();
    case 0x81: return NewObject();
    case 'b': return Build();
    case 'Q': return PersistentId();
    case 'q': return Put(1);
    case 'r': return Put(4);
    case 0x94: return Memoize();
    case 'h': return Get(1);
    case 'j': return Get(4);
    default: return Refused(Cat("uses ", PickleOpcodeName(op), ", which rebuilding tensors does not need"));
  }
  // clang-format on
}

absl::Status PickleReader::Protocol() {
  uint64_t version = 0;
  if (absl::Status status = TakeUnsigned(1, version); !status.ok()) return status;
  if (version < 2 || version > 5) return Bad(Cat("has protocol ", version, ", expected 2 to 5"));
  return absl::OkStatus();
}

absl::Status PickleReader::Frame() {
  if (frame_end_ != 0) return Bad("opens a frame within a frame");
  uint64_t length = 0;
  if (absl::Status status = TakeUnsigned(8, length); !status.ok()) return status;
  if (length > bytes_.size() - at_) return Bad(Cat("opens a frame of ", length, " bytes, more than follow"));
  frame_end_ = at_ + length;
  return absl::OkStatus();
}

absl::Status PickleReader::Stop() {
  if (stack_.size() != 1 || !marks_.empty()) return Bad("stops with other than one value on the stack");
  if (at_ != bytes_.size()) return Bad(Cat("stops, but ", bytes_.size() - at_, " bytes follow"));
  pickle_.root = stack_.back();
  stopped_ = true;
  return absl::OkStatus();
}

absl::Status PickleReader::Take(size_t count, std::string_view& out) {
  if (count > bytes_.size() - at_)
    return Bad(Cat("is truncated: ", PickleOpcodeName(bytes_[op_at_]), " needs ", count, " bytes more"));
  if (frame_end_ != 0 && count > frame_end_ - at_) return Bad("reads over the end of a frame");
  out = bytes_.substr(at_, count);
  at_ += count;
  return absl::OkStatus();
}

absl::Status PickleReader::TakeUnsigned(size_t width, uint64_t& out) {
  std::string_view digits;
  if (absl::Status status = Take(width, digits); !status.ok()) return status;
  out = 0;
  std::memcpy(&out, digits.data(), width);
  return absl::OkStatus();
}

absl::Status PickleReader::TakeLine(std::string_view& out) {
  const size_t length = bytes_.substr(at_, kMaxPickleLine).find('\n');
  if (length == std::string_view::npos) return Bad("imports by a name without an end");
  if (absl::Status status = Take(length + 1, out); !status.ok()) return status;
  out.remove_suffix(1);
  return absl::OkStatus();
}

absl::Status PickleReader::Pop(ValueId& out) {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) return Bad("takes a value from an empty stack");
  out = stack_.back();
  stack_.pop_back();
  return absl::OkStatus();
}

absl::Status PickleReader::PopMark(std::vector<ValueId>& items) {
  if (marks_.empty()) return Bad("expects a MARK on the stack");
  items.assign(stack_.begin() + marks_.back(), stack_.end());
  stack_.resize(marks_.back());
  marks_.pop_back();
  return absl::OkStatus();
}

absl::Status PickleReader::Push(ValueId id) {
  if (stack_.size() == kMaxPickleStack)
    return Fail(absl::StatusCode::kResourceExhausted, Cat("makes a stack of more than ", kMaxPickleStack, " values"));
  stack_.push_back(id);
  return absl::OkStatus();
}

absl::Status PickleReader::PushNew(Kind kind, uint32_t count, uint64_t bits) {
  if (pickle_.values.size() == kMaxPickleValues) {
    return Fail(absl::StatusCode::kResourceExhausted, Cat("makes more than ", kMaxPickleValues, " values"));
  }
  pickle_.values.push_back({.kind = kind, .count = count, .bits = bits});
  return Push(static_cast<ValueId>(pickle_.values.size() - 1));
}

absl::Status PickleReader::PushTuple(const std::vector<ValueId>& items) {
  if (pickle_.tuple_items.size() + items.size() > kMaxPickleTupleItems) {
    return Fail(absl::StatusCode::kResourceExhausted,
                Cat("makes tuples of more than ", kMaxPickleTupleItems, " values"));
  }
  const size_t first = pickle_.tuple_items.size();
  pickle_.tuple_items.insert(pickle_.tuple_items.end(), items.begin(), items.end());
  return PushNew(Kind::kTuple, static_cast<uint32_t>(items.size()), first);
}

absl::StatusOr<Pickle> ReadPickle(std::string_view where, std::string_view bytes) {
  return PickleReader(where, bytes).Run();
}

}  // namespace driftseal::artifact
