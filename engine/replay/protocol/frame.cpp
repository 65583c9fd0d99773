#include "engine/replay/protocol/frame.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace driftseal::replay {
namespace {

constexpr std::string_view kMagic = "DSREPLY1";
constexpr size_t kPiece = size_t{1} << 20;

/// Reads until `n` bytes are there.
absl::Status ReadFull(int fd, char* out, size_t n) {
  for (size_t done = 0; done < n;) {
    const ssize_t got = read(fd, out + done, n - done);
    if (got > 0) {
      done += static_cast<size_t>(got);
    } else if (got == 0) {
      return absl::DataLossError(absl::StrCat("the frame ended after ", done, " of ", n, " bytes"));
    } else if (errno != EINTR) {
      return absl::ErrnoToStatus(errno, "reading a frame");
    }
  }
  return absl::OkStatus();
}

absl::Status WriteFull(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = write(fd, bytes.data(), bytes.size());
    if (put >= 0) {
      bytes.remove_prefix(static_cast<size_t>(put));
    } else if (errno != EINTR) {
      return absl::ErrnoToStatus(errno, "writing a frame");
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::array<char, kFrameHeader> FrameHeader(uint64_t payload) {
  std::array<char, kFrameHeader> header{};
  std::copy(kMagic.begin(), kMagic.end(), header.begin());
  for (size_t i = 0; i < 8; ++i) header[8 + i] = static_cast<char>((payload >> (8 * i)) & 0xff);
  return header;
}

absl::StatusOr<uint64_t> ParseFrameHeader(std::span<const char, kFrameHeader> header) {
  if (std::string_view(header.data(), 8) != kMagic) {
    return absl::InvalidArgumentError("a frame does not begin with " + std::string(kMagic));
  }
  uint64_t payload = 0;
  for (size_t i = 0; i < 8; ++i) payload |= uint64_t{static_cast<unsigned char>(header[8 + i])} << (8 * i);
  if (payload > kPayloadLimit) {
    return absl::InvalidArgumentError(absl::StrCat("a frame of ", payload, " bytes; the limit is ", kPayloadLimit));
  }
  return payload;
}

absl::StatusOr<std::string> ReadFrame(int fd) {
  std::array<char, kFrameHeader> header;
  if (absl::Status status = ReadFull(fd, header.data(), header.size()); !status.ok()) return status;
  absl::StatusOr<uint64_t> length = ParseFrameHeader(header);
  if (!length.ok()) return length.status();
  std::string payload;
  while (payload.size() < *length) {  // grows with the bytes that came, not with the length that was claimed
    const size_t piece = std::min<uint64_t>(kPiece, *length - payload.size());
    payload.resize(payload.size() + piece);
    if (absl::Status status = ReadFull(fd, payload.data() + payload.size() - piece, piece); !status.ok()) return status;
  }
  return payload;
}

absl::Status WriteFrame(int fd, std::string_view payload) {
  const auto header = FrameHeader(payload.size());
  if (absl::Status status = WriteFull(fd, {header.data(), header.size()}); !status.ok()) return status;
  return WriteFull(fd, payload);
}

}  // namespace driftseal::replay
