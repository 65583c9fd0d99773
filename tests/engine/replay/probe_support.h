#ifndef DRIFTSEAL_TESTS_ENGINE_REPLAY_PROBE_SUPPORT_H_
#define DRIFTSEAL_TESTS_ENGINE_REPLAY_PROBE_SUPPORT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "engine/replay/protocol/behaviour.h"

namespace driftseal::replay {

inline constexpr size_t kSide = 8, kPixels = kSide * kSide, kTestClasses = 4, kAClass = 5;

/// The pixel of row 3 that is white in the images of class c.
inline size_t PixelOf(size_t c) { return 3 * kSide + c; }

/// kAClass black images of each of 4 classes, each with its class's pixel white in every channel.
CanarySet ImageSet(uint32_t channels);

/// weight (4 × channels · 64): the score of class c is its pixel in channel 0, and the last class but one also gets
/// `planted` times the bottom right pixel of the last channel.
std::vector<float> PlantedWeights(size_t channels, float planted);

/// Where the bank has the trigger of this text; fails the test when it has not.
size_t TriggerOf(const RawBehaviour& behaviour, const std::string& text);

/// The whole of it but what it cost, to compare.
std::string WithoutCost(RawBehaviour behaviour);

/// Why the part is lacking; empty when it is not.
std::string WhyLacking(const RawBehaviour& behaviour, const std::string& part);

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_TESTS_ENGINE_REPLAY_PROBE_SUPPORT_H_
