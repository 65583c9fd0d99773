#ifndef DRIFTSEAL_ENGINE_ARTIFACT_ZIP_H_
#define DRIFTSEAL_ENGINE_ARTIFACT_ZIP_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/artifact/source.h"

// The structure of a zip archive (PKWARE APPNOTE.TXT 6.3.10), read for where the members' bytes lie in the file. No
// library is asked: libzip does not tell offsets, and an archive that two readers could read differently must be
// refused here, not repaired. Nothing is ever inflated.
namespace driftseal::artifact {

struct ZipMember {
  std::string name;
  uint64_t header = 0;  ///< Of the local header, from the start of the file.
  uint64_t offset = 0;  ///< Of the first byte of data; set by CheckZipLayout.
  uint64_t stored_size = 0, size = 0;
  uint32_t crc = 0;
  uint16_t flags = 0, method = 0;
  bool compressed() const { return method != 0; }
};

class ZipDirectory {
 public:
  /// In the order of the central directory.
  std::vector<ZipMember> members;
  uint64_t start = 0;  ///< Of the central directory.

  const ZipMember* Find(std::string_view name) const;
  /// False when a member of that name, letters' case aside, is already there: the loaders' look-up ignores case.
  bool Index(size_t member);

 private:
  absl::flat_hash_map<std::string, size_t> by_folded_name_;
};

/// The central directory alone. InvalidArgument, ResourceExhausted.
absl::StatusOr<ZipDirectory> ReadZipDirectory(const Source& source);

/// Holds the local headers against the directory and sets the members' offsets. The members must tile the file from its
/// first byte to the directory: nothing overlaps, nothing lies between them, in front or behind, and names, sizes,
/// methods and checksums agree. InvalidArgument; PermissionDenied for encrypted members.
absl::Status CheckZipLayout(const Source& source, ZipDirectory& directory);

/// Compares a stored member's bytes with its CRC-32. A checksum of 0 is taken as "not computed", which is what torch
/// writes after torch.serialization.set_crc32_options(False).
absl::Status CheckZipChecksum(const Source& source, const ZipMember& member);

}  // namespace driftseal::artifact

#endif  // DRIFTSEAL_ENGINE_ARTIFACT_ZIP_H_
