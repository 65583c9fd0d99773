// How a call's rows reach the chunks of cuda.cu: small ones by a captured graph, others chunk by chunk, those from the
// host through two sets of buffers, so that copies hide behind kernels.
#include <algorithm>
#include <cstring>

#include "kernels/ensemble/context.cuh"

namespace driftseal::kernels::ensemble {
namespace {

using device::CudaCall;
using device::CudaContext;
using device::CudaDetector;
using device::CudaGroup;

bool Pinned(const void* memory) {
  cudaPointerAttributes attributes{};
  if (cudaPointerGetAttributes(&attributes, memory) != cudaSuccess) {
    (void)cudaGetLastError();
    return false;
  }
  return attributes.type == cudaMemoryTypeHost;
}

/// Walks over a call's rows chunk by chunk.
class Chunker {
 public:
  Chunker(CudaContext& context, const CudaCall& call) : context_(context), call_(call) {}

  /// Fills context.slices with the next chunk of at most `most_rows` rows and `most_bytes` bytes; false after the last.
  /// `rows` is where the chunk's rows will lie on the device; null: where the call has them.
  bool Next(uint64_t most_rows, uint64_t most_bytes, const float* rows) {
    auto& slices = context_.slices;
    slices.clear();
    chunk_rows_ = chunk_bytes_ = 0;
    first_row_ = row_;
    first_value_ = value_;
    std::array<uint64_t, kMembers> scratch{};
    while (group_ < call_.group_count && slices.size() < context_.most_groups) {
      const CudaGroup& group = call_.groups[group_];
      const uint64_t row_bytes = uint64_t{group.detector->cols} * sizeof(float);
      uint64_t room = std::min(most_rows - chunk_rows_, (most_bytes - chunk_bytes_) / row_bytes);
      room = std::min(group.rows - done_, RoomInScratch(*group.detector, scratch, room));
      if (room == 0 && group.rows > done_) break;
      const float* at = rows == nullptr ? call_.rows + value_ : rows + (value_ - first_value_);
      slices.push_back({group.detector, at, chunk_rows_, room});
      TakeScratch(*group.detector, room, &scratch);
      chunk_rows_ += room;
      chunk_bytes_ += room * row_bytes;
      row_ += room;
      value_ += room * group.detector->cols;
      done_ += room;
      if (done_ < group.rows) break;
      ++group_;
      done_ = 0;
    }
    return chunk_rows_ > 0;
  }
  uint64_t first_row() const { return first_row_; }
  uint64_t first_value() const { return first_value_; }
  uint64_t rows() const { return chunk_rows_; }
  uint64_t bytes() const { return chunk_bytes_; }

 private:
  uint64_t RoomInScratch(const CudaDetector& detector, const std::array<uint64_t, kMembers>& used,
                         uint64_t rows) const {
    for (size_t m = 0; m < kMembers; ++m) {
      const device::Member& member = detector.members[m];
      if (!detector.has(m) || member.scratch_row == 0) continue;
      const uint64_t left = context_.scratch_bytes - std::min(context_.scratch_bytes, used[m] + 256);
      rows = std::min(rows, left / (member.scratch_row * member.tile_rows) * member.tile_rows);
    }
    return rows;
  }
  void TakeScratch(const CudaDetector& detector, uint64_t rows, std::array<uint64_t, kMembers>* used) const {
    for (size_t m = 0; m < kMembers; ++m) {
      const device::Member& member = detector.members[m];
      const uint64_t padded = (rows + member.tile_rows - 1) / member.tile_rows * member.tile_rows;
      (*used)[m] += (padded * member.scratch_row + 255) / 256 * 256;
    }
  }

  CudaContext& context_;
  const CudaCall& call_;
  uint64_t group_ = 0, done_ = 0, row_ = 0, value_ = 0;
  uint64_t first_row_ = 0, first_value_ = 0, chunk_rows_ = 0, chunk_bytes_ = 0;
};

cudaError_t ScoreOnDevice(CudaContext& context, const CudaCall& call) {
  Chunker chunks(context, call);
  for (size_t i = 0; chunks.Next(kMostChunkRows, UINT64_MAX, nullptr); ++i) {
    const size_t lane = i % context.lanes.size();
    DRIFTSEAL_CUDA_TRY(cudaEventSynchronize(context.listed[lane]));
    Scores scores{};
    for (size_t m = 0; m < kMembers; ++m) {
      if (call.scores[m] != nullptr) scores[m] = call.scores[m] + chunks.first_row();
    }
    DRIFTSEAL_CUDA_TRY(
        EnqueueChunk(context, context.lanes[lane].work, context.slices.data(), context.slices.size(), scores));
    DRIFTSEAL_CUDA_TRY(cudaEventRecord(context.listed[lane], context.main));
  }
  return cudaStreamSynchronize(context.main);
}

/// Scores of a chunk on their way back: which rows of the call they belong to, and whose (a chunk may hold detectors
/// with different members, whose scores in between must be left alone).
class HostPipeline {
 public:
  HostPipeline(CudaContext& context, const CudaCall& call)
      : context_(context), call_(call), rows_pinned_(Pinned(call.rows)) {
    for (size_t m = 0; m < kMembers; ++m) {
      wanted_[m] = call.scores[m] != nullptr;
      // Straight into the caller's memory only where every row gets a score of this member.
      bool all = wanted_[m];
      for (uint64_t g = 0; g < call.group_count && all; ++g) all = call.groups[g].detector->has(m);
      direct_[m] = all && Pinned(call.scores[m]);
    }
  }

  cudaError_t Run() {
    Chunker chunks(context_, call_);
    size_t i = 0;
    for (;; ++i) {
      Lane& lane = context_.lanes[i % 2];
      DRIFTSEAL_CUDA_TRY(Harvest(i % 2));
      if (!chunks.Next(context_.lane_rows, context_.tile_bytes, lane.device_rows.as<float>())) break;
      DRIFTSEAL_CUDA_TRY(Submit(lane, chunks, &pending_[i % 2]));
    }
    return Harvest((i + 1) % 2);
  }

 private:
  struct Pending {
    uint64_t first_row = 0, rows = 0;
  };

  cudaError_t Submit(Lane& lane, const Chunker& chunks, Pending* pending) {
    const float* source = call_.rows + chunks.first_value();
    if (!rows_pinned_) {
      std::memcpy(lane.rows.as<float>(), source, chunks.bytes());
      source = lane.rows.as<float>();
    }
    DRIFTSEAL_CUDA_TRY(
        cudaMemcpyAsync(lane.device_rows.as<float>(), source, chunks.bytes(), cudaMemcpyHostToDevice, context_.in));
    DRIFTSEAL_CUDA_TRY(cudaEventRecord(lane.arrived, context_.in));
    DRIFTSEAL_CUDA_TRY(cudaStreamWaitEvent(context_.main, lane.arrived, 0));
    Scores scores{};
    for (size_t m = 0; m < kMembers; ++m) {
      if (wanted_[m]) scores[m] = lane.device_scores.as<float>() + m * context_.lane_rows;
    }
    DRIFTSEAL_CUDA_TRY(EnqueueChunk(context_, lane.work, context_.slices.data(), context_.slices.size(), scores));
    DRIFTSEAL_CUDA_TRY(cudaEventRecord(lane.scored, context_.main));
    DRIFTSEAL_CUDA_TRY(cudaStreamWaitEvent(context_.out, lane.scored, 0));
    for (size_t m = 0; m < kMembers; ++m) {
      if (!wanted_[m]) continue;
      float* target =
          direct_[m] ? call_.scores[m] + chunks.first_row() : lane.scores.as<float>() + m * context_.lane_rows;
      DRIFTSEAL_CUDA_TRY(
          cudaMemcpyAsync(target, scores[m], chunks.rows() * sizeof(float), cudaMemcpyDeviceToHost, context_.out));
    }
    DRIFTSEAL_CUDA_TRY(cudaEventRecord(lane.done, context_.out));
    *pending = {chunks.first_row(), chunks.rows()};
    return cudaSuccess;
  }

  /// Waits for the lane's chunk and hands its scores over, group by group.
  cudaError_t Harvest(size_t index) {
    Pending& pending = pending_[index];
    if (pending.rows == 0) return cudaSuccess;
    Lane& lane = context_.lanes[index];
    DRIFTSEAL_CUDA_TRY(cudaEventSynchronize(lane.done));
    const uint64_t end = pending.first_row + pending.rows;
    // Chunks come back in order: what lies before this one's first row is done with.
    while (group_first_ + call_.groups[group_].rows <= pending.first_row) group_first_ += call_.groups[group_++].rows;
    uint64_t first = group_first_;
    for (uint64_t g = group_; g < call_.group_count && first < end; first += call_.groups[g++].rows) {
      const uint64_t from = std::max(first, pending.first_row), to = std::min(first + call_.groups[g].rows, end);
      for (size_t m = 0; m < kMembers && from < to; ++m) {
        if (!wanted_[m] || direct_[m] || !call_.groups[g].detector->has(m)) continue;
        std::memcpy(call_.scores[m] + from,
                    lane.scores.as<float>() + m * context_.lane_rows + (from - pending.first_row),
                    (to - from) * sizeof(float));
      }
    }
    pending.rows = 0;
    return cudaSuccess;
  }

  CudaContext& context_;
  const CudaCall& call_;
  bool rows_pinned_;
  std::array<bool, kMembers> wanted_{}, direct_{};
  std::array<Pending, 2> pending_;
  uint64_t group_ = 0, group_first_ = 0;
};

/// The graph for one detector's small batch; null where there is none.
const device::Graph* GraphFor(const CudaContext& context, const CudaCall& call) {
  if (call.group_count != 1 || call.groups[0].detector->owner != &context) return nullptr;
  const CudaDetector& detector = *call.groups[0].detector;
  for (size_t m = 0; m < kMembers; ++m) {
    if (detector.has(m) && call.scores[m] == nullptr) return nullptr;
  }
  for (size_t b = 0; b < kBuckets.size(); ++b) {
    if (call.groups[0].rows <= kBuckets[b]) return detector.graphs[b].empty() ? nullptr : &detector.graphs[b];
  }
  return nullptr;
}

/// Replays a graph with this call's rows. Its work list is written anew: the kernels read counts from there.
cudaError_t ScoreByGraph(CudaContext& context, const CudaCall& call, const device::Graph& graph) {
  Lane& lane = context.small;
  const CudaGroup& group = call.groups[0];
  std::memcpy(lane.rows.as<float>(), call.rows, group.rows * group.detector->cols * sizeof(float));
  const Slice slice{group.detector, lane.device_rows.as<float>(), 0, group.rows};
  (void)PlanChunk(context, lane.work, &slice, 1, SmallScores(context, *group.detector));
  DRIFTSEAL_CUDA_TRY(graph.Launch(context.main));
  DRIFTSEAL_CUDA_TRY(cudaStreamSynchronize(context.main));
  for (size_t m = 0; m < kMembers; ++m) {
    if (!group.detector->has(m)) continue;
    std::memcpy(call.scores[m], lane.scores.as<float>() + m * kBuckets.back(), group.rows * sizeof(float));
  }
  return cudaSuccess;
}

}  // namespace

int ScoreCall(CudaContext& context, const CudaCall& call) {
  uint64_t rows = 0;
  for (uint64_t g = 0; g < call.group_count; ++g) {
    if (call.groups[g].detector == nullptr) return device::kCudaBadArgument;
    rows += call.groups[g].rows;
  }
  if (rows == 0) return device::kCudaOk;
  if (call.rows == nullptr) return device::kCudaBadArgument;
  DRIFTSEAL_CUDA_TRY(cudaSetDevice(context.device));
  const device::Graph* graph = call.on_device != 0 ? nullptr : GraphFor(context, call);
  const cudaError_t error = call.on_device != 0 ? ScoreOnDevice(context, call)
                            : graph != nullptr  ? ScoreByGraph(context, call, *graph)
                                                : HostPipeline(context, call).Run();
  // Nothing may still write into the caller's memory when it hears of an error.
  if (error != cudaSuccess) (void)cudaDeviceSynchronize();
  return static_cast<int>(error);
}

}  // namespace driftseal::kernels::ensemble
