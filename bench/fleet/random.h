#ifndef DRIFTSEAL_BENCH_FLEET_RANDOM_H_
#define DRIFTSEAL_BENCH_FLEET_RANDOM_H_

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <numbers>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace driftseal::fleet {

/// FNV-1a over the text, then mixed: turns names into seeds.
inline uint64_t SeedOf(uint64_t seed, std::initializer_list<absl::string_view> names) {
  uint64_t hash = 0xcbf29ce484222325u ^ seed;
  for (absl::string_view name : names) {
    for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    hash = (hash ^ 0xffu) * 0x100000001b3u;  // so that {"ab"} and {"a", "b"} differ
  }
  return hash;
}

/// SplitMix64 (Steele, Lea, Flood 2014). The standard library's distributions may differ from one library to the next;
/// these do not, so a seed means the same fleet with any compiler.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// In [0, 1).
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
  double Uniform(double low, double high) { return low + (high - low) * Uniform(); }
  /// In [0, n), n > 0.
  size_t Below(size_t n) { return static_cast<size_t>(Uniform() * static_cast<double>(n)); }
  bool Chance(double p) { return Uniform() < p; }
  /// Standard normal (Box-Muller, one of the pair).
  double Normal() {
    const double radius = std::sqrt(-2 * std::log(1 - Uniform()));
    return radius * std::cos(2 * std::numbers::pi * Uniform());
  }
  template <typename T>
  void Shuffle(std::vector<T>& items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[Below(i)]);
  }
  /// `count` different numbers below `n`, in random order; count <= n.
  std::vector<size_t> Sample(size_t n, size_t count) {
    std::vector<size_t> all(n);
    std::iota(all.begin(), all.end(), size_t{0});
    for (size_t i = 0; i < count; ++i) std::swap(all[i], all[i + Below(n - i)]);
    all.resize(count);
    return all;
  }

 private:
  uint64_t state_;
};

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_RANDOM_H_
