#ifndef DRIFTSEAL_ENGINE_ARTIFACT_PICKLE_READER_H_
#define DRIFTSEAL_ENGINE_ARTIFACT_PICKLE_READER_H_

#include <string>
#include <string_view>
#include <vector>

#include "engine/artifact/pickle.h"

namespace driftseal::artifact {

/// The machine behind ReadPickle: one instance reads one pickle.
class PickleReader {
 public:
  PickleReader(std::string_view where, std::string_view bytes);
  absl::StatusOr<Pickle> Run();

 private:
  using Kind = PickleValue::Kind;

  absl::Status Step(uint8_t op);

  // Opcodes. Each reads its arguments from bytes_ and works on stack_.
  absl::Status Protocol();
  absl::Status Frame();
  absl::Status Stop();
  absl::Status Integer(size_t width, bool is_signed);
  absl::Status LongInteger();
  absl::Status Float();
  absl::Status String(size_t length_bytes);
  absl::Status EmptyContainer(Kind kind);
  absl::Status Mark();
  absl::Status TupleOf(size_t count);
  absl::Status TupleFromMark();
  absl::Status Append(bool from_mark);
  absl::Status SetItems(bool from_mark);
  absl::Status Global();
  absl::Status StackGlobal();
  absl::Status Instance();
  absl::Status Reduce();
  absl::Status NewObject();
  absl::Status Build();
  absl::Status PersistentId();
  absl::Status Put(size_t index_bytes);
  absl::Status Memoize();
  absl::Status Get(size_t index_bytes);

  // Parts of them.
  absl::Status Take(size_t count, std::string_view& out);
  absl::Status TakeUnsigned(size_t width, uint64_t& out);
  absl::Status TakeLine(std::string_view& out);
  absl::Status Pop(ValueId& out);
  absl::Status PopMark(std::vector<ValueId>& items);
  absl::Status Push(ValueId id);
  absl::Status PushNew(Kind kind, uint32_t count, uint64_t bits);
  absl::Status PushTuple(const std::vector<ValueId>& items);
  absl::Status Import(std::string_view module, std::string_view name);
  absl::Status SetMemo(uint64_t index);

  absl::Status Fail(absl::StatusCode code, std::string_view what) const;
  absl::Status Bad(std::string_view what) const { return Fail(absl::StatusCode::kInvalidArgument, what); }
  absl::Status Refused(std::string_view what) const { return Fail(absl::StatusCode::kPermissionDenied, what); }

  const std::string where_;
  const std::string_view bytes_;
  size_t at_ = 0;         // The next byte.
  size_t op_at_ = 0;      // The opcode at work.
  size_t frame_end_ = 0;  // 0 outside of a frame.
  bool stopped_ = false;
  Pickle pickle_;
  std::vector<ValueId> stack_;
  std::vector<uint32_t> marks_;  // Heights of stack_.
  std::vector<ValueId> memo_;
  size_t memo_size_ = 0;               // Entries that were set.
  absl::Status first_not_understood_;  // Reported only when nothing worse follows.
};

/// "BINPUT" for 'q'; "opcode 0x.." for bytes that are no opcode.
std::string PickleOpcodeName(uint8_t op);

/// Calls an allowed global with a tuple of arguments, by building values in `pickle`. Returns the value's id; messages
/// lack the place.
absl::StatusOr<ValueId> ApplyPickleGlobal(Pickle& pickle, const PickleGlobal& global, const PickleValue& arguments);
/// The storage behind a persistent id: ('storage', type, key, location, number of elements).
absl::StatusOr<PickleStorage> StorageOfPersistentId(const Pickle& pickle, const PickleValue& id);

/// Values that every arena starts with.
inline constexpr ValueId kNoneId = 0, kTrueId = 1, kFalseId = 2, kEmptyTupleId = 3;

/// Limits (docs/formats/model-files.md).
inline constexpr size_t kMaxPickleValues = 1u << 21;
inline constexpr size_t kMaxPickleStack = 1u << 20, kMaxPickleMarks = 1u << 16, kMaxPickleMemo = 1u << 21;
inline constexpr size_t kMaxPickleString = 1u << 20, kMaxPickleLine = 1024, kMaxPickleTupleItems = 1u << 23;
inline constexpr size_t kMaxPickleGlobals = 1u << 14;

}  // namespace driftseal::artifact

#endif  // DRIFTSEAL_ENGINE_ARTIFACT_PICKLE_READER_H_
