// Meta files: any bytes are either read or refused with a message; what is read can be written back and read again.
#include "engine/fingerprint/meta.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace driftseal;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto meta = fingerprint::ParseMeta(text, "fuzz");
  if (!meta.ok()) {
    if (meta.status().message().empty()) std::abort();
    return 0;
  }
  const auto digest = artifact::Sha256({});
  const auto written =
      fingerprint::WithRecordedDigests(text, "fuzz", {{"model_sha256", digest}}, {{"file", digest}}, true);
  if (!written.ok()) std::abort();
  const auto again = fingerprint::ParseMeta(*written, "fuzz");
  if (!again.ok() || again->model_sha256 != digest || again->related_sha256.at("file") != digest ||
      again->model_name != meta->model_name || again->recipe != meta->recipe || again->primary != meta->primary) {
    std::abort();
  }
  const auto with_canaries = fingerprint::WithRecordedCanaries(text, "fuzz", {"m.canary.safetensors", digest, digest});
  if (!with_canaries.ok()) std::abort();
  const auto canaries = fingerprint::ParseMeta(*with_canaries, "fuzz");
  if (!canaries.ok() || canaries->canary_path != "m.canary.safetensors" || canaries->canary_sha256 != digest ||
      canaries->behaviour_hash != digest || canaries->model_sha256 != meta->model_sha256 ||
      canaries->inputs.has_value() != meta->inputs.has_value()) {
    std::abort();
  }
  return 0;
}
