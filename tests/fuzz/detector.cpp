// A detector's two files as one input: the length of the JSON (4 bytes, little-endian), the JSON, the safetensors. The
// digest that binds them is not checked here, or no input would get past it. What loads must be safe to score with.
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "engine/artifact/source.h"
#include "engine/detector/load.h"
#include "engine/detector/score.h"

namespace driftseal::detector {
namespace {

void ScoreSome(const DetectorState& state, const FamilyDetector& detector) {
  for (double value : {0.0, 1e300, -1.5}) {
    const std::vector<double> row(state.schema.features.size(), value);
    (void)ScoreWith(state, detector, Basis::kFamily, row, detector.key);
  }
}

}  // namespace
}  // namespace driftseal::detector

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace driftseal;
  uint32_t length = 0;
  if (size < sizeof(length)) return 0;
  std::memcpy(&length, data, sizeof(length));
  data += sizeof(length);
  size -= sizeof(length);
  if (length > size) return 0;
  const auto json = nlohmann::json::parse(data, data + length, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return 0;
  std::vector<std::byte> arrays(size - length);
  if (!arrays.empty()) std::memcpy(arrays.data(), data + length, arrays.size());
  const auto source = artifact::Source::FromBytes("detector.safetensors", std::move(arrays));
  const auto state = detector::ReadState("detector_state.json", json, source);
  if (!state.ok()) return 0;
  for (const auto& family : state->families) detector::ScoreSome(*state, family);
  if (state->global) detector::ScoreSome(*state, *state->global);
  return 0;
}
