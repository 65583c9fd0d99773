// What the service and its workers read from the engine: any bytes are a request or are refused as INVALID_ARGUMENT
// with a message; what was read is written as the same bytes. The canary set has a target of its own (canary_set.cpp).
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
  const auto job = DecodeJob(bytes);
  Check(job, bytes);
  if (job.ok()) Require(job->model_length > 0 && job->options.size() <= kOptionsLimit);
  Check(DecodeSpawn(bytes), bytes);
  return 0;
}
