// Maximal margins without gradients: element by element, the value that helps most.
#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "engine/replay/probe/search.h"
#include "kernels/random.h"

namespace driftseal::replay {
namespace {

constexpr uint64_t kSeed = 20261131;
constexpr size_t kMostElements = 256, kMostRows = 40000, kLeastStarts = 2, kMostStarts = 12, kPasses = 2;

float Margin(const float* logits, size_t classes, size_t c) {
  float rival = -std::numeric_limits<float>::infinity();
  for (size_t j = 0; j < classes; ++j) {
    if (j != c) rival = std::max(rival, logits[j]);
  }
  return logits[c] - rival;
}

}  // namespace

absl::Status TryMargins(Classifier& classifier, const Space& space, RawBehaviour& behaviour) {
  const size_t classes = classifier.classes(), elements = space.elements;
  if (elements > kMostElements) {
    return absl::FailedPreconditionError(
        absl::StrCat(elements, " elements to try one by one, the limit is ", kMostElements));
  }
  const size_t values = Candidates(space, 0).size();
  const size_t starts = std::clamp(kMostRows / (classes * elements * values * kPasses), kLeastStarts, kMostStarts);
  const size_t rows = classes * starts;
  kernels::Random random(kSeed);
  std::vector<float> inputs(rows * elements), trials(rows * values * elements), logits;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const size_t e = i % elements;
    inputs[i] = space.low[e] + static_cast<float>(random.Uniform()) * (space.high[e] - space.low[e]);
  }
  if (absl::Status status = classifier.Logits(inputs, rows, logits); !status.ok()) return status;
  behaviour.margin.resize(rows);
  for (size_t r = 0; r < rows; ++r) behaviour.margin[r] = Margin(logits.data() + r * classes, classes, r / starts);
  for (size_t step = 0; step < kPasses * elements; ++step) {
    const size_t e = step % elements;
    const std::vector<float> candidates = Candidates(space, e);
    for (size_t t = 0; t < rows * values; ++t) {
      std::copy_n(inputs.data() + t / values * elements, elements, trials.data() + t * elements);
      trials[t * elements + e] = candidates[t % values];
    }
    if (absl::Status status = classifier.Logits(trials, rows * values, logits); !status.ok()) return status;
    for (size_t t = 0; t < rows * values; ++t) {
      const size_t r = t / values;
      const float margin = Margin(logits.data() + t * classes, classes, r / starts);
      if (margin <= behaviour.margin[r]) continue;
      behaviour.margin[r] = margin;
      inputs[r * elements + e] = candidates[t % values];
    }
  }
  return absl::OkStatus();
}

}  // namespace driftseal::replay
