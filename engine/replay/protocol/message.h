#ifndef DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_MESSAGE_H_
#define DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_MESSAGE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/replay/protocol/behaviour.h"

// What the engine and `driftseal-replay --serve` say to each other over sockets that keep messages apart
// (SOCK_SEQPACKET): docs/formats/replay.md. A message is small and complete; what is large travels as a descriptor of
// shared memory beside it (memory.h).
namespace driftseal::replay {

inline constexpr uint16_t kServiceVersion = 1;
inline constexpr size_t kMessageLimit = 8192;  ///< Bytes of one message.
inline constexpr size_t kTextLimit = 2000;     ///< Of an error's text.
inline constexpr size_t kOptionsLimit = 4096;  ///< Of a job's options.
inline constexpr size_t kMostMeasures = 16;
inline constexpr uint64_t kModelLimit = uint64_t{1} << 33;
inline constexpr uint64_t kSetLimit = uint64_t{1} << 33;
inline constexpr uint64_t kAnswerLimit = uint64_t{1} << 30;

/// Identifies the bytes of a canary set: their SHA-256.
using SetKey = std::array<uint8_t, 32>;

/// One measure of the sandbox, as the service found it.
struct Measure {
  std::string name;  ///< At most 32 bytes.
  bool active = false;
  std::string problem;  ///< Why it is not; at most 200 bytes.
  bool operator==(const Measure&) const = default;
};

/// Service to engine, once, when it is ready.
struct Hello {
  std::vector<Measure> measures;
};

/// Engine to service: fork a worker. Descriptors: the worker's end of its socket, the service's end of the socket on
/// which it tells the worker's end, a pipe for what the worker prints, the canary set's memory.
struct Spawn {
  uint64_t memory_limit = 0;       ///< Bytes of address space on top of what the service has.
  uint32_t processor_seconds = 0;  ///< 0: no limit.
  SetKey set_key{};
  uint64_t set_length = 0;
};
inline constexpr size_t kSpawnDescriptors = 4;

/// Service to engine on the life socket: the worker has ended, and was reaped.
struct Exited {
  int32_t wait_status = 0;  ///< As waitpid gives it.
  uint64_t processor_us = 0, peak_kib = 0;
};

/// Service to engine on the life socket: no worker could be started.
struct Refused {
  std::string text;
};

enum class JobKind : uint8_t { kReplay = 1, kProbe = 2 };

/// Engine to worker. Descriptors: the model's memory, the answer's memory, the canary set's memory.
struct Job {
  uint64_t id = 0;
  JobKind kind = JobKind::kReplay;
  ModelRuntime runtime = ModelRuntime::kTorchScript;
  uint64_t model_length = 0, answer_capacity = 0;
  SetKey set_key{};
  uint64_t set_length = 0;
  std::string options;  ///< JSON of ProbeOptions.
};
inline constexpr size_t kJobDescriptors = 3;

/// Worker to engine. With kOk, `length` bytes stand at the start of the answer's memory; otherwise `text` says why not.
struct Answer {
  uint64_t id = 0;
  absl::StatusCode code = absl::StatusCode::kOk;  ///< kOk, kInvalidArgument, kResourceExhausted or kInternal.
  uint64_t length = 0;
  std::string text;
};

/// Texts that are longer than their limit are cut.
std::string Encode(const Hello& message);
std::string Encode(const Spawn& message);
std::string Encode(const Exited& message);
std::string Encode(const Refused& message);
std::string Encode(const Job& message);
std::string Encode(const Answer& message);

enum class MessageKind : uint16_t { kHello = 1, kSpawn, kExited, kRefused, kJob, kAnswer };
/// The kind of a message by its first 8 bytes. InvalidArgument: no message of this protocol and version.
absl::StatusOr<MessageKind> KindOf(std::string_view message);

/// InvalidArgument, naming the field, for a message of another kind, version or length, and for a value that is out of
/// its range. Nothing is allocated beyond the message's own length.
absl::StatusOr<Hello> DecodeHello(std::string_view message);
absl::StatusOr<Spawn> DecodeSpawn(std::string_view message);
absl::StatusOr<Exited> DecodeExited(std::string_view message);
absl::StatusOr<Refused> DecodeRefused(std::string_view message);
absl::StatusOr<Job> DecodeJob(std::string_view message);
/// Checks the answer against the job it has to answer.
absl::StatusOr<Answer> DecodeAnswer(std::string_view message, const Job& job);

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_MESSAGE_H_
