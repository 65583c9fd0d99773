#ifndef DRIFTSEAL_KERNELS_RANDOM_H_
#define DRIFTSEAL_KERNELS_RANDOM_H_

#include <cstdint>

namespace driftseal::kernels {

/// xoshiro256** (Blackman, Vigna 2021, "Scrambled linear pseudorandom number generators", ACM TOMS 47:4), seeded
/// through SplitMix64. Own code because std's distributions give other numbers in other standard libraries, and a
/// detector must come out the same everywhere. Not for secrets.
class Random {
 public:
  explicit Random(uint64_t seed) {
    for (uint64_t& word : state_) word = SplitMix(seed);
  }
  /// Stream number `stream` of `seed`: streams can be drawn from in any order or at once.
  Random(uint64_t seed, uint64_t stream) : Random(seed ^ Mix(stream + 0x9e3779b97f4a7c15u)) {}

  uint64_t Next() {
    const uint64_t result = RotateLeft(state_[1] * 5, 7) * 9;
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = RotateLeft(state_[3], 45);
    return result;
  }
  /// Uniform in [0, n) without bias; n > 0.
  uint64_t Below(uint64_t n) {
    const uint64_t skip = (0 - n) % n;  // 2^64 mod n: what is left after whole multiples of n
    uint64_t draw = Next();
    while (draw < skip) draw = Next();
    return draw % n;
  }
  /// Uniform in [0, 1), a multiple of 2^-53.
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }

 private:
  static uint64_t RotateLeft(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }
  static uint64_t Mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  static uint64_t SplitMix(uint64_t& state) { return Mix(state += 0x9e3779b97f4a7c15u); }

  uint64_t state_[4];
};

}  // namespace driftseal::kernels

#endif  // DRIFTSEAL_KERNELS_RANDOM_H_
