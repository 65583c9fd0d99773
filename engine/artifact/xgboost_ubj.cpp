#include <bit>
#include <cstring>
#include <optional>

#include "engine/artifact/booster_builder.h"
#include "engine/artifact/formats.h"
#include "engine/artifact/text.h"

// Universal Binary JSON, draft 12 (https://ubjson.org), as far as XGBoost's own reader goes (src/common/json.cc,
// UBJReader): no high-precision numbers and no no-op values. A library's reader would turn every byte of a typed array
// into a call, and expand "[$Z#L<count>", which holds count values in no bytes at all.
namespace driftseal::artifact {
namespace {

constexpr uint64_t kMaxDocument = 1u << 30;

class UbjReader {
 public:
  UbjReader(std::string_view bytes, BoosterBuilder& builder) : bytes_(bytes), builder_(builder) {}

  absl::Status Run() {
    if (absl::Status status = Value(); !status.ok()) return status;
    if (at_ != bytes_.size()) return Bad(Cat(bytes_.size() - at_, " bytes follow the document"));
    return absl::OkStatus();
  }

 private:
  absl::Status Bad(std::string_view what) const { return builder_.Bad(Cat("malformed UBJ at byte ", at_, ": ", what)); }

  bool Has(uint64_t count) const { return count <= bytes_.size() - at_; }

  absl::Status Marker(char& out) {
    if (!Has(1)) return Bad("truncated");
    out = bytes_[at_++];
    return absl::OkStatus();
  }

  // Big-endian, of the unsigned type as wide as T.
  template <typename T>
  T Load() {
    using Bits = std::conditional_t<
        sizeof(T) == 1, uint8_t,
        std::conditional_t<sizeof(T) == 2, uint16_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>>;
    Bits bits;
    std::memcpy(&bits, bytes_.data() + at_, sizeof(bits));
    at_ += sizeof(bits);
    if constexpr (sizeof(T) == 2) bits = __builtin_bswap16(bits);
    if constexpr (sizeof(T) == 4) bits = __builtin_bswap32(bits);
    if constexpr (sizeof(T) == 8) bits = __builtin_bswap64(bits);
    return std::bit_cast<T>(bits);
  }

  static size_t Width(char type) {
    switch (type) {
      case 'i':
      case 'U':
      case 'C':
        return 1;
      case 'I':
        return 2;
      case 'l':
      case 'd':
        return 4;
      case 'L':
      case 'D':
        return 8;
      default:
        return 0;
    }
  }

  // A number of a type whose bytes have been checked to be there.
  absl::Status Number(char type) {
    switch (type) {
      case 'i':
        return builder_.Integer(Load<int8_t>());
      case 'U':
        return builder_.Integer(Load<uint8_t>());
      case 'I':
        return builder_.Integer(Load<int16_t>());
      case 'l':
        return builder_.Integer(Load<int32_t>());
      case 'L':
        return builder_.Integer(Load<int64_t>());
      case 'd':
        return builder_.Number(Load<float>());
      case 'D':
        return builder_.Number(Load<double>());
      default:
        return builder_.String(bytes_.substr(at_++, 1));  // C
    }
  }

  absl::Status Length(uint64_t& out) {
    char type = 0;
    if (absl::Status status = Marker(type); !status.ok()) return status;
    if (type == 'C' || type == 'd' || type == 'D' || Width(type) == 0) return Bad("expected an integer for a length");
    if (!Has(Width(type))) return Bad("truncated");
    int64_t length = 0;
    switch (type) {
      case 'i':
        length = Load<int8_t>();
        break;
      case 'U':
        length = Load<uint8_t>();
        break;
      case 'I':
        length = Load<int16_t>();
        break;
      case 'l':
        length = Load<int32_t>();
        break;
      default:
        length = Load<int64_t>();
        break;
    }
    if (length < 0) return Bad("a negative length");
    out = static_cast<uint64_t>(length);
    return absl::OkStatus();
  }

  absl::Status Text(std::string_view& out) {
    uint64_t length = 0;
    if (absl::Status status = Length(length); !status.ok()) return status;
    if (!Has(length)) return Bad(Cat("a text of ", length, " bytes, more than follow"));
    out = bytes_.substr(at_, length);
    at_ += length;
    return absl::OkStatus();
  }

  absl::Status Value() {
    char type = 0;
    std::string_view text;
    if (absl::Status status = Marker(type); !status.ok()) return status;
    switch (type) {
      case '{':
        return Object();
      case '[':
        return Array();
      case 'Z':
        return builder_.Null();
      case 'T':
        return builder_.Bool(true);
      case 'F':
        return builder_.Bool(false);
      case 'S':
        if (absl::Status status = Text(text); !status.ok()) return status;
        return builder_.String(text);
      default:
        if (Width(type) == 0) return Bad(Cat("unexpected marker ", Quoted(std::string_view(&type, 1))));
        if (!Has(Width(type))) return Bad("truncated");
        return Number(type);
    }
  }

  // The optional head of a container: "$" and a type, "#" and a count.
  absl::Status Head(std::optional<char>& type, std::optional<uint64_t>& count) {
    if (Has(1) && bytes_[at_] == '$') {
      ++at_;
      char of = 0;
      if (absl::Status status = Marker(of); !status.ok()) return status;
      if (Width(of) == 0) return Bad("a typed container of other than numbers");
      type = of;
    }
    if (Has(1) && bytes_[at_] == '#') {
      ++at_;
      if (absl::Status status = Length(count.emplace()); !status.ok()) return status;
      // Every value takes at least a byte, so that no count can promise more values than the file has bytes.
      const uint64_t width = type ? Width(*type) : 1;
      if (*count > (bytes_.size() - at_) / width)
        return Bad(Cat("a container of ", *count, " values, more than follow"));
    }
    return type && !count ? Bad("a typed container without a count") : absl::OkStatus();
  }

  // Whether an uncounted container ends here.
  bool Ends(char closing) {
    if (!Has(1) || bytes_[at_] != closing) return false;
    ++at_;
    return true;
  }

  absl::Status Array() {
    std::optional<char> type;
    std::optional<uint64_t> count;
    if (absl::Status status = Head(type, count); !status.ok()) return status;
    if (absl::Status status = builder_.StartArray(); !status.ok()) return status;
    for (uint64_t i = 0; count ? i < *count : !Ends(']'); ++i) {
      if (absl::Status status = type ? Number(*type) : Value(); !status.ok()) return status;
    }
    return builder_.EndArray();
  }

  absl::Status Object() {
    std::optional<char> type;
    std::optional<uint64_t> count;
    if (absl::Status status = Head(type, count); !status.ok()) return status;
    if (type) return Bad("a typed object");
    if (absl::Status status = builder_.StartObject(); !status.ok()) return status;
    for (uint64_t i = 0; count ? i < *count : !Ends('}'); ++i) {
      std::string_view key;
      if (absl::Status status = Text(key); !status.ok()) return status;
      if (absl::Status status = builder_.Key(key); !status.ok()) return status;
      if (absl::Status status = Value(); !status.ok()) return status;
    }
    return builder_.EndObject();
  }

  const std::string_view bytes_;
  BoosterBuilder& builder_;
  size_t at_ = 0;
};

}  // namespace

absl::StatusOr<Booster> ReadXgboostUbj(const Source& source) {
  std::vector<std::byte> scratch;
  const auto bytes = source.ReadAll(kMaxDocument, scratch);
  if (!bytes.ok()) return bytes.status();
  BoosterBuilder builder(source.name());
  UbjReader reader({reinterpret_cast<const char*>(bytes->data()), bytes->size()}, builder);
  if (absl::Status status = reader.Run(); !status.ok()) return status;
  return builder.Finish();
}

}  // namespace driftseal::artifact
