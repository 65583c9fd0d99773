#include <algorithm>

#include "kernels/device/limits.cuh"
#include "kernels/device/memory.cuh"
#include "kernels/device/mma.cuh"

namespace driftseal::kernels::device {
namespace {

constexpr uint32_t kThreads = 256, kRounds = 2048;
constexpr int kRepetitions = 7;

/// Eight chains of multiply-adds a thread.
__global__ void FmaRate(float* out, float seed) {
  float x[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) x[i] = seed + static_cast<float>(i + threadIdx.x);
  for (uint32_t round = 0; round < kRounds; ++round) {
#pragma unroll
    for (float& value : x) value = fmaf(value, seed, 0.5F);
  }
  float sum = 0;
  for (float value : x) sum += value;
  if (sum == -1.0F) out[threadIdx.x] = sum;  // Never; but the compiler does not know.
}

/// Conflict-free 4-byte loads, four chains a thread, each load's address from the one before.
__global__ void SharedRate(uint32_t* out) {
  auto* words = reinterpret_cast<uint32_t*>(DynamicShared());
  for (uint32_t i = threadIdx.x; i < 2048; i += kThreads) words[i] = i;
  __syncthreads();
  uint32_t at[4];
#pragma unroll
  for (uint32_t i = 0; i < 4; ++i) at[i] = (threadIdx.x + i * 256) % 2048;
  for (uint32_t round = 0; round < kRounds; ++round) {
#pragma unroll
    for (uint32_t& i : at) i = words[i];
  }
  if (at[0] + at[1] + at[2] + at[3] == 0xffffffffU) out[threadIdx.x] = at[0];
}

/// Four accumulators a warp; operands that change from round to round (constant ones would draw less power).
__global__ void TensorRate(float* out, uint32_t seed) {
  float sums[4][4] = {};
  uint32_t a[4], b = seed * (threadIdx.x + 1);
#pragma unroll
  for (uint32_t i = 0; i < 4; ++i) a[i] = (seed + i * 77) * (threadIdx.x + 3) & 0x3bff3bffU;
  for (uint32_t round = 0; round < kRounds; ++round) {
#pragma unroll
    for (auto& sum : sums) Mma(sum, a, b & 0x3bff3bffU, (b ^ round) & 0x3bff3bffU);
  }
  float sum = 0;
  for (auto& row : sums) {
    for (float value : row) sum += value;
  }
  if (sum == -1.0F) out[threadIdx.x] = sum;
}

/// Seconds of `enqueue()`: the median of kRepetitions after one to warm up.
template <class Enqueue>
cudaError_t Time(cudaStream_t stream, const Enqueue& enqueue, double* seconds) {
  Event begin, end;
  DRIFTSEAL_CUDA_TRY(begin.Create(cudaEventDefault));
  DRIFTSEAL_CUDA_TRY(end.Create(cudaEventDefault));
  float times[kRepetitions];
  DRIFTSEAL_CUDA_TRY(enqueue());
  for (float& time : times) {
    DRIFTSEAL_CUDA_TRY(cudaEventRecord(begin, stream));
    DRIFTSEAL_CUDA_TRY(enqueue());
    DRIFTSEAL_CUDA_TRY(cudaEventRecord(end, stream));
    DRIFTSEAL_CUDA_TRY(cudaEventSynchronize(end));
    DRIFTSEAL_CUDA_TRY(cudaEventElapsedTime(&time, begin, end));
  }
  std::sort(times, times + kRepetitions);
  *seconds = times[kRepetitions / 2] * 1e-3;
  return cudaSuccess;
}

cudaError_t MeasureCopies(cudaStream_t stream, CudaLimits* limits) {
  constexpr size_t kBytes = size_t{1} << 30, kHostBytes = size_t{256} << 20;
  DeviceBuffer from, to;
  PinnedBuffer host;
  DRIFTSEAL_CUDA_TRY(from.Allocate(kBytes));
  DRIFTSEAL_CUDA_TRY(to.Allocate(kBytes));
  DRIFTSEAL_CUDA_TRY(host.Allocate(kHostBytes));
  DRIFTSEAL_CUDA_TRY(cudaMemsetAsync(from.as<char>(), 0x5a, kBytes, stream));
  const auto copy = [&](void* target, const void* source, size_t bytes, cudaMemcpyKind kind, double* rate) {
    double seconds = 0;
    const cudaError_t error = Time(
        stream, [&] { return cudaMemcpyAsync(target, source, bytes, kind, stream); }, &seconds);
    *rate = static_cast<double>(bytes) / seconds;
    return error;
  };
  DRIFTSEAL_CUDA_TRY(copy(to.as<char>(), from.as<char>(), kBytes, cudaMemcpyDeviceToDevice, &limits->copy_bytes));
  limits->copy_bytes *= 2;  // Read and written
  DRIFTSEAL_CUDA_TRY(copy(to.as<char>(), host.as<char>(), kHostBytes, cudaMemcpyHostToDevice, &limits->host_to_device));
  return copy(host.as<char>(), from.as<char>(), kHostBytes, cudaMemcpyDeviceToHost, &limits->device_to_host);
}

}  // namespace

cudaError_t MeasureLimits(const DeviceLimits& device, CudaLimits* limits) {
  Stream stream;
  DeviceBuffer out;
  DRIFTSEAL_CUDA_TRY(stream.Create());
  DRIFTSEAL_CUDA_TRY(out.Allocate(kThreads * sizeof(float)));
  const uint32_t blocks = device.multiprocessors * 8;
  const double threads = static_cast<double>(blocks) * kThreads;
  double seconds = 0;
  DRIFTSEAL_CUDA_TRY(Time(
      stream, [&] { return Run(FmaRate, blocks, kThreads, 0, stream, out.as<float>(), 0.999F); }, &seconds));
  limits->fma = threads * kRounds * 8 / seconds;
  DRIFTSEAL_CUDA_TRY(Time(
      stream, [&] { return Run(SharedRate, blocks, kThreads, 8192, stream, out.as<uint32_t>()); }, &seconds));
  limits->shared_bytes = threads * kRounds * 4 * sizeof(uint32_t) / seconds;
  DRIFTSEAL_CUDA_TRY(Time(
      stream, [&] { return Run(TensorRate, blocks, kThreads, 0, stream, out.as<float>(), 12345U); }, &seconds));
  limits->tensor_fma = threads / 32 * kRounds * 4 * (16 * 8 * 16) / seconds;
  return MeasureCopies(stream, limits);
}

}  // namespace driftseal::kernels::device
