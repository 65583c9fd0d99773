// A detector's two files as one input: the length of the JSON (4 bytes, little-endian), the JSON, the safetensors. The
// digest that binds them is not checked here, or no input would get past it. What loads must be safe to score with.
#include <cstdint>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "engine/artifact/source.h"
#include "engine/detector/backend.h"
#include "engine/detector/kernel_backend.h"
#include "engine/detector/load.h"
#include "engine/detector/score.h"

namespace driftseal::detector {
namespace {

/// One for all inputs: it starts threads.
const Backend& Simd() {
  static const std::shared_ptr<const Backend> backend = [] {
    BackendOptions options;
    options.name = "simd";
    options.threads = 1;
    return *MakeBackend(options);
  }();
  return *backend;
}

/// With the reference kernels, and with what packing makes of the members.
void ScoreSome(const DetectorState& state, const FamilyDetector& detector) {
  const auto prepared = Simd().Prepare(detector.members.View(), detector.scaler.columns.size());
  for (double value : {0.0, 1e300, -1.5}) {
    const std::vector<double> row(state.schema.features.size(), value);
    const ScaledRow scaled = Scale(detector.scaler, row);
    const RawScores raw = ScoreScaled(detector.members, scaled.values);
    (void)Explain(state, detector, Basis::kFamily, row, detector.key, scaled, raw);
    if (!prepared.ok()) continue;
    // Enough of them to reach the kernels of many rows.
    constexpr size_t kRows = 70;
    std::vector<double> rows;
    for (size_t i = 0; i < kRows; ++i) rows.insert(rows.end(), scaled.values.begin(), scaled.values.end());
    std::vector<RawScores> scores(kRows);
    const Task task{prepared->get(), {rows.data(), kRows, scaled.values.size()}, scores};
    (void)Simd().Score({&task, 1});
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
