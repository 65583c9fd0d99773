// One pass over a chunk of rows for all members: each member's launches go to a stream of its own, so that they share
// the chip where one alone does not fill it.
#include <algorithm>

#include "kernels/ensemble/context.cuh"

namespace driftseal::kernels::ensemble {
namespace {

using device::CudaContext;
using device::CudaDetector;
using device::Group;
using device::Launch;
using device::Member;

// The members that take longest first; the others fill the gaps that they leave.
constexpr std::array<size_t, kMembers> kOrder = {device::kCudaNeighbours, device::kCudaSvm, device::kCudaForest,
                                                 device::kCudaAutoencoder, device::kCudaMahalanobis};

/// Appends the groups of one member and variant to the work list; false where no slice has it.
bool Append(CudaContext& context, size_t member, uint32_t variant, const Slice* slices, size_t count, float* scores,
            uint64_t* scratch_used, Group* groups, uint32_t* group_count, Segment* segment) {
  *segment = {member, variant, *group_count, {}};
  for (size_t i = 0; i < count; ++i) {
    const Member& m = slices[i].detector->members[member];
    if (m.model == nullptr || m.variant != variant || slices[i].count == 0) continue;
    const auto rows = static_cast<uint32_t>(slices[i].count), tiles = (rows + m.tile_rows - 1) / m.tile_rows;
    groups[(*group_count)++] = {m.model,
                                slices[i].rows,
                                scores + slices[i].first,
                                context.scratch[member].as<std::byte>() + *scratch_used,
                                slices[i].detector->cols,
                                rows,
                                segment->launch.tiles};
    *scratch_used += (uint64_t{tiles} * m.tile_rows * m.scratch_row + 255) / 256 * 256;
    segment->launch.tiles += tiles;
    segment->launch.rows += rows;
    segment->launch.parts = std::max(segment->launch.parts, m.parts);
    ++segment->launch.count;
  }
  return segment->launch.count > 0;
}

/// Runs a member's segments on its stream.
cudaError_t LaunchMember(const CudaContext& context, size_t member, cudaStream_t stream, const Group* groups,
                         const Plan& plan) {
  for (size_t i = 0; i < plan.segment_count; ++i) {
    const Segment& segment = plan.segments[i];
    if (segment.member != member) continue;
    Launch launch = segment.launch;
    launch.groups = groups + segment.first_group;
    launch.stream = stream;
    DRIFTSEAL_CUDA_TRY(Algorithms()[member].launch(segment.variant, launch, context.limits));
  }
  return cudaSuccess;
}

}  // namespace

cudaError_t WorkList::Allocate(uint32_t groups) {
  DRIFTSEAL_CUDA_TRY(host.Allocate(groups * sizeof(Group)));
  return device.Allocate(groups * sizeof(Group));
}

Plan PlanChunk(CudaContext& context, WorkList& work, const Slice* slices, size_t count, const Scores& scores) {
  Plan plan;
  for (size_t member : kOrder) {
    uint64_t scratch = 0;
    for (uint32_t variant = 0; variant < kVariants && scores[member] != nullptr; ++variant) {
      Segment* segment = &plan.segments[plan.segment_count];
      if (Append(context, member, variant, slices, count, scores[member], &scratch, work.host.as<Group>(), &plan.groups,
                 segment)) {
        ++plan.segment_count;
        plan.there[member] = true;
      }
    }
    plan.members += plan.there[member] ? 1 : 0;
  }
  return plan;
}

cudaError_t EnqueueChunk(CudaContext& context, WorkList& work, const Slice* slices, size_t count,
                         const Scores& scores) {
  const Plan plan = PlanChunk(context, work, slices, count, scores);
  if (plan.groups == 0) return cudaSuccess;
  DRIFTSEAL_CUDA_TRY(cudaMemcpyAsync(work.device.as<Group>(), work.host.as<Group>(), plan.groups * sizeof(Group),
                                     cudaMemcpyHostToDevice, context.main));
  const bool several = plan.members > 1;
  if (several) DRIFTSEAL_CUDA_TRY(cudaEventRecord(context.fork, context.main));
  for (size_t member : kOrder) {
    if (!plan.there[member]) continue;
    const cudaStream_t stream = several ? context.streams[member] : context.main;
    if (several) DRIFTSEAL_CUDA_TRY(cudaStreamWaitEvent(stream, context.fork, 0));
    DRIFTSEAL_CUDA_TRY(LaunchMember(context, member, stream, work.device.as<Group>(), plan));
    if (several) DRIFTSEAL_CUDA_TRY(cudaEventRecord(context.joins[member], stream));
  }
  for (size_t member = 0; member < kMembers && several; ++member) {
    if (plan.there[member]) DRIFTSEAL_CUDA_TRY(cudaStreamWaitEvent(context.main, context.joins[member], 0));
  }
  return cudaSuccess;
}

Scores SmallScores(const CudaContext& context, const CudaDetector& detector) {
  Scores scores{};
  for (size_t m = 0; m < kMembers; ++m) {
    if (detector.has(m)) scores[m] = context.small.device_scores.as<float>() + m * kBuckets.back();
  }
  return scores;
}

cudaError_t CaptureGraphs(CudaContext& context, CudaDetector& detector) {
  Lane& lane = context.small;
  const Scores scores = SmallScores(context, detector);
  if (uint64_t{kBuckets.front()} * detector.cols * sizeof(float) <= context.small_bytes) {
    // Once without capture: kernels are loaded at their first launch, which a capture need not allow, and what is wrong
    // with a launch shows here.
    const Slice slice{&detector, lane.device_rows.as<float>(), 0, kBuckets.front()};
    DRIFTSEAL_CUDA_TRY(EnqueueChunk(context, lane.work, &slice, 1, scores));
    DRIFTSEAL_CUDA_TRY(cudaStreamSynchronize(context.main));
  }
  for (size_t b = 0; b < kBuckets.size(); ++b) {
    const uint64_t bytes = uint64_t{kBuckets[b]} * detector.cols * sizeof(float);
    if (bytes > context.small_bytes) break;
    const Slice slice{&detector, lane.device_rows.as<float>(), 0, kBuckets[b]};
    const cudaError_t captured = detector.graphs[b].Capture(context.main, [&] {
      DRIFTSEAL_CUDA_TRY(cudaMemcpyAsync(lane.device_rows.as<float>(), lane.rows.as<float>(), bytes,
                                         cudaMemcpyHostToDevice, context.main));
      DRIFTSEAL_CUDA_TRY(EnqueueChunk(context, lane.work, &slice, 1, scores));
      return cudaMemcpyAsync(lane.scores.as<float>(), lane.device_scores.as<float>(),
                             kMembers * kBuckets.back() * sizeof(float), cudaMemcpyDeviceToHost, context.main);
    });
    if (captured != cudaSuccess) return captured;
  }
  detector.owner = &context;
  return cudaSuccess;
}

}  // namespace driftseal::kernels::ensemble
