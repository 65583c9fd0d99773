#include <array>
#include <cstring>

#include "bench_limits.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench_limits_simd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/device/dispatch.h"

HWY_BEFORE_NAMESPACE();
namespace driftseal::kernels::bench::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using DI = hn::RebindToSigned<D>;
using DU8 = hn::Repartition<uint8_t, D>;
using V = hn::Vec<D>;

constexpr size_t kInFlight = 12;               // Independent chains: latency × pipes, and within AVX2's 16 registers.
constexpr size_t kInner = 256;                 // Steps between two looks at the outer loop.
constexpr size_t kTable = 16 * 1024;           // Bytes: within any L1.
constexpr size_t kL2 = 512 * 1024;             // Bytes: beyond any L1, within most L2.
constexpr size_t kMemory = 128 * 1024 * 1024;  // Bytes: beyond most L3.

// Memory may have changed: what was read or written before is not left out.
HWY_INLINE void Fence() { asm volatile("" ::: "memory"); }

// Multiply and add in registers.
int64_t Fma(size_t rounds, float*, float* to, double* work) {
  const D d;
  const V factor = hn::Set(d, 0.999F), term = hn::Set(d, 1e-3F);
  V sums[kInFlight];
  for (size_t i = 0; i < kInFlight; ++i) sums[i] = hn::Set(d, static_cast<float>(i));
  for (size_t step = 0; step < rounds * kInner; ++step) {
    for (V& sum : sums) sum = hn::MulAdd(sum, factor, term);
  }
  V total = hn::Zero(d);
  for (V sum : sums) total = hn::Add(total, sum);
  hn::StoreU(total, d, to);
  *work = static_cast<double>(rounds * kInner * kInFlight * hn::Lanes(d));
  return HWY_TARGET;
}

// Gathers of float32 from a table in L1, at indices that depend on nothing but the last index of their own chain.
int64_t Gather(size_t rounds, float* from, float* to, double* work) {
  const D d;
  const DI di;
  constexpr size_t kChains = 6;
  const auto mask = hn::Set(di, static_cast<int32_t>(kTable / sizeof(float) - 1));
  const auto stride = hn::Set(di, 1237);
  hn::Vec<DI> at[kChains];
  V sums[kChains];
  for (size_t i = 0; i < kChains; ++i) {
    at[i] = hn::And(hn::Mul(hn::Iota(di, static_cast<int32_t>(i * 61)), hn::Set(di, 421)), mask);
    sums[i] = hn::Zero(d);
  }
  for (size_t step = 0; step < rounds * kInner; ++step) {
    for (size_t i = 0; i < kChains; ++i) {
      sums[i] = hn::Add(sums[i], hn::GatherIndex(d, from, at[i]));
      at[i] = hn::And(hn::Add(at[i], stride), mask);
    }
  }
  V total = hn::Zero(d);
  for (V sum : sums) total = hn::Add(total, sum);
  hn::StoreU(total, d, to);
  *work = static_cast<double>(rounds * kInner * kChains * hn::Lanes(d));
  return HWY_TARGET;
}

// Loads of whole vectors, front to back, each combined into one of several chains.
template <size_t kBytes>
int64_t LoadAll(size_t rounds, float* from, float* to, double* work) {
  const DI di;
  const size_t lanes = hn::Lanes(di), vectors = kBytes / sizeof(float) / lanes;
  const auto* data = reinterpret_cast<const int32_t*>(from);
  constexpr size_t kChains = 8;
  hn::Vec<DI> chains[kChains];
  for (auto& chain : chains) chain = hn::Zero(di);
  for (size_t round = 0; round < rounds; ++round) {
    for (size_t v = 0; v < vectors; v += kChains) {
      for (size_t i = 0; i < kChains; ++i) chains[i] = hn::Xor(chains[i], hn::Load(di, data + (v + i) * lanes));
    }
    Fence();
  }
  auto total = hn::Zero(di);
  for (auto chain : chains) total = hn::Xor(total, chain);
  hn::StoreU(total, di, reinterpret_cast<int32_t*>(to));
  *work = static_cast<double>(rounds * vectors * lanes * sizeof(float));
  return HWY_TARGET;
}

// Multiplexers, bit by bit, in registers: a ? b : c. One instruction in AVX-512, three elsewhere.
int64_t Select(size_t rounds, float* from, float* to, double* work) {
  const DI di;
  const size_t lanes = hn::Lanes(di);
  const auto* data = reinterpret_cast<const int32_t*>(from);
  const auto mask = hn::Load(di, data);
  hn::Vec<DI> chains[kInFlight];
  for (size_t i = 0; i < kInFlight; ++i) chains[i] = hn::Load(di, data + (i + 1) * lanes);
  for (size_t step = 0; step < rounds * kInner; ++step) {
    for (size_t i = 0; i < kInFlight; ++i) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
      chains[i].raw = _mm512_ternarylogic_epi32(chains[i].raw, mask.raw, chains[(i + 1) % kInFlight].raw, 0xE2);
#else
      const auto other = chains[(i + 1) % kInFlight];
      chains[i] = hn::Xor(other, hn::And(mask, hn::Xor(chains[i], other)));
#endif
    }
  }
  auto total = hn::Zero(di);
  for (auto chain : chains) total = hn::Xor(total, chain);
  hn::StoreU(total, di, reinterpret_cast<int32_t*>(to));
  *work = static_cast<double>(rounds * kInner * kInFlight * lanes * 32);
  return HWY_TARGET;
}

// Products of bytes, summed into wider lanes: AVX-512 VNNI takes four to a lane, the others two with an addition.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
__attribute__((target("avx512f,avx512bw,avx512vnni"))) void DotVnni(size_t steps, const float* from, float* to) {
  const __m512i a = _mm512_loadu_si512(from), b = _mm512_loadu_si512(from + 16);
  __m512i sums[kInFlight];
  for (__m512i& sum : sums) sum = a;
  for (size_t step = 0; step < steps; ++step) {
    for (__m512i& sum : sums) sum = _mm512_dpbusd_epi32(sum, a, b);
  }
  for (size_t i = 1; i < kInFlight; ++i) sums[0] = _mm512_xor_si512(sums[0], sums[i]);
  _mm512_storeu_si512(to, sums[0]);
}
#endif

#if HWY_TARGET == HWY_SCALAR
int64_t ByteDot(size_t rounds, float*, float*, double* work) {  // No such instruction.
  *work = static_cast<double>(rounds);
  return HWY_TARGET;
}
#else
template <class V16>
HWY_INLINE V16 PairProducts(V16 a, V16 b) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
  return V16{_mm512_maddubs_epi16(a.raw, b.raw)};
#elif HWY_TARGET == HWY_AVX2
  return V16{_mm256_maddubs_epi16(a.raw, b.raw)};
#elif HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_SSSE3
  return V16{_mm_maddubs_epi16(a.raw, b.raw)};
#else
  return hn::Mul(a, b);
#endif
}

int64_t ByteDot(size_t rounds, float* from, float* to, double* work) {
  const hn::Repartition<int16_t, D> d;
  const size_t steps = rounds * kInner;
  *work = static_cast<double>(steps * kInFlight * hn::Lanes(d) * 2);
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
  if (__builtin_cpu_supports("avx512vnni")) {
    DotVnni(steps, from, to);
    return HWY_TARGET;
  }
#endif
  const auto* data = reinterpret_cast<const int16_t*>(from);
  const auto a = hn::Load(d, data);
  auto b = hn::Load(d, data + hn::Lanes(d));
  hn::Vec<decltype(d)> sums[kInFlight];
  for (auto& sum : sums) sum = hn::Zero(d);
  for (size_t step = 0; step < steps; ++step) {
    for (auto& sum : sums) sum = hn::Add(sum, PairProducts(a, b));
    asm volatile("" : "+m"(b));  // The products are not known from the step before.
  }
  for (size_t i = 1; i < kInFlight; ++i) sums[0] = hn::Xor(sums[0], sums[i]);
  hn::StoreU(sums[0], d, reinterpret_cast<int16_t*>(to));
  return HWY_TARGET;
}
#endif

// From memory to memory, both far beyond the caches, as the C library does it; read and written bytes both count.
int64_t Copy(size_t rounds, float* from, float* to, double* work) {
  for (size_t round = 0; round < rounds; ++round) {
    std::memcpy(to, from, kMemory);
    Fence();
  }
  *work = 2.0 * static_cast<double>(rounds * kMemory);
  return HWY_TARGET;
}

const std::array<Limit, 7>* Table() {
  static constexpr std::array<Limit, 7> kLimits = {{{"fma", "FMA", 256, Fma},
                                                    {"gather", "float", kTable, Gather},
                                                    {"load_l1", "byte", kTable, LoadAll<kTable>},
                                                    {"load_l2", "byte", kL2, LoadAll<kL2>},
                                                    {"select", "bit", kTable, Select},
                                                    {"byte_dot", "product", kTable, ByteDot},
                                                    {"copy", "byte", kMemory, Copy}}};
  return &kLimits;
}

}  // namespace driftseal::kernels::bench::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace driftseal::kernels::bench {
HWY_EXPORT(Table);
std::span<const Limit> LimitsFor(const device::Isa& isa) { return *DRIFTSEAL_KERNEL_FOR(Table, isa)(); }
}  // namespace driftseal::kernels::bench
#endif
