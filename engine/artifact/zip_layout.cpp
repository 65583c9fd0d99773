#include <zlib.h>

#include <algorithm>

#include "engine/artifact/formats.h"
#include "engine/artifact/text.h"
#include "engine/artifact/zip.h"
#include "engine/artifact/zip_record.h"

namespace driftseal::artifact {
namespace {

constexpr size_t kLocal = 30;
// Flag bits, APPNOTE 4.4.4.
constexpr uint16_t kEncrypted = 1 | 1 << 6 | 1 << 13, kDescriptor = 1 << 3;
constexpr uint16_t kHarmless = 3 << 1 | kDescriptor | 1 << 11;  // Compression level, descriptor, UTF-8 names.

absl::Status Bad(const Source& source, const ZipMember& member, std::string_view what) {
  return Malformed(source, Cat("zip: member ", Quoted(member.name), ": ", what));
}

// Sizes and checksum of a local header: the directory's own, or zeros where a descriptor behind the data has them.
bool LocalAgrees(const ZipRecord& local, uint64_t size, uint64_t stored_size, const ZipMember& member) {
  const bool same = local.U32(14) == member.crc && size == member.size && stored_size == member.stored_size;
  const bool deferred = (member.flags & kDescriptor) != 0 && local.U32(14) == 0 && (size == 0 || size == member.size) &&
                        (stored_size == 0 || stored_size == member.stored_size);
  return same || deferred;
}

absl::Status CheckLocalHeader(const Source& source, ZipMember& member, uint64_t end) {
  if (end - member.header < kLocal) return Bad(source, member, "no room for its local header");
  std::vector<std::byte> scratch;
  auto bytes = source.Read(member.header, kLocal, scratch);
  if (!bytes.ok()) return bytes.status();
  const size_t name = ZipRecord(*bytes).U16(26), extra = ZipRecord(*bytes).U16(28);
  if (end - member.header - kLocal < name + extra) return Bad(source, member, "no room for its local header");
  bytes = source.Read(member.header, kLocal + name + extra, scratch);
  if (!bytes.ok()) return bytes.status();
  const ZipRecord local(*bytes);
  if (local.U32(0) != 0x04034b50) return Bad(source, member, "no local header where the directory points to");
  if (local.Text(kLocal, name) != member.name) {
    return Bad(source, member, Cat("its local header names it ", Quoted(local.Text(kLocal, name))));
  }
  if (local.U16(6) != member.flags || local.U16(8) != member.method) {
    return Bad(source, member, "flags or compression method differ between local header and directory");
  }
  uint64_t size = local.U32(22), stored_size = local.U32(18);
  if (!WidenFromExtra(local.Bytes(kLocal + name, extra), size, stored_size, nullptr)) {
    return Bad(source, member, "malformed extra fields");
  }
  if (!LocalAgrees(local, size, stored_size, member)) {
    return Bad(source, member, "size or checksum differ between local header and directory");
  }
  member.offset = member.header + kLocal + name + extra;
  return absl::OkStatus();
}

// The data descriptor (APPNOTE 4.3.9) with its signature, sizes of 32 or 64 bits.
absl::Status CheckDescriptor(const Source& source, const ZipMember& member, uint64_t at, uint64_t length) {
  constexpr uint64_t kNarrow = 16, kWide = 24;
  if (length != kNarrow && length != kWide) return Bad(source, member, "expected a data descriptor behind its data");
  std::vector<std::byte> scratch;
  const auto bytes = source.Read(at, length, scratch);
  if (!bytes.ok()) return bytes.status();
  const ZipRecord record(*bytes);
  const bool narrow = length == kNarrow;
  const uint64_t stored_size = narrow ? record.U32(8) : record.U64(8), size = narrow ? record.U32(12) : record.U64(16);
  if (record.U32(0) == 0x08074b50 && record.U32(4) == member.crc && stored_size == member.stored_size &&
      size == member.size) {
    return absl::OkStatus();
  }
  return Bad(source, member, "size or checksum differ between its data descriptor and the directory");
}

// `end`: where the next member, or the directory, starts.
absl::Status CheckMember(const Source& source, ZipMember& member, uint64_t end) {
  if ((member.flags & kEncrypted) != 0) {
    return absl::PermissionDeniedError(Cat(source.name(), ": zip: member ", Quoted(member.name), " is encrypted"));
  }
  if ((member.flags & ~kHarmless) != 0) return Bad(source, member, Cat("flags ", member.flags, " are not understood"));
  if (!member.compressed() && member.size != member.stored_size) {
    return Bad(source, member, "stored, but its two sizes differ");
  }
  if (absl::Status status = CheckLocalHeader(source, member, end); !status.ok()) return status;
  if (member.stored_size > end - member.offset) return Bad(source, member, "overlaps what lies behind it");
  const uint64_t data_end = member.offset + member.stored_size;
  if ((member.flags & kDescriptor) != 0) return CheckDescriptor(source, member, data_end, end - data_end);
  if (data_end == end) return absl::OkStatus();
  return Bad(source, member, Cat(end - data_end, " bytes of no member lie behind it"));
}

}  // namespace

absl::Status CheckZipLayout(const Source& source, ZipDirectory& directory) {
  std::vector<ZipMember*> sorted;
  for (ZipMember& member : directory.members) sorted.push_back(&member);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->header < b->header; });
  if (!sorted.empty() && sorted.front()->header != 0) {
    return Malformed(source, Cat("zip: ", sorted.front()->header, " bytes of no member lie before the first one"));
  }
  for (size_t i = 0; i < sorted.size(); ++i) {
    const uint64_t end = i + 1 < sorted.size() ? sorted[i + 1]->header : directory.start;
    if (sorted[i]->header >= end) return Bad(source, *sorted[i], "overlaps another member or the directory");
    if (absl::Status status = CheckMember(source, *sorted[i], end); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status CheckZipChecksum(const Source& source, const ZipMember& member) {
  if (member.crc == 0 || member.compressed()) return absl::OkStatus();
  constexpr uint64_t kBlock = 1u << 20;
  std::vector<std::byte> scratch;
  uLong crc = crc32(0, nullptr, 0);
  for (uint64_t done = 0; done < member.size;) {
    const uint64_t length = std::min(kBlock, member.size - done);
    const auto bytes = source.Read(member.offset + done, length, scratch);
    if (!bytes.ok()) return bytes.status();
    crc = crc32(crc, reinterpret_cast<const Bytef*>(bytes->data()), static_cast<uInt>(length));
    done += length;
  }
  if (crc == member.crc) return absl::OkStatus();
  return Bad(source, member, "its bytes do not have the recorded checksum (CRC-32)");
}

}  // namespace driftseal::artifact
