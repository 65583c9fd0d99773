#include "engine/replay/probe/patches.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace driftseal::replay {

void Patches::Paint(const Space& space, size_t c, std::span<float> image) const {
  const float* value = values.data() + c * space.channels * size * size;
  for (size_t channel = 0; channel < space.channels; ++channel) {
    for (size_t y = 0; y < size; ++y, value += size) {
      std::copy_n(value, size,
                  image.data() + (channel * space.height + place[2 * c] + y) * space.width + place[2 * c + 1]);
    }
  }
}

size_t PatchSize(const Space& space) {
  const size_t side = std::min(space.height, space.width);
  return std::min(side, std::max<size_t>(2, side / 7));
}

absl::Status TellPatches(Search& search, std::shared_ptr<const Patches> patches, RawBehaviour& behaviour,
                         Found& found) {
  behaviour.patch_place = patches->place;
  // The space outlives the search; the patches live on in what was found.
  const Space& space = search.space();
  found.change = [&space, patches](size_t c, std::span<const float> input, std::span<float> out) {
    std::copy(input.begin(), input.end(), out.begin());
    patches->Paint(space, c, out);
  };
  found.text = [patches](size_t c) {
    return absl::StrCat("search: patch ", patches->size, "x", patches->size, " at ", patches->place[2 * c], ",",
                        patches->place[2 * c + 1]);
  };
  return search.Measure(found.change, behaviour.patch_rate, behaviour.patch_logit);
}

}  // namespace driftseal::replay
