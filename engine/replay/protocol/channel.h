#ifndef DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_CHANNEL_H_
#define DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_CHANNEL_H_

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/artifact/posix.h"

// Messages with descriptors over Unix sockets that keep messages apart, and shared memory that neither side can change
// under the other.
namespace driftseal::replay {

using artifact::UniqueFd;

/// Both ends of a new SOCK_SEQPACKET socket, closed on exec.
absl::StatusOr<std::pair<UniqueFd, UniqueFd>> MakeChannel();

/// One message, not waiting for the other side. Unavailable: it is gone. ResourceExhausted: it does not read.
absl::Status SendMessage(int fd, std::string_view message, std::span<const int> descriptors = {});

enum class Arrival { kMessage, kNothing, kClosed };
struct Received {
  Arrival arrival = Arrival::kNothing;
  std::string message;
  std::vector<UniqueFd> descriptors;
};
/// One message if there is one (`wait`: when there is one) with at most `most_descriptors`; more are dropped by the
/// kernel and are an error, as is a message of more than kMessageLimit bytes. A message without bytes counts as closed:
/// the kernel does not tell them apart.
absl::StatusOr<Received> ReceiveMessage(int fd, size_t most_descriptors, bool wait);

/// Memory with these bytes that nobody can change any more: sealed against writing, shrinking, growing and unsealing.
absl::StatusOr<UniqueFd> SealedMemory(const char* name, std::span<const std::byte> bytes);
/// Memory of a fixed size that both may write to.
absl::StatusOr<UniqueFd> FixedMemory(const char* name, uint64_t bytes);
/// The first `length` bytes, copied: the other side may still write to the memory.
absl::StatusOr<std::string> CopyOut(int memory, uint64_t length);

/// A mapped memory. Read-only ones must be sealed, and of exactly the length that was announced; writable ones must be
/// sealed against shrinking: InvalidArgument otherwise.
class Mapping {
 public:
  static absl::StatusOr<Mapping> ReadOnly(int memory, uint64_t length);
  static absl::StatusOr<Mapping> Writable(int memory, uint64_t length);
  Mapping(Mapping&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}
  Mapping& operator=(Mapping&&) = delete;
  ~Mapping();
  std::span<std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  Mapping(std::byte* data, size_t size) : data_(data), size_(size) {}
  static absl::StatusOr<Mapping> Map(int memory, uint64_t length, int seals, bool writable);
  std::byte* data_;
  size_t size_;
};

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_CHANNEL_H_
