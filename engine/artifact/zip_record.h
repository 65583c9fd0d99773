#ifndef DRIFTSEAL_ENGINE_ARTIFACT_ZIP_RECORD_H_
#define DRIFTSEAL_ENGINE_ARTIFACT_ZIP_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace driftseal::artifact {

/// Little-endian fields of a record of fixed length that the caller has checked to be there.
class ZipRecord {
 public:
  explicit ZipRecord(std::span<const std::byte> bytes) : bytes_(bytes) {}
  uint16_t U16(size_t at) const { return Get<uint16_t>(at); }
  uint32_t U32(size_t at) const { return Get<uint32_t>(at); }
  uint64_t U64(size_t at) const { return Get<uint64_t>(at); }
  std::string_view Text(size_t at, size_t length) const {
    return {reinterpret_cast<const char*>(bytes_.data()) + at, length};
  }
  std::span<const std::byte> Bytes(size_t at, size_t length) const { return bytes_.subspan(at, length); }

 private:
  template <typename T>
  T Get(size_t at) const {
    T value;
    std::memcpy(&value, bytes_.data() + at, sizeof(T));
    return value;
  }
  std::span<const std::byte> bytes_;
};

inline constexpr uint32_t kZipAllOnes = 0xffffffff;  ///< "See the zip64 field."

/// Sizes of a header, widened in place from the zip64 extra field (id 1), which holds those that are all ones, in this
/// order. False when the extra fields are malformed, or hold a second name (id 0x7075).
bool WidenFromExtra(std::span<const std::byte> extra, uint64_t& size, uint64_t& stored_size, uint64_t* header);

}  // namespace driftseal::artifact

#endif  // DRIFTSEAL_ENGINE_ARTIFACT_ZIP_RECORD_H_
