// Universal perturbations: one change of all inputs that sends them to a class.
#include <algorithm>
#include <cmath>

#include "engine/replay/probe/search.h"

namespace driftseal::replay {
namespace {

// Steps for the first size, and for the next one, which starts from the one before, scaled.
constexpr std::array<int, 2> kSteps = {7, 3};

float Sign(float value) { return static_cast<float>((value > 0) - (value < 0)); }

/// C perturbations within ± size · range.
class Perturbations {
 public:
  explicit Perturbations(Search& search)
      : search_(search), elements_(search.space().elements), values_(search.classes() * elements_) {}

  void operator()(size_t c, std::span<const float> input, std::span<float> out) const {
    const float* delta = values_.data() + c * elements_;
    const Space& space = search_.space();
    for (size_t e = 0; e < elements_; ++e) {
      out[e] = std::min(std::max(input[e] + delta[e], space.low[e]), space.high[e]);
    }
  }

  void Scale(float factor) {
    for (float& value : values_) value *= factor;
  }

  /// One step of sign descent on every second half of the inputs in turn.
  absl::Status Step(int step, float size) {
    const size_t half = search_.count() / 2, all = search_.count();
    const size_t from = step % 2 == 0 || half == 0 ? 0 : half, count = (step % 2 == 0 && half > 0 ? half : all) - from;
    const size_t at_once = std::max<size_t>(1, search_.classifier().batch() / count);
    for (size_t first = 0; first < search_.classes(); first += at_once) {
      const size_t last = std::min(first + at_once, search_.classes());
      if (absl::Status status = search_.Gradient(*this, first, last, from, count); !status.ok()) return status;
      for (size_t c = first; c < last; ++c) Descend(c, (c - first) * count, from, count, size);
    }
    return absl::OkStatus();
  }

 private:
  void Descend(size_t c, size_t row, size_t from, size_t count, float size) {
    sum_.assign(elements_, 0.0f);
    const Space& space = search_.space();
    float* delta = values_.data() + c * elements_;
    for (size_t i = 0; i < count; ++i) {
      const float* gradient = search_.gradient().data() + (row + i) * elements_;
      const float* input = search_.input(from + i).data();
      for (size_t e = 0; e < elements_; ++e) {
        const float moved = input[e] + delta[e];  // Where the clamp holds an element back, it does not move.
        sum_[e] += moved < space.low[e] || moved > space.high[e] ? 0.0f : gradient[e];
      }
    }
    for (size_t e = 0; e < elements_; ++e) {
      const float most = size * space.range[e];
      delta[e] = std::clamp(delta[e] - 0.2f * most * Sign(sum_[e]), -most, most);
    }
  }

  Search& search_;
  size_t elements_;
  std::vector<float> values_, sum_;
};

}  // namespace

absl::Status SearchPerturbations(Search& search, RawBehaviour& behaviour) {
  Perturbations found(search);
  for (size_t s = 0; s < kPerturbationSizes.size(); ++s) {
    if (s > 0) found.Scale(kPerturbationSizes[s] / kPerturbationSizes[s - 1]);
    for (int step = 0; step < kSteps[s]; ++step) {
      if (absl::Status status = found.Step(step, kPerturbationSizes[s]); !status.ok()) return status;
    }
    absl::Status status = search.Measure(found, behaviour.perturbation_rate[s], behaviour.perturbation_logit[s]);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace driftseal::replay
