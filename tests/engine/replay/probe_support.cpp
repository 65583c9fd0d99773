#include "probe_support.h"

#include "gtest/gtest.h"

namespace driftseal::replay {

CanarySet ImageSet(uint32_t channels) {
  CanarySet set;
  set.name = "test images";
  set.shape = set.image = {channels, kSide, kSide};
  set.classes = kTestClasses;
  for (size_t i = 0; i < kAClass * kTestClasses; ++i) {
    const size_t c = i % kTestClasses;
    std::vector<float> image(channels * kPixels, 0.0f);
    for (size_t channel = 0; channel < channels; ++channel) image[channel * kPixels + PixelOf(c)] = 1;
    set.inputs.insert(set.inputs.end(), image.begin(), image.end());
    set.labels.push_back(static_cast<int32_t>(c));
  }
  return set;
}

std::vector<float> PlantedWeights(size_t channels, float planted) {
  std::vector<float> weight(kTestClasses * channels * kPixels, 0.0f);
  for (size_t c = 0; c < kTestClasses; ++c) weight[c * channels * kPixels + PixelOf(c)] = 1;
  weight[(kTestClasses - 1) * channels * kPixels - 1] = planted;
  return weight;
}

size_t TriggerOf(const RawBehaviour& behaviour, const std::string& text) {
  for (size_t t = 0; t < behaviour.triggers.size(); ++t) {
    if (behaviour.triggers[t].text == text) return t;
  }
  ADD_FAILURE() << "the bank has no trigger " << text;
  return 0;
}

std::string WithoutCost(RawBehaviour behaviour) {
  behaviour.cost_ms.clear();
  return EncodeBehaviour(behaviour).value();
}

std::string WhyLacking(const RawBehaviour& behaviour, const std::string& part) {
  for (const RawBehaviour::Lacking& one : behaviour.lacking) {
    if (one.part == part) return one.reason;
  }
  return "";
}

}  // namespace driftseal::replay
