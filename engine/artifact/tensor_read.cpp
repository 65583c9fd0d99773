#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/artifact/formats.h"
#include "engine/artifact/limits.h"
#include "engine/artifact/text.h"

static_assert(std::endian::native == std::endian::little, "the formats read here are little-endian");

namespace driftseal::artifact {
namespace {

// IEEE 754 binary16, exact.
float FromHalf(uint16_t bits) {
  const uint32_t sign = uint32_t{bits & 0x8000u} << 16, exponent = (bits >> 10) & 31, mantissa = bits & 0x3ffu;
  if (exponent == 0) {  // Zero or subnormal: mantissa × 2^-24.
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  const uint32_t wide = exponent == 31 ? 255 : exponent + 112;  // Bias 15 to bias 127.
  return std::bit_cast<float>(sign | wide << 23 | mantissa << 13);
}

// OCP 8-bit floating point, E4M3: bias 7, no infinities, NaN where all other bits are set.
float FromE4M3(uint8_t bits) {
  const uint32_t exponent = (bits >> 3) & 15, mantissa = bits & 7u;
  float magnitude = 0;
  if (exponent == 15 && mantissa == 7) {
    magnitude = std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = static_cast<float>(mantissa) * 0x1p-9f;
  } else {
    magnitude = std::ldexp(static_cast<float>(8 + mantissa), static_cast<int>(exponent) - 10);
  }
  return bits & 0x80 ? -magnitude : magnitude;
}

// OCP 8-bit floating point, E5M2: the upper byte of a binary16.
float FromE5M2(uint8_t bits) { return FromHalf(static_cast<uint16_t>(bits << 8)); }

template <typename T>
T Load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

// `count` elements from `from`, `stride` bytes apart.
template <typename Convert>
void ConvertRow(const std::byte* from, uint64_t stride, uint64_t count, float* to, Convert convert) {
  for (uint64_t i = 0; i < count; ++i) to[i] = convert(from + i * stride);
}

template <typename T>
float Cast(const std::byte* at) {
  return static_cast<float>(Load<T>(at));
}

void ReadRow(DType type, const std::byte* from, uint64_t stride, uint64_t count, float* to) {
  const auto row = [&](auto convert) { ConvertRow(from, stride, count, to, convert); };
  switch (type) {
    case DType::kF32:
      if (stride == sizeof(float)) {
        std::memcpy(to, from, count * sizeof(float));
        return;
      }
      return row(Cast<float>);
    case DType::kF64:
      return row(Cast<double>);
    case DType::kF16:
      return row([](const std::byte* at) { return FromHalf(Load<uint16_t>(at)); });
    case DType::kBF16:
      return row([](const std::byte* at) { return std::bit_cast<float>(uint32_t{Load<uint16_t>(at)} << 16); });
    case DType::kF8E4M3:
      return row([](const std::byte* at) { return FromE4M3(Load<uint8_t>(at)); });
    case DType::kF8E5M2:
      return row([](const std::byte* at) { return FromE5M2(Load<uint8_t>(at)); });
    case DType::kI64:
      return row(Cast<int64_t>);
    case DType::kI32:
      return row(Cast<int32_t>);
    case DType::kI16:
      return row(Cast<int16_t>);
    case DType::kI8:
      return row(Cast<int8_t>);
    case DType::kU64:
      return row(Cast<uint64_t>);
    case DType::kU32:
      return row(Cast<uint32_t>);
    case DType::kU16:
      return row(Cast<uint16_t>);
    case DType::kU8:
      return row(Cast<uint8_t>);
    case DType::kBool:
      return row([](const std::byte* at) { return *at != std::byte{0} ? 1.0f : 0.0f; });
    case DType::kC64:
      return row([](const std::byte* at) { return std::hypot(Load<float>(at), Load<float>(at + sizeof(float))); });
  }
}

constexpr uint64_t kBlock = 4u << 20;

absl::Status ReadContiguous(const Source& source, const TensorInfo& tensor, std::span<float> out) {
  const uint64_t width = DTypeBytes(tensor.dtype), step = kBlock / width;
  std::vector<std::byte> scratch;
  for (uint64_t done = 0; done < out.size();) {
    const uint64_t count = std::min<uint64_t>(step, out.size() - done);
    const auto bytes = source.Read(tensor.offset + done * width, count * width, scratch);
    if (!bytes.ok()) return bytes.status();
    ReadRow(tensor.dtype, bytes->data(), width, count, out.data() + done);
    done += count;
  }
  return absl::OkStatus();
}

// Element distance from a tensor's first element to its last, or nothing when that overflows.
std::optional<uint64_t> Reach(const TensorInfo& tensor) {
  uint64_t reach = 0;
  for (size_t d = 0; d < tensor.shape.size(); ++d) {
    uint64_t step = 0;
    if (__builtin_mul_overflow(tensor.shape[d] - 1, tensor.strides[d], &step) ||
        __builtin_add_overflow(reach, step, &reach) || reach > kMaxTensorBytes) {
      return std::nullopt;
    }
  }
  return reach;
}

// Calls row(first element, index of its first output) for each run along the last dimension.
template <typename Row>
absl::Status ForEachRow(const TensorInfo& tensor, Row row) {
  const size_t outer = tensor.shape.size() - 1;
  const uint64_t length = tensor.shape[outer];
  std::vector<uint64_t> index(outer, 0);
  uint64_t element = 0, rows = tensor.Elements() / length;
  for (uint64_t r = 0; r < rows; ++r) {
    if (absl::Status status = row(element, r * length); !status.ok()) return status;
    for (size_t d = outer; d-- > 0;) {
      element += tensor.strides[d];
      if (++index[d] < tensor.shape[d]) break;
      element -= tensor.shape[d] * tensor.strides[d];
      index[d] = 0;
    }
  }
  return absl::OkStatus();
}

absl::Status ReadStrided(const Source& source, const TensorInfo& tensor, uint64_t reach, std::span<float> out) {
  const uint64_t width = DTypeBytes(tensor.dtype), length = tensor.shape.back(), stride = tensor.strides.back();
  std::vector<std::byte> scratch;
  // A view that covers most of what it spans is read in one piece: transposed matrices, slices.
  const bool dense = reach / 8 <= out.size();
  if (dense) {
    const auto bytes = source.Read(tensor.offset, (reach + 1) * width, scratch);
    if (!bytes.ok()) return bytes.status();
    return ForEachRow(tensor, [&](uint64_t element, uint64_t at) {
      ReadRow(tensor.dtype, bytes->data() + element * width, stride * width, length, out.data() + at);
      return absl::OkStatus();
    });
  }
  return ForEachRow(tensor, [&](uint64_t element, uint64_t at) {
    for (uint64_t i = 0; i < length; ++i) {
      const auto bytes = source.Read(tensor.offset + (element + i * stride) * width, width, scratch);
      if (!bytes.ok()) return bytes.status();
      ReadRow(tensor.dtype, bytes->data(), width, 1, out.data() + at + i);
    }
    return absl::OkStatus();
  });
}

}  // namespace

absl::Status ReadTensor(const Source& source, const TensorInfo& tensor, uint64_t limit, std::vector<float>& out) {
  const std::string where = Cat("tensor ", Quoted(tensor.name), ": ");
  if (!TensorBytes(tensor.shape, tensor.dtype)) return Malformed(source, Cat(where, "the size overflows"));
  const uint64_t elements = tensor.Elements();
  if (elements > limit) return OverLimit(source, Cat(where, "elements"), elements, limit);
  if (!tensor.strides.empty() && tensor.strides.size() != tensor.shape.size()) {
    return Malformed(source, Cat(where, "expected as many strides as dimensions"));
  }
  out.clear();
  if (elements == 0) return absl::OkStatus();
  // Checked before memory is taken for it: the last element lies within the file.
  const std::optional<uint64_t> reach = tensor.strides.empty() ? elements - 1 : Reach(tensor);
  const uint64_t width = DTypeBytes(tensor.dtype);
  if (!reach || tensor.offset > source.size() || (source.size() - tensor.offset) / width <= *reach) {
    return absl::OutOfRangeError(Cat(source.name(), ": ", where, "ends behind the end of the file"));
  }
  out.resize(elements);
  return tensor.strides.empty() ? ReadContiguous(source, tensor, out) : ReadStrided(source, tensor, *reach, out);
}

}  // namespace driftseal::artifact
