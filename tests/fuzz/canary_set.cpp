// A canary set comes from a user's disk or over the network; what is read must be a valid one and come out the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "engine/replay/protocol/behaviour.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace driftseal::replay;
  const auto set = DecodeCanarySet({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!set.ok()) return 0;
  if (!CheckCanarySet(*set).ok()) std::abort();
  const auto file = EncodeCanarySet(*set);
  if (!file.ok()) std::abort();
  const auto again = DecodeCanarySet(*file, "fuzz");
  if (!again.ok() || again->inputs != set->inputs || again->labels != set->labels) std::abort();
  return 0;
}
