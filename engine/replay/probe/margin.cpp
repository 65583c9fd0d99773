// Maximal margins: how sure of a class the model can be made by any input at all.
#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/replay/probe/search.h"
#include "kernels/random.h"

namespace driftseal::replay {
namespace {

constexpr uint64_t kSeed = 20261129;
constexpr size_t kMostStarts = 12, kLeastStarts = 2, kStartsOfAll = 240;
constexpr int kSteps = 20;
constexpr float kStep = 0.6f / 28;  // Of the range, root mean square over the elements.

/// The class that comes closest to class c, or beats it.
size_t Rival(const float* logits, size_t classes, size_t c) {
  size_t rival = c == 0 ? 1 : 0;
  for (size_t j = rival + 1; j < classes; ++j) {
    if (j != c && logits[j] > logits[rival]) rival = j;
  }
  return rival;
}

/// x ← clamp(x + step · g / rms(g)), in units of each element's range.
void Ascend(const Space& space, std::span<float> inputs, std::span<const float> gradient) {
  const size_t elements = space.elements;
  for (size_t begin = 0; begin < inputs.size(); begin += elements) {
    double squares = 0;
    for (size_t e = 0; e < elements; ++e) {
      const double g = gradient[begin + e] * space.range[e];
      squares += g * g;
    }
    const double length = std::sqrt(squares / static_cast<double>(elements)) + 1e-20;
    const auto factor = static_cast<float>(kStep / length);
    for (size_t e = 0; e < elements; ++e) {
      const float moved = inputs[begin + e] + factor * gradient[begin + e] * space.range[e] * space.range[e];
      inputs[begin + e] = std::min(std::max(moved, space.low[e]), space.high[e]);
    }
  }
}

}  // namespace

absl::Status SearchMargins(Classifier& classifier, const Space& space, RawBehaviour& behaviour) {
  const size_t classes = classifier.classes(), elements = space.elements;
  const size_t starts = std::clamp(kStartsOfAll / classes, kLeastStarts, kMostStarts), rows = classes * starts;
  kernels::Random random(kSeed);
  std::vector<float> inputs(rows * elements), gradient;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const size_t e = i % elements;
    inputs[i] = space.low[e] + static_cast<float>(random.Uniform()) * (space.high[e] - space.low[e]);
  }
  behaviour.margin.assign(rows, -std::numeric_limits<float>::max());
  const size_t batch = classifier.batch();
  for (size_t begin = 0; begin < rows; begin += batch) {
    const size_t count = std::min(batch, rows - begin);
    const auto pull = [&](std::span<const float> logits, std::span<float> wanted) {
      for (size_t i = 0; i < count; ++i) {
        const size_t c = (begin + i) / starts, rival = Rival(logits.data() + i * classes, classes, c);
        float& largest = behaviour.margin[begin + i];
        largest = std::max(largest, logits[i * classes + c] - logits[i * classes + rival]);
        wanted[i * classes + c] = 1;
        wanted[i * classes + rival] = -1;
      }
    };
    const auto part = std::span(inputs).subspan(begin * elements, count * elements);
    gradient.resize(part.size());
    for (int step = 0; step < kSteps; ++step) {
      if (absl::Status status = classifier.Gradient(part, count, pull, gradient); !status.ok()) return status;
      Ascend(space, part, gradient);
    }
  }
  return absl::OkStatus();
}

}  // namespace driftseal::replay
