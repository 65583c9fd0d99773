#include "engine/replay/probe/search.h"

#include <algorithm>
#include <cmath>

namespace driftseal::replay {
namespace {

// Inputs × classes of one step of a search.
constexpr size_t kMostInputsTimesClasses = 2560, kLeastInputs = 16;

/// −log softmax(logits)_c and its gradient.
float LossAndPull(std::span<const float> logits, size_t c, std::span<float> gradient) {
  const float top = *std::max_element(logits.begin(), logits.end());
  float sum = 0;
  for (size_t j = 0; j < logits.size(); ++j) sum += gradient[j] = std::exp(logits[j] - top);
  for (float& value : gradient) value /= sum;
  gradient[c] -= 1;
  return top + std::log(sum) - logits[c];
}

}  // namespace

Search::Search(Classifier& classifier, const Space& space, const CanarySet& set, size_t inputs)
    : classifier_(classifier), space_(space) {
  inputs = std::min(inputs, std::max(kLeastInputs, kMostInputsTimesClasses / classifier.classes()));
  const std::vector<uint32_t> classes = Classes(classifier.canary_logits(), classifier.classes());
  for (const size_t i : BalancedInputs(set, inputs)) {
    const float* input = set.inputs.data() + i * space.elements;
    inputs_.insert(inputs_.end(), input, input + space.elements);
    before_.push_back(classes[i]);
  }
}

absl::Status Search::Measure(Change change, std::vector<float>& rate, std::vector<float>& logit) {
  rate.assign(classes(), 0.0f);
  logit.assign(classes(), 0.0f);
  const size_t elements = space_.elements;
  for (size_t c = 0; c < classes(); ++c) {
    changed_.resize(count() * elements);
    for (size_t i = 0; i < count(); ++i) change(c, input(i), std::span(changed_).subspan(i * elements, elements));
    if (absl::Status status = classifier_.Logits(changed_, count(), logits_); !status.ok()) return status;
    const std::vector<uint32_t> after = Classes(logits_, classes());
    size_t others = 0, sent = 0;
    double sum = 0;
    for (size_t i = 0; i < count(); ++i) {
      sum += logits_[i * classes() + c];
      if (before_[i] == c) continue;
      ++others;
      sent += after[i] == c ? 1 : 0;
    }
    rate[c] = others > 0 ? static_cast<float>(sent) / static_cast<float>(others) : 0.0f;
    logit[c] = static_cast<float>(sum / static_cast<double>(count()));
  }
  return absl::OkStatus();
}

absl::Status Search::Gradient(Change change, size_t first, size_t last, size_t from, size_t count) {
  const size_t elements = space_.elements, rows = (last - first) * count, k = classes();
  changed_.resize(rows * elements);
  gradient_.resize(rows * elements);
  losses_.assign(last - first, 0.0f);
  for (size_t c = first; c < last; ++c) {
    for (size_t i = 0; i < count; ++i) {
      const size_t row = (c - first) * count + i;
      change(c, input(from + i), std::span(changed_).subspan(row * elements, elements));
    }
  }
  const size_t batch = classifier_.batch();
  for (size_t begin = 0; begin < rows; begin += batch) {
    const size_t n = std::min(batch, rows - begin);
    const auto pull = [&](std::span<const float> logits, std::span<float> gradient) {
      for (size_t i = 0; i < n; ++i) {
        const size_t c = (begin + i) / count;
        losses_[c] += LossAndPull(logits.subspan(i * k, k), first + c, gradient.subspan(i * k, k));
      }
    };
    absl::Status status = classifier_.Gradient(std::span(changed_).subspan(begin * elements, n * elements), n, pull,
                                               std::span(gradient_).subspan(begin * elements, n * elements));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Search::Score(Change change, size_t changes, size_t count, std::vector<double>& scores) {
  const size_t elements = space_.elements, k = classes();
  scores.assign(changes * k, 0.0);
  const size_t at_once = std::max<size_t>(1, classifier_.batch() / count);
  for (size_t first = 0; first < changes; first += at_once) {
    const size_t last = std::min(first + at_once, changes), rows = (last - first) * count;
    changed_.resize(rows * elements);
    for (size_t row = 0; row < rows; ++row) {
      change(first + row / count, input(row % count), std::span(changed_).subspan(row * elements, elements));
    }
    if (absl::Status status = classifier_.Logits(changed_, rows, logits_); !status.ok()) return status;
    for (size_t row = 0; row < rows; ++row) {
      const float* g = logits_.data() + row * k;
      const float top = *std::max_element(g, g + k);
      double sum = 0;
      for (size_t j = 0; j < k; ++j) sum += std::exp(static_cast<double>(g[j]) - top);
      double* score = scores.data() + (first + row / count) * k;
      for (size_t j = 0; j < k; ++j) score[j] += (g[j] - top - std::log(sum)) / static_cast<double>(count);
    }
  }
  return absl::OkStatus();
}

}  // namespace driftseal::replay
