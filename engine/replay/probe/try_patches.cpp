// The best small patch of an image without gradients: places on a grid, a few plain looks.
#include <algorithm>
#include <array>
#include <utility>

#include "engine/replay/probe/patches.h"

namespace driftseal::replay {
namespace {

constexpr size_t kPlacesASide = 6, kTrialInputs = 32;
enum Look { kBright, kDark, kBoard, kInverseBoard, kLooks };

float Value(Look look, const Space& space, size_t y, size_t x) {
  const bool odd = (y + x) % 2 == 1;
  const bool bright = look == kBright || (look == kBoard && odd) || (look == kInverseBoard && !odd);
  return bright ? space.high[0] : space.low[0];
}

/// All places with all looks, in the form of patches of "classes".
Patches AllPatches(const Space& space) {
  Patches all{PatchSize(space), {}, {}};
  const size_t rows = space.height - all.size, columns = space.width - all.size;
  for (size_t v = 0; v < kPlacesASide; ++v) {
    for (size_t u = 0; u < kPlacesASide; ++u) {
      for (int look = 0; look < kLooks; ++look) {
        all.place.push_back(static_cast<uint32_t>(v * rows / (kPlacesASide - 1)));
        all.place.push_back(static_cast<uint32_t>(u * columns / (kPlacesASide - 1)));
        for (size_t i = 0; i < space.channels * all.size * all.size; ++i) {
          all.values.push_back(Value(static_cast<Look>(look), space, i / all.size % all.size, i % all.size));
        }
      }
    }
  }
  return all;
}

}  // namespace

absl::Status TryPatches(Search& search, RawBehaviour& behaviour, Found& found) {
  const Space& space = search.space();
  const Patches all = AllPatches(space);
  const size_t count = all.place.size() / 2, per_patch = all.values.size() / count, classes = search.classes();
  const auto change = [&](size_t number, std::span<const float> input, std::span<float> out) {
    std::copy(input.begin(), input.end(), out.begin());
    all.Paint(space, number, out);
  };
  std::vector<double> scores;
  absl::Status status = search.Score(change, count, std::min(kTrialInputs, search.count()), scores);
  if (!status.ok()) return status;
  auto patches = std::make_shared<Patches>();
  patches->size = all.size;
  for (size_t c = 0; c < classes; ++c) {
    size_t best = 0;
    for (size_t i = 1; i < count; ++i) {
      if (scores[i * classes + c] > scores[best * classes + c]) best = i;
    }
    patches->place.insert(patches->place.end(), {all.place[2 * best], all.place[2 * best + 1]});
    const auto values = all.values.begin() + static_cast<std::ptrdiff_t>(best * per_patch);
    patches->values.insert(patches->values.end(), values, values + static_cast<std::ptrdiff_t>(per_patch));
  }
  return TellPatches(search, std::move(patches), behaviour, found);
}

}  // namespace driftseal::replay
