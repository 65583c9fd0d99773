// The best small patch towards each class: where the gradient is strongest, then its values.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "engine/replay/probe/patches.h"
#include "engine/replay/probe/search.h"

namespace driftseal::replay {
namespace {

constexpr size_t kPlaces = 3;  // tried a class
constexpr int kTrialSteps = 3, kSteps = 8;
constexpr size_t kTrialInputs = 16;
constexpr float kStep = 0.25f;  // of the range

struct Place {
  uint32_t top = 0, left = 0;
};

float Sign(float value) { return static_cast<float>((value > 0) - (value < 0)); }

/// The places of largest mean gradient in a size × size window, no two of which overlap by more than half a side.
std::vector<Place> StrongestPlaces(const Space& space, std::span<const float> energy, size_t size) {
  const size_t rows = space.height - size + 1, columns = space.width - size + 1;
  std::vector<float> score(rows * columns, 0.0f);
  for (size_t y = 0; y < rows; ++y) {
    for (size_t x = 0; x < columns; ++x) {
      for (size_t v = 0; v < size; ++v) {
        for (size_t u = 0; u < size; ++u) score[y * columns + x] += energy[(y + v) * space.width + x + u];
      }
    }
  }
  std::vector<Place> places;
  const auto near = static_cast<int64_t>(size / 2);
  while (places.size() < kPlaces) {
    const size_t best = static_cast<size_t>(std::max_element(score.begin(), score.end()) - score.begin());
    if (score[best] < 0) break;  // all taken
    const Place place{static_cast<uint32_t>(best / columns), static_cast<uint32_t>(best % columns)};
    places.push_back(place);
    for (size_t y = 0; y < rows; ++y) {
      for (size_t x = 0; x < columns; ++x) {
        const auto down = static_cast<int64_t>(y) - place.top, across = static_cast<int64_t>(x) - place.left;
        if (std::abs(down) <= near && std::abs(across) <= near) score[y * columns + x] = -1;
      }
    }
  }
  return places;
}

class PatchSearch {
 public:
  PatchSearch(Search& search, Patches& patches) : search_(search), space_(search.space()), patches_(patches) {
    patches_.size = PatchSize(space_);
    per_class_ = space_.channels * patches_.size * patches_.size;
    patches_.place.assign(2 * search_.classes(), 0);
    Restart();
  }

  absl::Status Find() {
    std::vector<std::vector<Place>> places;
    if (absl::Status status = FindPlaces(places); !status.ok()) return status;
    if (absl::Status status = TryPlaces(places); !status.ok()) return status;
    Restart();
    const size_t half = std::max<size_t>(1, search_.count() / 2);
    for (int step = 0; step < kSteps; ++step) {
      const size_t from = step % 2 == 0 ? 0 : search_.count() - half;
      if (absl::Status status = Step(from, half, nullptr); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  void operator()(size_t c, std::span<const float> input, std::span<float> out) const {
    std::copy(input.begin(), input.end(), out.begin());
    patches_.Paint(space_, c, out);
  }

 private:
  void Restart() { patches_.values.assign(search_.classes() * per_class_, 0.5f * (space_.low[0] + space_.high[0])); }
  void Put(size_t c, Place place) {
    patches_.place[2 * c] = place.top;
    patches_.place[2 * c + 1] = place.left;
  }

  /// |mean gradient| of the inputs as they are, summed over channels.
  absl::Status FindPlaces(std::vector<std::vector<Place>>& places) {
    const size_t count = std::max<size_t>(1, search_.count() / 4), plane = space_.height * space_.width;
    const auto as_is = [](size_t, std::span<const float> input, std::span<float> out) {
      std::copy(input.begin(), input.end(), out.begin());
    };
    const size_t at_once = std::max<size_t>(1, search_.classifier().batch() / count);
    for (size_t first = 0; first < search_.classes(); first += at_once) {
      const size_t last = std::min(first + at_once, search_.classes());
      if (absl::Status status = search_.Gradient(as_is, first, last, 0, count); !status.ok()) return status;
      for (size_t c = first; c < last; ++c) {
        std::vector<float> sum(space_.elements, 0.0f), energy(plane, 0.0f);
        for (size_t i = 0; i < count; ++i) {
          const float* gradient = search_.gradient().data() + ((c - first) * count + i) * space_.elements;
          for (size_t e = 0; e < space_.elements; ++e) sum[e] += gradient[e];
        }
        for (size_t e = 0; e < space_.elements; ++e) energy[e % plane] += std::abs(sum[e]);
        places.push_back(StrongestPlaces(space_, energy, patches_.size));
      }
    }
    return absl::OkStatus();
  }

  /// A few steps at each place on a few inputs; keeps the place with the smallest loss for each class.
  absl::Status TryPlaces(const std::vector<std::vector<Place>>& places) {
    const size_t classes = search_.classes(), count = std::min(kTrialInputs, search_.count());
    std::vector<float> best(classes, std::numeric_limits<float>::infinity()), losses;
    std::vector<Place> kept(classes);
    for (size_t p = 0; p < kPlaces; ++p) {
      Restart();
      for (size_t c = 0; c < classes; ++c) Put(c, places[c][std::min(p, places[c].size() - 1)]);
      for (int step = 0; step < kTrialSteps; ++step) {
        if (absl::Status status = Step(0, count, &losses); !status.ok()) return status;
      }
      for (size_t c = 0; c < classes; ++c) {
        if (losses[c] >= best[c]) continue;
        best[c] = losses[c];
        kept[c] = {patches_.place[2 * c], patches_.place[2 * c + 1]};
      }
    }
    for (size_t c = 0; c < classes; ++c) Put(c, kept[c]);
    return absl::OkStatus();
  }

  /// One step of sign descent of all classes' values; `losses`: those before the step.
  absl::Status Step(size_t from, size_t count, std::vector<float>* losses) {
    if (losses != nullptr) losses->clear();
    const size_t at_once = std::max<size_t>(1, search_.classifier().batch() / count);
    for (size_t first = 0; first < search_.classes(); first += at_once) {
      const size_t last = std::min(first + at_once, search_.classes());
      if (absl::Status status = search_.Gradient(*this, first, last, from, count); !status.ok()) return status;
      if (losses != nullptr) losses->insert(losses->end(), search_.losses().begin(), search_.losses().end());
      for (size_t c = first; c < last; ++c) Descend(c, (c - first) * count, count);
    }
    return absl::OkStatus();
  }

  void Descend(size_t c, size_t row, size_t count) {
    float* value = patches_.values.data() + c * per_class_;
    const float step = kStep * space_.range[0];
    for (size_t channel = 0; channel < space_.channels; ++channel) {
      for (size_t y = 0; y < patches_.size; ++y) {
        for (size_t x = 0; x < patches_.size; ++x, ++value) {
          const size_t e =
              (channel * space_.height + patches_.place[2 * c] + y) * space_.width + patches_.place[2 * c + 1] + x;
          float sum = 0;
          for (size_t i = 0; i < count; ++i) sum += search_.gradient()[(row + i) * space_.elements + e];
          *value = std::clamp(*value - step * Sign(sum), space_.low[e], space_.high[e]);
        }
      }
    }
  }

  Search& search_;
  const Space& space_;
  Patches& patches_;
  size_t per_class_ = 0;
};

}  // namespace

absl::Status SearchPatches(Search& search, RawBehaviour& behaviour, Found& found) {
  auto patches = std::make_shared<Patches>();
  PatchSearch best(search, *patches);
  if (absl::Status status = best.Find(); !status.ok()) return status;
  return TellPatches(search, std::move(patches), behaviour, found);
}

}  // namespace driftseal::replay
