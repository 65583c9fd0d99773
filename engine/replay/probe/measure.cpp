#include "engine/replay/probe/measure.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "absl/strings/str_cat.h"
#include "kernels/random.h"

namespace driftseal::replay {
namespace {

constexpr uint64_t kSeed = 20261130;
constexpr size_t kNoiseInputs = 256, kLatents = 1000;
constexpr uint64_t kMostHeadProducts = 200'000'000, kMostNoiseElements = 1u << 24;

float Share(size_t part, size_t whole) {
  return whole == 0 ? 0.0f : static_cast<float>(static_cast<double>(part) / static_cast<double>(whole));
}

/// Raises the largest shares over triggers by those of one more: `went` of the `given` inputs of each class.
void Raise(const std::vector<size_t>& went, const std::vector<size_t>& given, std::vector<float>& largest) {
  const size_t k = given.size();
  largest.resize(k * k, 0.0f);
  for (size_t pair = 0; pair < k * k; ++pair) {
    largest[pair] = std::max(largest[pair], Share(went[pair], given[pair / k]));
  }
}

/// One trigger's rows of sweep, shift, flips and mapped, and its part in the pairs.
void Count(const std::vector<float>& base, const std::vector<uint32_t>& before, const std::vector<float>& logits,
           bool local, RawBehaviour& out) {
  const size_t n = before.size(), k = out.classes;
  const std::vector<uint32_t> after = Classes(logits, k);
  std::vector<size_t> given(k, 0), went(k * k, 0), to(k, 0);
  std::vector<double> change(k, 0);
  size_t flipped = 0;
  for (size_t i = 0; i < n; ++i) {
    ++given[before[i]];
    for (size_t c = 0; c < k; ++c) change[c] += static_cast<double>(logits[i * k + c]) - base[i * k + c];
    if (after[i] == before[i]) continue;
    ++flipped;
    ++to[after[i]];
    ++went[before[i] * k + after[i]];
  }
  size_t mapped = 0;
  for (size_t c = 0; c < k; ++c) {
    out.sweep.push_back(Share(to[c], n - given[c]));
    out.shift.push_back(static_cast<float>(change[c] / static_cast<double>(n)));
    mapped += *std::max_element(went.begin() + static_cast<std::ptrdiff_t>(c * k),
                                went.begin() + static_cast<std::ptrdiff_t>((c + 1) * k));
  }
  out.flips.push_back(Share(flipped, n));
  out.mapped.push_back(Share(mapped, n));
  if (k <= kMostPairClasses) Raise(went, given, local ? out.pair_local : out.pair_other);
}

/// Half of it without any structure, half of it smooth (images) or of values that occur (tables: every column drawn
/// from its own values, independent of the others).
std::vector<float> NoiseInputs(const Space& space, const CanarySet& set, size_t count) {
  const size_t elements = space.elements;
  kernels::Random random(kSeed, 1);
  std::vector<float> inputs(count * elements);
  for (size_t i = 0; i < count; ++i) {
    float* input = inputs.data() + i * elements;
    const bool plain = i % 2 == 0;
    std::vector<float> smooth;
    if (!plain && space.image) smooth = SmoothNoise(space, 6, kSeed, 1000 + i);
    for (size_t e = 0; e < elements; ++e) {
      if (plain) {
        input[e] = space.low[e] + static_cast<float>(random.Uniform()) * (space.high[e] - space.low[e]);
      } else if (space.image) {
        input[e] = space.low[e] + smooth[e] * space.range[e];
      } else {
        input[e] = set.inputs[random.Below(set.count()) * elements + e];
      }
    }
  }
  return inputs;
}

/// Standard normal by Box and Muller 1958; only its magnitude is wanted.
float HalfNormal(kernels::Random& random) {
  const double radius = std::sqrt(-2 * std::log(1 - random.Uniform()));
  return static_cast<float>(std::abs(radius * std::cos(2 * 3.14159265358979323846 * random.Uniform())));
}

/// Shares and mean logits of rows of logits.
void Summarise(const std::vector<float>& logits, size_t k, std::vector<float>& share, std::vector<float>& logit) {
  const std::vector<uint32_t> classes = Classes(logits, k);
  std::vector<size_t> given(k, 0);
  std::vector<double> sum(k, 0);
  for (const uint32_t c : classes) ++given[c];
  for (size_t i = 0; i < logits.size(); ++i) sum[i % k] += logits[i];
  for (size_t c = 0; c < k; ++c) {
    share.push_back(Share(given[c], classes.size()));
    logit.push_back(static_cast<float>(sum[c] / static_cast<double>(classes.size())));
  }
}

}  // namespace

absl::Status MeasureSweep(Classifier& classifier, const Space& space, const CanarySet& set,
                          const std::vector<BankEntry>& bank, RawBehaviour& behaviour) {
  const std::vector<uint32_t> before = Classes(behaviour.logits, behaviour.classes);
  std::vector<float> changed(set.inputs.size()), logits;
  for (const BankEntry& entry : bank) {
    Apply(entry.make(), space, set.inputs, changed);
    if (absl::Status status = classifier.Logits(changed, set.count(), logits); !status.ok()) return status;
    behaviour.triggers.push_back(entry.name);
    Count(behaviour.logits, before, logits, entry.name.local(), behaviour);
  }
  if (behaviour.classes > kMostPairClasses) {
    behaviour.lacking.push_back(
        {"pair", absl::StrCat(behaviour.classes, " classes; pairs are told up to ", kMostPairClasses)});
  }
  return absl::OkStatus();
}

absl::Status MeasureNoise(Classifier& classifier, const Space& space, const CanarySet& set, RawBehaviour& behaviour) {
  const size_t count = std::clamp<size_t>(kMostNoiseElements / space.elements, 16, kNoiseInputs), k = behaviour.classes;
  std::vector<float> logits;
  absl::Status status = classifier.Logits(NoiseInputs(space, set, count), count, logits);
  if (!status.ok()) return status;
  Summarise(logits, k, behaviour.noise_share, behaviour.noise_logit);
  std::vector<float> margins(count);
  for (size_t i = 0; i < count; ++i) {
    const auto row = logits.begin() + static_cast<std::ptrdiff_t>(i * k);
    std::nth_element(row, row + 1, row + static_cast<std::ptrdiff_t>(k), std::greater<>());
    margins[i] = row[0] - row[1];
  }
  std::sort(margins.begin(), margins.end());
  for (const double q : {0.1, 0.5, 0.9}) {
    behaviour.noise_margin.push_back(margins[static_cast<size_t>(q * static_cast<double>(count - 1) + 0.5)]);
  }
  return absl::OkStatus();
}

absl::Status MeasureHead(Classifier& classifier, RawBehaviour& behaviour) {
  absl::StatusOr<Head> head = classifier.LastLayer();
  if (!head.ok()) return head.status();
  const uint64_t products = uint64_t{head->outputs} * head->latents, k = behaviour.classes;
  const uint64_t count = std::min<uint64_t>(kLatents, kMostHeadProducts / std::max<uint64_t>(products, 1));
  if (count < 50) return absl::FailedPreconditionError(absl::StrCat("the last layer has ", products, " weights"));
  kernels::Random random(kSeed, 2);
  std::vector<float> latent(head->latents), logits;
  for (uint64_t i = 0; i < count; ++i) {
    for (float& value : latent) value = HalfNormal(random);
    if (head->outputs < k) logits.push_back(0);  // The single output of a binary model stands against 0.
    for (size_t c = 0; c < head->outputs; ++c) {
      const float* weight = head->weight.data() + c * head->latents;
      double sum = head->bias[c];
      for (size_t l = 0; l < head->latents; ++l) sum += static_cast<double>(weight[l]) * latent[l];
      logits.push_back(static_cast<float>(sum));
      if (!std::isfinite(logits.back())) return absl::FailedPreconditionError("the last layer is not finite");
    }
  }
  Summarise(logits, k, behaviour.head_share, behaviour.head_logit);
  return absl::OkStatus();
}

}  // namespace driftseal::replay
