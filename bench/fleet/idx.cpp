#include "bench/fleet/idx.h"

#include <zlib.h>

#include <array>
#include <cerrno>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace driftseal::fleet {
namespace {

constexpr uint64_t kByteLimit = 256u << 20;

struct CloseGzip {
  void operator()(gzFile file) const { gzclose(file); }
};
using Gzip = std::unique_ptr<gzFile_s, CloseGzip>;

bool ReadFully(gzFile file, void* out, size_t size) {
  return gzread(file, out, static_cast<unsigned>(size)) == static_cast<int>(size);
}

bool ReadBigEndian(gzFile file, uint32_t& out) {
  std::array<uint8_t, 4> b{};
  if (!ReadFully(file, b.data(), b.size())) return false;
  out = uint32_t{b[0]} << 24 | uint32_t{b[1]} << 16 | uint32_t{b[2]} << 8 | uint32_t{b[3]};
  return true;
}

}  // namespace

absl::StatusOr<IdxArray> ReadIdx(const std::string& path, size_t dimensions) {
  errno = 0;
  const Gzip file(gzopen(path.c_str(), "rb"));
  if (!file) return absl::ErrnoToStatus(errno != 0 ? errno : ENOMEM, path);
  gzbuffer(file.get(), 1u << 18);
  uint32_t magic = 0;
  if (!ReadBigEndian(file.get(), magic) || magic != 0x800u + dimensions) {
    return absl::DataLossError(
        absl::StrCat(path, ": expected IDX magic 0x80", dimensions, ", found 0x", absl::Hex(magic)));
  }
  IdxArray array;
  uint64_t total = 1;
  for (size_t i = 0; i < dimensions; ++i) {
    uint32_t size = 0;
    if (!ReadBigEndian(file.get(), size)) return absl::DataLossError(absl::StrCat(path, ": ends within its header"));
    if (size == 0 || size > kByteLimit / total) {
      return absl::DataLossError(absl::StrCat(path, ": dimension ", i, " is ", size, ", expected 1.. and at most ",
                                              kByteLimit, " bytes in all"));
    }
    total *= size;
    array.shape.push_back(size);
  }
  array.bytes.resize(total);
  if (!ReadFully(file.get(), array.bytes.data(), total)) {
    return absl::DataLossError(absl::StrCat(path, ": ends early, expected ", total, " bytes after the header"));
  }
  return array;
}

}  // namespace driftseal::fleet
