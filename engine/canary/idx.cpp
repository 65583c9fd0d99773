#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <utility>

#include "engine/artifact/text.h"
#include "engine/canary/references.h"

namespace driftseal::canary {
namespace {

using artifact::Cat;
using artifact::Source;

constexpr size_t kPiece = 1 << 20;
constexpr size_t kMostDimensions = 8;
constexpr uint8_t kUnsignedByte = 0x08, kSignedByte = 0x09, kInt = 0x0C, kFloat = 0x0D;

bool IsGzip(std::span<const std::byte> head) {
  return head.size() >= 2 && head[0] == std::byte{0x1F} && head[1] == std::byte{0x8B};
}

// The bytes of a file from its start, unpacked where they are compressed. Takes no more memory than a piece, whatever
// the file says about its size.
class Stream {
 public:
  static absl::StatusOr<Stream> Open(const Source& source) {
    Stream stream(source);
    const uint64_t head = std::min<uint64_t>(2, source.size());
    const auto magic = source.Read(0, head, stream.packed_);
    if (!magic.ok()) return magic.status();
    if (IsGzip(*magic)) {
      stream.inflate_ = std::make_unique<z_stream>();
      if (::inflateInit2(stream.inflate_.get(), 16 + MAX_WBITS) != Z_OK) {
        return absl::ResourceExhaustedError(Cat(source.name(), ": no memory to unpack it"));
      }
    }
    return stream;
  }
  Stream(Stream&&) = default;
  Stream& operator=(Stream&&) = delete;
  ~Stream() {
    if (inflate_) ::inflateEnd(inflate_.get());
  }

  // Appends `length` bytes to `out`. InvalidArgument when the file ends before.
  absl::Status Take(uint64_t length, std::vector<uint8_t>& out) {
    while (length > 0) {
      const size_t piece = static_cast<size_t>(std::min<uint64_t>(length, kPiece));
      const size_t before = out.size();
      out.resize(before + piece);
      const absl::StatusOr<size_t> got = Some({out.data() + before, piece});
      if (!got.ok()) return got.status();
      out.resize(before + *got);
      if (*got == 0) {
        return absl::InvalidArgumentError(
            Cat(source_->name(), ": expected ", length, " more bytes, found the end of the file (truncated?)"));
      }
      length -= *got;
    }
    return absl::OkStatus();
  }
  absl::Status ExpectEnd() {
    uint8_t byte = 0;
    const absl::StatusOr<size_t> got = Some({&byte, 1});
    if (!got.ok()) return got.status();
    const bool behind = inflate_ && (inflate_->avail_in > 0 || at_ < source_->size());
    if (*got == 0 && !behind) return absl::OkStatus();
    return absl::InvalidArgumentError(
        Cat(source_->name(), ": expected the end of the file after the last element, found more bytes"));
  }

 private:
  explicit Stream(const Source& source) : source_(&source) {}

  // Up to out.size() bytes; 0 at the end.
  absl::StatusOr<size_t> Some(std::span<uint8_t> out) {
    if (!inflate_) {
      const uint64_t length = std::min<uint64_t>(out.size(), source_->size() - at_);
      if (length == 0) return size_t{0};
      const auto bytes = source_->Read(at_, length, packed_);
      if (!bytes.ok()) return bytes.status();
      std::memcpy(out.data(), bytes->data(), bytes->size());
      at_ += length;
      return static_cast<size_t>(length);
    }
    z_stream& z = *inflate_;
    z.next_out = out.data();
    z.avail_out = static_cast<uInt>(out.size());
    while (z.avail_out == out.size() && !ended_) {
      if (z.avail_in == 0) {
        if (const absl::Status status = Refill(); !status.ok()) return status;
      }
      const int code = ::inflate(&z, Z_NO_FLUSH);
      if (code == Z_STREAM_END) {
        ended_ = true;
      } else if (code != Z_OK && !(code == Z_BUF_ERROR && z.avail_in == 0)) {
        return absl::InvalidArgumentError(
            Cat(source_->name(), ": expected gzip, found ", z.msg == nullptr ? "other bytes" : z.msg));
      }
    }
    return out.size() - z.avail_out;
  }
  absl::Status Refill() {
    const uint64_t length = std::min<uint64_t>(kPiece, source_->size() - at_);
    if (length == 0) {
      return absl::InvalidArgumentError(
          Cat(source_->name(), ": expected the rest of the gzip stream, found the end of the file (truncated?)"));
    }
    const auto bytes = source_->Read(at_, length, packed_);
    if (!bytes.ok()) return bytes.status();
    at_ += length;
    // zlib reads from it only.
    inflate_->next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes->data()));
    inflate_->avail_in = static_cast<uInt>(bytes->size());
    return absl::OkStatus();
  }

  const Source* source_;
  uint64_t at_ = 0;
  std::unique_ptr<z_stream> inflate_;  // On the heap: zlib keeps its address.
  bool ended_ = false;
  std::vector<std::byte> packed_;
};

uint32_t BigEndian(const uint8_t* bytes) {
  return static_cast<uint32_t>(bytes[0]) << 24 | static_cast<uint32_t>(bytes[1]) << 16 |
         static_cast<uint32_t>(bytes[2]) << 8 | bytes[3];
}

struct Idx {
  uint8_t type = 0;
  std::vector<uint32_t> sizes;
  std::vector<uint8_t> bytes;  // Elements in row-major order, big-endian.
};

absl::StatusOr<size_t> WidthOf(uint8_t type, const Source& source) {
  if (type == kUnsignedByte || type == kSignedByte) return size_t{1};
  if (type == kInt || type == kFloat) return size_t{4};
  return absl::UnimplementedError(Cat(source.name(), ": IDX elements of type ", static_cast<int>(type),
                                      ", expected unsigned (8) or signed bytes (9), integers (12) or floats (13)"));
}

absl::StatusOr<Idx> ReadIdx(const Source& source) {
  absl::StatusOr<Stream> stream = Stream::Open(source);
  if (!stream.ok()) return stream.status();
  std::vector<uint8_t> head;
  if (absl::Status status = stream->Take(4, head); !status.ok()) return status;
  if (head[0] != 0 || head[1] != 0 || head[3] == 0 || head[3] > kMostDimensions) {
    return absl::InvalidArgumentError(Cat(source.name(), ": expected an IDX file of 1 to ", kMostDimensions,
                                          " dimensions (0, 0, type, dimensions), found other bytes"));
  }
  Idx idx;
  idx.type = head[2];
  const absl::StatusOr<size_t> width = WidthOf(idx.type, source);
  if (!width.ok()) return width.status();
  const size_t dimensions = head[3];
  if (absl::Status status = stream->Take(4 * dimensions, head); !status.ok()) return status;
  uint64_t bytes = *width;
  for (size_t d = 0; d < dimensions; ++d) {
    idx.sizes.push_back(BigEndian(head.data() + 4 + 4 * d));
    if (idx.sizes.back() == 0) {
      return absl::InvalidArgumentError(Cat(source.name(), ": dimension ", d, " is 0, expected at least 1"));
    }
    if (idx.sizes.back() > kMostDataBytes / bytes) {
      return absl::ResourceExhaustedError(Cat(source.name(), ": more than ", kMostDataBytes, " bytes of elements"));
    }
    bytes *= idx.sizes.back();
  }
  if (absl::Status status = stream->Take(bytes, idx.bytes); !status.ok()) return status;
  if (absl::Status status = stream->ExpectEnd(); !status.ok()) return status;
  if (absl::Status status = source.CheckUnchanged(); !status.ok()) return status;
  return idx;
}

absl::StatusOr<std::vector<int32_t>> LabelsOf(const Source& source, size_t count) {
  const absl::StatusOr<Idx> idx = ReadIdx(source);
  if (!idx.ok()) return idx.status();
  if (idx->sizes.size() != 1 || idx->sizes[0] != count) {
    return absl::InvalidArgumentError(Cat(source.name(), ": expected ", count, " labels in one dimension, found ",
                                          idx->sizes[0], " in ", idx->sizes.size()));
  }
  if (idx->type == kFloat) {
    return absl::InvalidArgumentError(Cat(source.name(), ": expected labels that are integers, found floats"));
  }
  std::vector<int32_t> labels(count);
  for (size_t i = 0; i < count; ++i) {
    labels[i] = idx->type == kInt          ? static_cast<int32_t>(BigEndian(idx->bytes.data() + 4 * i))
                : idx->type == kSignedByte ? static_cast<int8_t>(idx->bytes[i])
                                           : idx->bytes[i];
    if (labels[i] < -1 || labels[i] >= static_cast<int32_t>(replay::kMostClasses)) {
      return absl::InvalidArgumentError(Cat(source.name(), ": label ", i, " is ", labels[i],
                                            ", expected -1 (not known) or a class below ", replay::kMostClasses));
    }
  }
  return labels;
}

}  // namespace

bool LooksLikeIdx(const Source& source) {
  absl::StatusOr<Stream> stream = Stream::Open(source);
  std::vector<uint8_t> head;
  if (!stream.ok() || !stream->Take(4, head).ok()) return false;
  return head[0] == 0 && head[1] == 0 && head[2] >= 0x08 && head[2] <= 0x0E && head[3] > 0 &&
         head[3] <= kMostDimensions;
}

absl::StatusOr<LabelledData> DataFromIdx(const Source& inputs, const Source* labels) {
  absl::StatusOr<Idx> idx = ReadIdx(inputs);
  if (!idx.ok()) return idx.status();
  if (idx->sizes.size() < 2 || (idx->type != kUnsignedByte && idx->type != kFloat)) {
    return absl::InvalidArgumentError(Cat(inputs.name(), ": expected inputs of unsigned bytes or floats in 2 to ",
                                          kMostDimensions, " dimensions, found type ", static_cast<int>(idx->type),
                                          " in ", idx->sizes.size(), " (are these the labels?)"));
  }
  LabelledData data;
  const size_t count = idx->sizes[0];
  data.shape.assign(idx->sizes.begin() + 1, idx->sizes.end());
  if (data.elements() == 0) {
    return absl::ResourceExhaustedError(
        Cat(inputs.name(), ": an input has more than ", replay::kMostInputElements, " elements"));
  }
  if (count > kMostDataRows) {
    return absl::ResourceExhaustedError(Cat(inputs.name(), ": ", count, " inputs, the limit is ", kMostDataRows));
  }
  if (idx->type == kFloat) {
    data.floats.resize(idx->bytes.size() / 4);
    for (size_t i = 0; i < data.floats.size(); ++i) {
      data.floats[i] = std::bit_cast<float>(BigEndian(idx->bytes.data() + 4 * i));
    }
  } else {
    data.bytes = std::move(idx->bytes);
  }
  data.labels.assign(count, -1);
  if (labels != nullptr) {
    absl::StatusOr<std::vector<int32_t>> read = LabelsOf(*labels, count);
    if (!read.ok()) return read.status();
    data.labels = *std::move(read);
  }
  return data;
}

}  // namespace driftseal::canary
