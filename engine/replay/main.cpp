// driftseal-replay: the only program that loads LibTorch to work on what the engine hands it. Reads one request from
// its standard input, writes one response to its standard output, and ends. See protocol/frame.h and protocol/train.h.
#include <unistd.h>

#include <cstdio>
#include <exception>

#include "engine/replay/limits.h"
#include "engine/replay/protocol/frame.h"
#include "engine/replay/train.h"

namespace driftseal::replay {
namespace {

absl::StatusOr<std::string> Answer() {
  absl::StatusOr<std::string> payload = ReadFrame(STDIN_FILENO);
  if (!payload.ok()) return payload.status();
  absl::StatusOr<TrainRequest> request = DecodeRequest(*payload);
  if (!request.ok()) return request.status();
  absl::StatusOr<TrainResponse> response = Train(*request);
  if (!response.ok()) return response.status();
  return EncodeResponse(*response);
}

int Run() {
  if (absl::Status status = LimitSelf(); !status.ok()) {
    std::fprintf(stderr, "driftseal-replay: %s\n", status.ToString().c_str());
    return 3;
  }
  absl::StatusOr<std::string> answer = Answer();
  const absl::Status written = WriteFrame(STDOUT_FILENO, answer.ok() ? *answer : EncodeError(answer.status()));
  if (!written.ok()) std::fprintf(stderr, "driftseal-replay: %s\n", written.ToString().c_str());
  return written.ok() ? 0 : 3;
}

}  // namespace
}  // namespace driftseal::replay

int main() {
  try {
    return driftseal::replay::Run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "driftseal-replay: %s\n", error.what());
    return 3;
  }
}
