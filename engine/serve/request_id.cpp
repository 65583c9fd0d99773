#include "engine/serve/request_id.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <random>

namespace driftseal::serve {

bool IsSaneRequestId(std::string_view id) {
  constexpr size_t kLongest = 128;
  if (id.empty() || id.size() > kLongest) return false;
  for (const unsigned char c : id) {
    if (c <= ' ' || c >= 0x7F || c == '"' || c == '\\') return false;
  }
  return true;
}

// Splitmix64 over a random start.
std::string MakeRequestId() {
  static const uint64_t start = (uint64_t{std::random_device()()} << 32) ^ std::random_device()();
  static std::atomic<uint64_t> count{0};
  uint64_t x = start + 0x9E3779B97F4A7C15u * (1 + count.fetch_add(1, std::memory_order_relaxed));
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  x ^= x >> 31;
  std::string id(16, '0');
  for (char& c : id) {
    c = "0123456789abcdef"[x & 15];
    x >>= 4;
  }
  return id;
}

}  // namespace driftseal::serve
