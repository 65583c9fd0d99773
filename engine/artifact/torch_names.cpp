#include "engine/artifact/torch_names.h"

#include <simdjson.h>

#include "engine/artifact/limits.h"
#include "engine/artifact/text.h"

namespace driftseal::artifact {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMaxDepth = 256, kMaxVisits = 1u << 22;

// A walk with a stack of its own: how deep a hostile file nests must not decide how deep the program's stack grows.
class Walk {
 public:
  Walk(std::string_view where, const Pickle& pickle)
      : where_(where), pickle_(pickle), open_(pickle.values.size(), false) {}

  absl::StatusOr<std::vector<NamedPickleTensor>> Run() {
    if (absl::Status status = Visit(pickle_.root); !status.ok()) return status;
    while (!frames_.empty()) {
      if (absl::Status status = Advance(); !status.ok()) return status;
    }
    return std::move(found_);
  }

 private:
  struct Frame {
    ValueId value = 0;
    std::span<const ValueId> items{};
    bool keyed = false;
    size_t next = 0;
    size_t name_length = 0;  // Of name_ when this value was reached.
  };

  absl::Status Bad(std::string_view what) const { return absl::InvalidArgumentError(Cat(where_, ": ", what)); }
  absl::Status TooMuch(std::string_view what, uint64_t limit) const {
    return absl::ResourceExhaustedError(Cat(where_, ": ", what, ", the limit is ", limit));
  }

  // The value that name_ leads to.
  absl::Status Visit(ValueId id) {
    if (++visits_ > kMaxVisits) return TooMuch("holds too many values", kMaxVisits);
    const PickleValue& value = pickle_.at(id);
    Frame frame{.value = id, .name_length = name_.size()};
    switch (value.kind) {
      case Kind::kTensor:
        return Found(static_cast<uint32_t>(value.bits));
      case Kind::kObject:
      case Kind::kList:
      case Kind::kDict:
        frame.items = pickle_.containers[value.bits];
        frame.keyed = value.kind == Kind::kDict;
        break;
      case Kind::kTuple:
        frame.items = pickle_.Tuple(value);
        break;
      default:
        return absl::OkStatus();
    }
    if (open_[id]) return Bad(Cat("the value ", Quoted(name_), " contains itself"));
    if (frames_.size() == kMaxDepth) return TooMuch("values nest too deeply", kMaxDepth);
    open_[id] = true;
    frames_.push_back(frame);
    return absl::OkStatus();
  }

  absl::Status Advance() {
    Frame& frame = frames_.back();
    name_.resize(frame.name_length);
    if (frame.next >= frame.items.size()) {
      open_[frame.value] = false;
      frames_.pop_back();
      return absl::OkStatus();
    }
    const size_t index = frame.next;
    frame.next += frame.keyed ? 2 : 1;
    // An object's only item is its state, whose keys are the object's attributes.
    if (pickle_.at(frame.value).kind == Kind::kObject) return Visit(frame.items[0]);
    const ValueId child = frame.items[index + (frame.keyed ? 1 : 0)];
    // A name that is too long already is refused where it reaches a tensor; growing it further would only cost.
    if (name_.size() <= kMaxNameBytes && HoldsTensors(pickle_.at(child).kind)) {
      if (!name_.empty()) name_ += '.';
      if (frame.keyed) {
        AppendKey(pickle_.at(frame.items[index]), index / 2);
      } else {
        name_ += Cat(index);
      }
    }
    return Visit(child);
  }

  static bool HoldsTensors(Kind kind) {
    return kind == Kind::kTensor || kind == Kind::kObject || kind == Kind::kList || kind == Kind::kDict ||
           kind == Kind::kTuple;
  }

  void AppendKey(const PickleValue& key, size_t position) {
    if (key.kind == Kind::kString) {
      name_ += pickle_.Text(key).substr(0, kMaxNameBytes + 1);
    } else {
      // Integers are keys of an optimizer's state; others have no short text.
      name_ += key.kind == Kind::kInt ? Cat(static_cast<int64_t>(key.bits)) : Cat("key", position);
    }
  }

  absl::Status Found(uint32_t tensor) {
    if (found_.size() == kMaxTensors) return TooMuch("holds too many tensors", kMaxTensors);
    std::string name = name_.empty() ? "tensor" : name_;
    total_name_bytes_ += name.size();
    if (name.size() > kMaxNameBytes) return TooMuch(Cat("a tensor's name has ", name.size(), " bytes"), kMaxNameBytes);
    if (total_name_bytes_ > kMaxNameBytesTotal)
      return TooMuch("the tensors' names are too long together", kMaxNameBytesTotal);
    if (!simdjson::validate_utf8(name)) return Bad(Cat("the tensor name ", Quoted(name), " is not UTF-8"));
    found_.push_back({std::move(name), tensor});
    return absl::OkStatus();
  }

  const std::string_view where_;
  const Pickle& pickle_;
  std::vector<bool> open_;  // On the way from the root to here.
  std::vector<Frame> frames_;
  std::string name_;
  size_t visits_ = 0;
  uint64_t total_name_bytes_ = 0;
  std::vector<NamedPickleTensor> found_;
};

}  // namespace

absl::StatusOr<std::vector<NamedPickleTensor>> NameTensors(std::string_view where, const Pickle& pickle) {
  return Walk(where, pickle).Run();
}

}  // namespace driftseal::artifact
