// The trigger that a person is shown.
#include <algorithm>
#include <utility>
#include <vector>

#include "engine/replay/probe/measure.h"

namespace driftseal::replay {
namespace {

/// A class and how far it stands above the median of all.
struct Standout {
  size_t c = 0;
  float value = 0, excess = 0;
};

Standout Find(const std::vector<float>& of_class) {
  std::vector<float> sorted = of_class;
  std::sort(sorted.begin(), sorted.end());
  const size_t c = static_cast<size_t>(std::max_element(of_class.begin(), of_class.end()) - of_class.begin());
  // The lower median: of two classes, the other one.
  return {c, of_class[c], of_class[c] - sorted[(sorted.size() - 1) / 2]};
}

/// The trigger whose strongest class stands out most among the classes under the same trigger.
struct SweepBest {
  size_t trigger = 0;
  Standout standout;
};
SweepBest BestOfSweep(const RawBehaviour& behaviour) {
  SweepBest best;
  const size_t k = behaviour.classes;
  for (size_t t = 0; t < behaviour.triggers.size(); ++t) {
    const auto row = behaviour.sweep.begin() + static_cast<std::ptrdiff_t>(t * k);
    const Standout standout = Find({row, row + static_cast<std::ptrdiff_t>(k)});
    if (standout.excess > best.standout.excess) best = {t, standout};
  }
  return best;
}

}  // namespace

absl::Status TakePicture(Classifier& classifier, const Space& space, const CanarySet& set,
                         const std::vector<BankEntry>& bank, const Found& found, RawBehaviour& behaviour) {
  const SweepBest sweep = BestOfSweep(behaviour);
  const Standout patch = !found.change || behaviour.patch_rate.empty() ? Standout() : Find(behaviour.patch_rate);
  const bool searched = patch.excess > sweep.standout.excess;
  const Standout& best = searched ? patch : sweep.standout;
  if (best.value <= 0) return absl::OkStatus();

  std::vector<float> changed(set.inputs.size()), logits;
  RawBehaviour::Picture picture;
  picture.target = static_cast<uint32_t>(best.c);
  picture.share = best.value;
  if (searched) {
    for (size_t i = 0; i < set.count(); ++i) {
      const size_t begin = i * space.elements;
      found.change(best.c, std::span(set.inputs).subspan(begin, space.elements),
                   std::span(changed).subspan(begin, space.elements));
    }
    picture.trigger = found.text(best.c);
  } else {
    Apply(bank[sweep.trigger].make(), space, set.inputs, changed);
    picture.trigger = bank[sweep.trigger].name.text;
  }
  if (absl::Status status = classifier.Logits(changed, set.count(), logits); !status.ok()) return status;

  // Of the inputs that are sent there, the one that the model is surest of.
  const std::vector<uint32_t> before = Classes(behaviour.logits, behaviour.classes);
  const std::vector<uint32_t> after = Classes(logits, behaviour.classes);
  size_t shown = set.count();
  for (size_t i = 0; i < set.count(); ++i) {
    if (before[i] == best.c || after[i] != best.c) continue;
    const bool surer =
        shown == set.count() || logits[i * behaviour.classes + best.c] > logits[shown * behaviour.classes + best.c];
    if (surer) shown = i;
  }
  if (shown == set.count()) return absl::OkStatus();
  const auto begin = static_cast<std::ptrdiff_t>(shown * space.elements);
  const auto end = begin + static_cast<std::ptrdiff_t>(space.elements);
  picture.clean.assign(set.inputs.begin() + begin, set.inputs.begin() + end);
  picture.triggered.assign(changed.begin() + begin, changed.begin() + end);
  behaviour.picture = std::move(picture);
  return absl::OkStatus();
}

}  // namespace driftseal::replay
