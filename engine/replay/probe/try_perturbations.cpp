// Universal perturbations without gradients: every element alone, then the best ones together.
#include <algorithm>
#include <array>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "engine/replay/probe/search.h"

namespace driftseal::replay {
namespace {

constexpr size_t kMostElements = 256, kMostRows = 65536;
constexpr std::array<float, 4> kParts = {-1.0f, -0.5f, 0.5f, 1.0f};  // of the size

/// One class's perturbation, from the scores of single elements' changes (elements × kParts × C).
class Greedy {
 public:
  Greedy(Search& search, size_t inputs) : search_(search), inputs_(inputs) {}

  absl::Status Find(size_t c, float size, const std::vector<double>& singles, std::span<float> delta) {
    Rank(c, singles);
    const size_t elements = search_.space().elements, classes = search_.classes();
    std::vector<size_t> lengths;  // of the prefixes of the ranking that are tried
    for (size_t length = 1; length < elements; length *= 2) lengths.push_back(length);
    lengths.push_back(elements);
    const auto prefix = [&](size_t number, std::span<const float> input, std::span<float> out) {
      Change(size, lengths[number], input, out);
    };
    std::vector<double> scores;
    if (absl::Status status = search_.Score(prefix, lengths.size(), inputs_, scores); !status.ok()) return status;
    size_t best = 0;
    for (size_t l = 1; l < lengths.size(); ++l) {
      if (scores[l * classes + c] > scores[best * classes + c]) best = l;
    }
    for (size_t r = 0; r < lengths[best]; ++r) {
      const size_t e = ranking_[r];
      delta[e] = size * part_[e] * search_.space().range[e];
    }
    return absl::OkStatus();
  }

 private:
  void Rank(size_t c, const std::vector<double>& singles) {
    const size_t elements = search_.space().elements, classes = search_.classes();
    std::vector<double> score(elements);
    part_.assign(elements, 0.0f);
    for (size_t e = 0; e < elements; ++e) {
      size_t best = 0;
      for (size_t p = 1; p < kParts.size(); ++p) {
        const auto at = [&](size_t part) { return singles[(e * kParts.size() + part) * classes + c]; };
        if (at(p) > at(best)) best = p;
      }
      score[e] = singles[(e * kParts.size() + best) * classes + c];
      part_[e] = kParts[best];
    }
    ranking_.resize(elements);
    std::iota(ranking_.begin(), ranking_.end(), size_t{0});
    std::stable_sort(ranking_.begin(), ranking_.end(), [&](size_t a, size_t b) { return score[a] > score[b]; });
  }

  void Change(float size, size_t length, std::span<const float> input, std::span<float> out) const {
    std::copy(input.begin(), input.end(), out.begin());
    const Space& space = search_.space();
    for (size_t r = 0; r < length; ++r) {
      const size_t e = ranking_[r];
      out[e] = std::clamp(out[e] + size * part_[e] * space.range[e], space.low[e], space.high[e]);
    }
  }

  Search& search_;
  size_t inputs_;
  std::vector<size_t> ranking_;
  std::vector<float> part_;
};

}  // namespace

absl::Status TryPerturbations(Search& search, RawBehaviour& behaviour) {
  const Space& space = search.space();
  const size_t elements = space.elements;
  if (elements > kMostElements) {
    return absl::FailedPreconditionError(
        absl::StrCat(elements, " elements to try one by one, the limit is ", kMostElements));
  }
  const size_t inputs = std::min(search.count(), std::max<size_t>(16, kMostRows / (elements * kParts.size())));
  for (size_t s = 0; s < kPerturbationSizes.size(); ++s) {
    const float size = kPerturbationSizes[s];
    const auto single = [&](size_t number, std::span<const float> input, std::span<float> out) {
      std::copy(input.begin(), input.end(), out.begin());
      const size_t e = number / kParts.size();
      out[e] += size * kParts[number % kParts.size()] * space.range[e];
      out[e] = std::clamp(out[e], space.low[e], space.high[e]);
    };
    std::vector<double> singles;
    absl::Status status = search.Score(single, elements * kParts.size(), inputs, singles);
    if (!status.ok()) return status;
    std::vector<float> deltas(search.classes() * elements, 0.0f);
    Greedy greedy(search, inputs);
    for (size_t c = 0; c < search.classes(); ++c) {
      status = greedy.Find(c, size, singles, std::span(deltas).subspan(c * elements, elements));
      if (!status.ok()) return status;
    }
    const auto change = [&](size_t c, std::span<const float> input, std::span<float> out) {
      for (size_t e = 0; e < elements; ++e) {
        out[e] = std::clamp(input[e] + deltas[c * elements + e], space.low[e], space.high[e]);
      }
    };
    status = search.Measure(change, behaviour.perturbation_rate[s], behaviour.perturbation_logit[s]);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace driftseal::replay
