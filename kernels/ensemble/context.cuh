#ifndef DRIFTSEAL_KERNELS_ENSEMBLE_CONTEXT_CUH_
#define DRIFTSEAL_KERNELS_ENSEMBLE_CONTEXT_CUH_

#include <array>
#include <vector>

#include "kernels/device/cuda_api.h"
#include "kernels/device/group.cuh"
#include "kernels/device/memory.cuh"

// What stands behind the opaque types of kernels/device/cuda_api.h.
namespace driftseal::kernels::ensemble {

inline constexpr size_t kMembers = device::kCudaMembers;
inline constexpr uint32_t kVariants = 8;               ///< At most, of any member.
inline constexpr uint64_t kMostChunkRows = 16u << 20;  ///< Of one chunk; a chunk is what one launch of a member scores.
inline constexpr std::array<uint32_t, 5> kBuckets = {16, 64, 256, 1024, 4096};  ///< Batch sizes that have graphs.

using Scores = std::array<float*, kMembers>;

/// One member of the ensemble as the context calls it.
struct Algorithm {
  bool (*there)(const device::CudaModel& model);
  int (*upload)(const device::CudaModel& model, int32_t force, const device::DeviceLimits& limits,
                device::Uploader& uploader, device::Member* member);
  cudaError_t (*launch)(uint32_t variant, const device::Launch& launch, const device::DeviceLimits& limits);
  const char* (*variant_name)(uint32_t variant);
};
const std::array<Algorithm, kMembers>& Algorithms();

/// Rows of one detector in a chunk.
struct Slice {
  const device::CudaDetector* detector;
  const float* rows;      ///< On the device.
  uint64_t first, count;  ///< Of the chunk's rows.
};

/// The work lists of a chunk, on their way to the device.
struct WorkList {
  device::PinnedBuffer host;
  device::DeviceBuffer device;
  cudaError_t Allocate(uint32_t groups);
};

/// Launches of one member and variant.
struct Segment {
  size_t member = 0;
  uint32_t variant = 0, first_group = 0;
  device::Launch launch{};
};

/// Launches of a chunk.
struct Plan {
  std::array<Segment, kMembers * kVariants + 1> segments;
  size_t segment_count = 0, members = 0;
  uint32_t groups = 0;
  std::array<bool, kMembers> there{};
};

/// One of the two sets of buffers that rows from the host take turns in.
struct Lane {
  device::PinnedBuffer rows, scores;
  device::DeviceBuffer device_rows, device_scores;
  WorkList work;
  device::Event arrived, scored, done;
};

}  // namespace driftseal::kernels::ensemble

namespace driftseal::kernels::device {

struct CudaDetector {
  uint32_t cols = 0;
  Uploader memory;
  std::array<Member, kCudaMembers> members;
  const CudaContext* owner = nullptr;  ///< Whose buffers the graphs use.
  std::array<Graph, ensemble::kBuckets.size()> graphs;
  bool has(size_t member) const { return members[member].model != nullptr; }
};

struct CudaContext {
  int device = 0;
  DeviceLimits limits;
  uint64_t tile_bytes = 0, scratch_bytes = 0, lane_rows = 0;
  uint32_t most_groups = 0;
  Stream main, in, out;
  std::array<Stream, kCudaMembers> streams;
  Event fork;
  std::array<Event, kCudaMembers> joins;
  std::array<DeviceBuffer, kCudaMembers> scratch;
  std::array<ensemble::Lane, 2> lanes;
  std::array<Event, 2> listed;  ///< Work lists of `lanes` have been copied.
  ensemble::Lane small;         ///< The graphs' buffers.
  uint64_t small_bytes = 0;     ///< Of its rows.
  std::vector<ensemble::Slice> slices;
};

}  // namespace driftseal::kernels::device

namespace driftseal::kernels::ensemble {

/// Where the graphs of `detector` leave their scores.
Scores SmallScores(const device::CudaContext& context, const device::CudaDetector& detector);

/// Writes a chunk's work lists into `work.host`; the same for the same slices but for their counts.
Plan PlanChunk(device::CudaContext& context, WorkList& work, const Slice* slices, size_t count, const Scores& scores);

/// Plans one chunk and puts it on context.main and the members' streams, which join it again. Host memory of `work`
/// must be free.
cudaError_t EnqueueChunk(device::CudaContext& context, WorkList& work, const Slice* slices, size_t count,
                         const Scores& scores);

/// Captures the graphs of a detector just uploaded; leaves them empty where its rows are too wide for the buffers.
cudaError_t CaptureGraphs(device::CudaContext& context, device::CudaDetector& detector);

int ScoreCall(device::CudaContext& context, const device::CudaCall& call);

}  // namespace driftseal::kernels::ensemble

#endif  // DRIFTSEAL_KERNELS_ENSEMBLE_CONTEXT_CUH_
