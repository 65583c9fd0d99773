// What the engine reads from a worker that a model has taken over, and from the service: a message of any bytes is
// either an answer to the job or refused as INVALID_ARGUMENT with a message; what was read is written as the same
// bytes. What lies in the answer's memory has a target of its own (behaviour.cpp).
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "engine/replay/protocol/message.h"

namespace {

using namespace driftseal::replay;

void Require(bool holds) {
  if (!holds) std::abort();
}

template <class T>
void Check(const absl::StatusOr<T>& message, std::string_view bytes) {
  if (!message.ok()) {
    Require(absl::IsInvalidArgument(message.status()) && !message.status().message().empty());
  } else {
    Require(Encode(*message) == bytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Job job;
  job.id = 7;
  job.answer_capacity = 4096;
  const auto answer = DecodeAnswer(bytes, job);
  Check(answer, bytes);
  if (answer.ok()) Require(answer->id == 7 && answer->length <= 4096 && answer->text.size() <= kTextLimit);
  Check(DecodeHello(bytes), bytes);
  Check(DecodeExited(bytes), bytes);
  Check(DecodeRefused(bytes), bytes);
  return 0;
}
