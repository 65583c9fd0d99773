#include "engine/artifact/zip.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "engine/artifact/formats.h"
#include "engine/artifact/limits.h"
#include "engine/artifact/text.h"
#include "engine/artifact/zip_record.h"

namespace driftseal::artifact {
namespace {

constexpr size_t kEnd = 22, kLocator = 20, kEnd64 = 56, kCentral = 46;
constexpr uint64_t kMaxMembers = 1u << 20, kMaxDirectory = 256u << 20;

struct End {
  uint64_t members = 0, start = 0, size = 0;
  uint64_t behind = 0;  // Where the first record behind the directory starts.
};

// The zip64 record, where a locator stands before the end record; its values must not contradict the 32-bit ones.
absl::Status ReadEnd64(const Source& source, End& end) {
  const uint64_t end_at = source.size() - kEnd;
  std::vector<std::byte> scratch;
  if (end_at < kLocator) return absl::OkStatus();
  auto bytes = source.Read(end_at - kLocator, kLocator, scratch);
  if (!bytes.ok()) return bytes.status();
  const ZipRecord locator(*bytes);
  if (locator.U32(0) != 0x07064b50) return absl::OkStatus();
  const uint64_t at = locator.U64(8);
  if (locator.U32(4) != 0 || locator.U32(16) > 1 || end_at - kLocator < kEnd64 || at != end_at - kLocator - kEnd64) {
    return Malformed(source, "zip: the zip64 locator does not point to a zip64 record right before it");
  }
  bytes = source.Read(at, kEnd64, scratch);
  if (!bytes.ok()) return bytes.status();
  const ZipRecord record(*bytes);
  const bool valid = record.U32(0) == 0x06064b50 && record.U64(4) == kEnd64 - 12 && record.U32(16) == 0 &&
                     record.U32(20) == 0 && record.U64(24) == record.U64(32);
  const auto agrees = [](uint64_t narrow, uint64_t all_ones, uint64_t wide) {
    return narrow == all_ones || narrow == wide;
  };
  if (!valid || !agrees(end.members, 0xffff, record.U64(32)) || !agrees(end.size, kZipAllOnes, record.U64(40)) ||
      !agrees(end.start, kZipAllOnes, record.U64(48))) {
    return Malformed(source, "zip: the zip64 end record is malformed or contradicts the end record");
  }
  end = {.members = record.U64(32), .start = record.U64(48), .size = record.U64(40), .behind = at};
  return absl::OkStatus();
}

absl::StatusOr<End> ReadEnd(const Source& source) {
  if (source.size() < kEnd) return Malformed(source, "zip: truncated: no end record");
  std::vector<std::byte> scratch;
  const auto bytes = source.Read(source.size() - kEnd, kEnd, scratch);
  if (!bytes.ok()) return bytes.status();
  const ZipRecord record(*bytes);
  if (record.U32(0) != 0x06054b50 || record.U16(20) != 0) {
    return Malformed(source, "zip: expected the file to end with an end record: truncated, or data behind the archive");
  }
  if (record.U16(4) != 0 || record.U16(6) != 0 || record.U16(8) != record.U16(10)) {
    return Malformed(source, "zip: an archive of several volumes");
  }
  End end{.members = record.U16(10), .start = record.U32(16), .size = record.U32(12), .behind = source.size() - kEnd};
  if (absl::Status status = ReadEnd64(source, end); !status.ok()) return status;
  if (end.start > end.behind || end.size != end.behind - end.start) {
    return Malformed(source, Cat("zip: the central directory (", end.size, " bytes at byte ", end.start,
                                 ") does not end at the end records, byte ", end.behind));
  }
  if (end.members > kMaxMembers) return OverLimit(source, "zip: members", end.members, kMaxMembers);
  if (end.size > kMaxDirectory) return OverLimit(source, "zip: bytes of directory", end.size, kMaxDirectory);
  return end;
}

// The entry at `at`, which is moved behind it; nothing when it is malformed.
std::optional<ZipMember> ReadEntry(std::span<const std::byte> directory, size_t& at) {
  if (directory.size() - at < kCentral) return std::nullopt;
  const ZipRecord record(directory.subspan(at));
  const size_t name = record.U16(28), extra = record.U16(30), comment = record.U16(32);
  if (record.U32(0) != 0x02014b50 || record.U16(34) != 0 || directory.size() - at - kCentral < name + extra + comment) {
    return std::nullopt;
  }
  ZipMember member{.name = std::string(record.Text(kCentral, name)),
                   .header = record.U32(42),
                   .stored_size = record.U32(20),
                   .size = record.U32(24),
                   .crc = record.U32(16),
                   .flags = record.U16(8),
                   .method = record.U16(10)};
  if (!WidenFromExtra(record.Bytes(kCentral + name, extra), member.size, member.stored_size, &member.header)) {
    return std::nullopt;
  }
  at += kCentral + name + extra + comment;
  return member;
}

}  // namespace

bool WidenFromExtra(std::span<const std::byte> extra, uint64_t& size, uint64_t& stored_size, uint64_t* header) {
  bool widened = false;
  while (!extra.empty()) {
    if (extra.size() < 4) return false;
    const ZipRecord field(extra);
    const uint16_t id = field.U16(0), length = field.U16(2);
    if (extra.size() - 4 < length) return false;
    constexpr uint16_t kZip64 = 1, kUnicodePath = 0x7075;
    if (id == kUnicodePath || (id == kZip64 && widened)) return false;
    if (id == kZip64) {
      widened = true;
      size_t at = 4;
      for (uint64_t* value : {&size, &stored_size, header}) {
        if (value == nullptr || *value != kZipAllOnes) continue;
        if (at + 8 > 4u + length) return false;
        *value = field.U64(at);
        at += 8;
      }
    }
    extra = extra.subspan(4u + length);
  }
  return true;
}

const ZipMember* ZipDirectory::Find(std::string_view name) const {
  const auto found = by_folded_name_.find(absl::AsciiStrToLower(ForAbsl(name)));
  return found != by_folded_name_.end() && members[found->second].name == name ? &members[found->second] : nullptr;
}

bool ZipDirectory::Index(size_t member) {
  return by_folded_name_.emplace(absl::AsciiStrToLower(members[member].name), member).second;
}

absl::StatusOr<ZipDirectory> ReadZipDirectory(const Source& source) {
  const absl::StatusOr<End> end = ReadEnd(source);
  if (!end.ok()) return end.status();
  std::vector<std::byte> scratch;
  const auto bytes = source.Read(end->start, end->size, scratch);
  if (!bytes.ok()) return bytes.status();
  ZipDirectory directory;
  directory.start = end->start;
  directory.members.reserve(std::min(end->members, end->size / kCentral));
  size_t at = 0;
  while (at < bytes->size()) {
    const size_t entry = at;
    std::optional<ZipMember> member = ReadEntry(*bytes, at);
    if (!member) {
      return Malformed(source, Cat("zip: malformed entry in the central directory at byte ", end->start + entry));
    }
    if (member->name.empty() || member->name.size() > kMaxNameBytes || member->name.find('\0') != std::string::npos) {
      return Malformed(source,
                       Cat("zip: a member's name is empty, too long or holds a NUL byte: ", Quoted(member->name)));
    }
    directory.members.push_back(*std::move(member));
    if (!directory.Index(directory.members.size() - 1)) {
      return Malformed(source, Cat("zip: two members are named ", Quoted(directory.members.back().name),
                                   " (the case of letters does not count)"));
    }
  }
  if (directory.members.size() != end->members) {
    return Malformed(source, Cat("zip: the central directory has ", directory.members.size(),
                                 " entries, the end record says ", end->members));
  }
  return directory;
}

}  // namespace driftseal::artifact
