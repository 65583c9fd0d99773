#ifndef DRIFTSEAL_KERNELS_DEVICE_ISA_H_
#define DRIFTSEAL_KERNELS_DEVICE_ISA_H_

#include <cstdint>
#include <span>
#include <string_view>

// Which instruction sets the SIMD kernels were compiled for and this processor has.
namespace driftseal::kernels::device {

/// One instruction set of Highway's. A kernel's simd.cpp is compiled once for each.
struct Isa {
  int64_t target = 0;     ///< Highway's bit.
  std::string_view name;  ///< "avx3" (AVX-512), "avx2", "sse4", "neon", "emu128", ...
};

/// Those that run here, best first; never empty.
std::span<const Isa> SupportedIsas();

/// The one of that name, or nullptr where it is unknown or does not run here.
const Isa* FindIsa(std::string_view name);

}  // namespace driftseal::kernels::device

#endif  // DRIFTSEAL_KERNELS_DEVICE_ISA_H_
