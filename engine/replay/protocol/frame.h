#ifndef DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_FRAME_H_
#define DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_FRAME_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// What goes over the pipes between the engine and driftseal-replay: one request on its standard input, one response on
// its standard output, each a frame
//
//   8 bytes   "DSREPLY1"
//   8 bytes   length of the payload, little-endian
//   payload   a safetensors file: numbers as tensors, everything else as JSON in its metadata (train.h)
namespace driftseal::replay {

inline constexpr size_t kFrameHeader = 16;
/// No payload is longer; a length field above it is an error before a byte is allocated.
inline constexpr uint64_t kPayloadLimit = uint64_t{1} << 30;

std::array<char, kFrameHeader> FrameHeader(uint64_t payload);
/// The payload's length. InvalidArgument for another magic or a length above kPayloadLimit.
absl::StatusOr<uint64_t> ParseFrameHeader(std::span<const char, kFrameHeader> header);

/// Blocking, for the replay process itself. DataLoss when the other side ended before the frame did.
absl::StatusOr<std::string> ReadFrame(int fd);
absl::Status WriteFrame(int fd, std::string_view payload);

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_FRAME_H_
