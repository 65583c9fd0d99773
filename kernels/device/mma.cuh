#ifndef DRIFTSEAL_KERNELS_DEVICE_MMA_CUH_
#define DRIFTSEAL_KERNELS_DEVICE_MMA_CUH_

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

// The machine's instructions that CUDA C++ has no name for; every line of PTX stands here.
namespace driftseal::kernels::device {

/// The launch's dynamic shared memory, 16-byte aligned.
__device__ inline unsigned char* DynamicShared() {
  extern __shared__ uint4 dynamic_shared[];
  return reinterpret_cast<unsigned char*>(dynamic_shared);
}

/// d += a·b, 16 × 8 × 16, fp16 products and float32 sums, over a warp. With g = lane / 4 and t = lane % 4 a lane holds
///   a: rows g, g + 8, g, g + 8 at columns 2t, 2t, 2t + 8, 2t + 8 and the next   (two a register)
///   b: rows 2t and 2t + 8 and the next, of column g
///   d: row g at columns 2t, 2t + 1, row g + 8 at the same
/// (PTX ISA, "Matrix Fragments for mma.m16n8k16"). Runs on sm_80 and later.
__device__ inline void Mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// Two halves in a register, the first in the low bits.
__host__ __device__ inline uint32_t PackHalves(__half low, __half high) {
  return static_cast<uint32_t>(__half_as_ushort(low)) | static_cast<uint32_t>(__half_as_ushort(high)) << 16;
}

/// x = high + low + at most 2⁻²² |x| (or 2⁻²⁵, where low is a denormal).
__host__ __device__ inline void SplitHalves(float x, __half& high, __half& low) {
  high = __float2half_rn(x);
  low = __float2half_rn(x - __half2float(high));
}

/// 2^x by the special function unit, 2 units in the last place; denormal results are flushed.
__device__ inline float Exp2Special(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// The same by a polynomial on the multiply-add pipes, for x in [−126, 127]: 2^x = 2^n · p(f), f in [−½, ½], degree 6
/// (Taylor; error 2⁻²⁴·1.4).
__device__ inline float Exp2Polynomial(float x) {
  x = fmaxf(x, -126.0F);
  const float shifted = x + 12582912.0F;  // 1.5·2²³ rounds to the nearest integer, which ends in the low bits
  const float f = x - (shifted - 12582912.0F);
  float p = 1.5403530e-4F;
  p = fmaf(p, f, 1.3333558e-3F);
  p = fmaf(p, f, 9.6181291e-3F);
  p = fmaf(p, f, 5.5504109e-2F);
  p = fmaf(p, f, 2.4022651e-1F);
  p = fmaf(p, f, 6.9314718e-1F);
  p = fmaf(p, f, 1.0F);
  return __int_as_float(__float_as_int(p) + (__float_as_int(shifted) << 23));
}

/// 16 bytes from global to shared memory without a register on the way.
__device__ inline void CopyAsync16(void* shared, const void* global) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;\n" ::"r"(address), "l"(global) : "memory");
}
__device__ inline void CopyCommit() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }
/// Until at most kPending of this thread's committed groups are on their way.
template <int kPending>
__device__ inline void CopyWait() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kPending) : "memory");
}

}  // namespace driftseal::kernels::device

#endif  // DRIFTSEAL_KERNELS_DEVICE_MMA_CUH_
