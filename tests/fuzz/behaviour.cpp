// The answer of a replay process that the model it ran may have taken over.
#include "engine/replay/protocol/behaviour.h"

#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace driftseal::replay {
namespace {

/// Three images of 1 × 3 × 4, number of classes not known: as much as possible is left to the answer.
CanarySet Set() {
  CanarySet set;
  set.name = "fuzz";
  set.shape = set.image = {1, 3, 4};
  set.inputs.assign(36, 0.5f);
  set.labels = {0, 1, -1};
  return set;
}

/// What was believed must hold for those who index with it.
void CheckSizes(const RawBehaviour& b) {
  const size_t classes = b.classes, triggers = b.triggers.size();
  const auto check = [](bool holds) {
    if (!holds) std::abort();
  };
  const auto empty_or = [&](const std::vector<float>& values, size_t size) {
    check(values.empty() || values.size() == size);
  };
  check(b.inputs == 3 && classes >= 2 && classes <= kMostClasses && b.logits.size() == 3 * classes);
  check(b.sweep.size() == triggers * classes && b.shift.size() == triggers * classes);
  check(b.flips.size() == triggers && b.mapped.size() == triggers);
  empty_or(b.pair_local, classes * classes);
  empty_or(b.pair_other, classes * classes);
  for (size_t s = 0; s < 2; ++s) {
    empty_or(b.perturbation_rate[s], classes);
    empty_or(b.perturbation_logit[s], classes);
  }
  empty_or(b.patch_rate, classes);
  empty_or(b.patch_logit, classes);
  check(b.patch_place.size() == 2 * b.patch_rate.size());
  check(b.margin.size() % classes == 0);
  empty_or(b.noise_share, classes);
  empty_or(b.noise_margin, 3);
  empty_or(b.head_share, classes);
  if (b.picture) check(b.picture->clean.size() == 12 && b.picture->triggered.size() == 12);
  if (b.picture) check(b.picture->target < classes);
}

}  // namespace
}  // namespace driftseal::replay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace driftseal::replay;
  static const CanarySet set = Set();
  const auto behaviour = DecodeBehaviour({reinterpret_cast<const char*>(data), size}, set);
  if (!behaviour.ok()) return 0;
  CheckSizes(*behaviour);
  const auto payload = EncodeBehaviour(*behaviour);
  if (!payload.ok() || !DecodeBehaviour(*payload, set).ok()) std::abort();
  return 0;
}
