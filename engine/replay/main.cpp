// driftseal-replay: the only program that loads LibTorch to work on what the engine hands it. Without arguments it
// reads one request from its standard input, writes one response to its standard output, and ends: protocol/frame.h and
// protocol/train.h. With --serve it runs models for the engine that started it: docs/formats/replay.md.
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <string_view>

#include "engine/replay/limits.h"
#include "engine/replay/models.h"
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

int main(int argc, char** argv) {
  try {
    if (argc == 2 && std::string_view(argv[1]) == "--serve") {
      return driftseal::replay::Serve({}, driftseal::replay::ModelHandlers());
    }
    return driftseal::replay::Run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "driftseal-replay: %s\n", error.what());
    return 3;
  }
}
