// The module's entry points.
#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#include "kernels/autoencoder/cuda.cuh"
#include "kernels/device/limits.cuh"
#include "kernels/ensemble/context.cuh"
#include "kernels/forest/cuda.cuh"
#include "kernels/mahalanobis/cuda.cuh"
#include "kernels/neighbours/cuda.cuh"
#include "kernels/svm/cuda.cuh"
#include "kernels/svm/fit_cuda.h"

namespace driftseal::kernels::ensemble {
namespace {

using device::CudaContext;
using device::CudaDetector;
using device::CudaModel;

template <auto kMember, auto kUpload>
constexpr Algorithm MakeAlgorithm(decltype(Algorithm::launch) launch, decltype(Algorithm::variant_name) name) {
  return {
      [](const CudaModel& model) { return model.*kMember != nullptr; },
      [](const CudaModel& model, int32_t force, const device::DeviceLimits& limits, device::Uploader& uploader,
         device::Member* member) { return kUpload(*(model.*kMember), model.cols, force, limits, uploader, member); },
      launch, name};
}

constexpr std::array<Algorithm, kMembers> kAlgorithms = {
    MakeAlgorithm<&CudaModel::autoencoder, &autoencoder::CudaUpload>(&autoencoder::CudaLaunch,
                                                                     &autoencoder::CudaVariantName),
    MakeAlgorithm<&CudaModel::forest, &forest::CudaUpload>(&forest::CudaLaunch, &forest::CudaVariantName),
    MakeAlgorithm<&CudaModel::svm, &svm::CudaUpload>(&svm::CudaLaunch, &svm::CudaVariantName),
    MakeAlgorithm<&CudaModel::mahalanobis, &mahalanobis::CudaUpload>(&mahalanobis::CudaLaunch,
                                                                     &mahalanobis::CudaVariantName),
    MakeAlgorithm<&CudaModel::neighbours, &neighbours::CudaUpload>(&neighbours::CudaLaunch,
                                                                   &neighbours::CudaVariantName),
};

constexpr uint64_t kDefaultTile = 32u << 20, kDefaultScratch = 256u << 20, kSmallBytes = 16u << 20;
constexpr uint32_t kDefaultGroups = 4096;
constexpr uint64_t kLaneRows = 1u << 20;  // Of one chunk from the host: what its scores have room for.

cudaError_t OpenLane(Lane& lane, uint64_t bytes, uint64_t rows, uint32_t groups) {
  DRIFTSEAL_CUDA_TRY(lane.rows.Allocate(bytes));
  DRIFTSEAL_CUDA_TRY(lane.device_rows.Allocate(bytes));
  DRIFTSEAL_CUDA_TRY(lane.scores.Allocate(kMembers * rows * sizeof(float)));
  DRIFTSEAL_CUDA_TRY(lane.device_scores.Allocate(kMembers * rows * sizeof(float)));
  DRIFTSEAL_CUDA_TRY(lane.work.Allocate(groups * kMembers));
  DRIFTSEAL_CUDA_TRY(lane.arrived.Create());
  DRIFTSEAL_CUDA_TRY(lane.scored.Create());
  return lane.done.Create();
}

cudaError_t OpenContext(const device::CudaOptions& options, CudaContext* context) {
  const auto or_default = [](uint64_t value, uint64_t standard) { return value > 0 ? value : standard; };
  context->device = options.device;
  context->tile_bytes = or_default(options.tile_bytes, kDefaultTile);
  context->scratch_bytes = or_default(options.scratch_bytes, kDefaultScratch);
  context->most_groups = static_cast<uint32_t>(or_default(options.most_groups, kDefaultGroups));
  context->lane_rows = std::min(kLaneRows, context->tile_bytes / sizeof(float));
  context->small_bytes = kSmallBytes;
  DRIFTSEAL_CUDA_TRY(cudaSetDevice(options.device));
  int value = 0;
  DRIFTSEAL_CUDA_TRY(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, options.device));
  context->limits.multiprocessors = static_cast<uint32_t>(value);
  DRIFTSEAL_CUDA_TRY(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, options.device));
  context->limits.shared_bytes = static_cast<uint32_t>(value);
  for (device::Stream* stream : {&context->main, &context->in, &context->out}) DRIFTSEAL_CUDA_TRY(stream->Create());
  for (device::Stream& stream : context->streams) DRIFTSEAL_CUDA_TRY(stream.Create());
  DRIFTSEAL_CUDA_TRY(context->fork.Create());
  for (device::Event& event : context->joins) DRIFTSEAL_CUDA_TRY(event.Create());
  for (device::Event& event : context->listed) DRIFTSEAL_CUDA_TRY(event.Create());
  for (device::DeviceBuffer& scratch : context->scratch) DRIFTSEAL_CUDA_TRY(scratch.Allocate(context->scratch_bytes));
  for (Lane& lane : context->lanes) {
    DRIFTSEAL_CUDA_TRY(OpenLane(lane, context->tile_bytes, context->lane_rows, context->most_groups));
  }
  context->slices.reserve(context->most_groups);
  return OpenLane(context->small, context->small_bytes, kBuckets.back(), 1);
}

/// No exception may cross the module's border.
template <class Body>
int Guard(const Body& body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return device::kCudaNoHostMemory;
  } catch (...) {
    return device::kCudaBadArgument;
  }
}

int Open(const device::CudaOptions* options, CudaContext** context) {
  if (options == nullptr || context == nullptr) return device::kCudaBadArgument;
  return Guard([&] {
    auto opened = std::make_unique<CudaContext>();
    const int status = static_cast<int>(OpenContext(*options, opened.get()));
    if (status == device::kCudaOk) *context = opened.release();
    return status;
  });
}

void Close(CudaContext* context) { delete context; }

int UploadMembers(CudaContext& context, const CudaModel& model, CudaDetector& detector) {
  for (size_t m = 0; m < kMembers; ++m) {
    if (!kAlgorithms[m].there(model)) continue;
    device::Member& member = detector.members[m];
    const int status = kAlgorithms[m].upload(model, model.force[m], context.limits, detector.memory, &member);
    if (status != device::kCudaOk) return status;
    // A tile must find room in the context's scratch.
    if (member.tile_rows * member.scratch_row + 256 > context.scratch_bytes) return device::kCudaUnsupported;
  }
  return device::kCudaOk;
}

int Upload(CudaContext* context, const CudaModel* model, CudaDetector** detector) {
  if (context == nullptr || model == nullptr || detector == nullptr || model->cols == 0) {
    return device::kCudaBadArgument;
  }
  if (model->cols * sizeof(float) > context->tile_bytes) return device::kCudaUnsupported;
  return Guard([&]() -> int {
    DRIFTSEAL_CUDA_TRY(cudaSetDevice(context->device));
    auto uploaded = std::make_unique<CudaDetector>();
    uploaded->cols = static_cast<uint32_t>(model->cols);
    int status = UploadMembers(*context, *model, *uploaded);
    // A copy from pageable memory may return before its last bytes are there, and our streams do not wait for it.
    if (status == device::kCudaOk) status = static_cast<int>(cudaStreamSynchronize(nullptr));
    if (status == device::kCudaOk) status = static_cast<int>(CaptureGraphs(*context, *uploaded));
    if (status == device::kCudaOk) *detector = uploaded.release();
    return status;
  });
}

void Release(CudaDetector* detector) { delete detector; }

int Score(CudaContext* context, const device::CudaCall* call) {
  if (context == nullptr || call == nullptr || (call->group_count > 0 && call->groups == nullptr)) {
    return device::kCudaBadArgument;
  }
  return Guard([&] { return ScoreCall(*context, *call); });
}

const char* Variant(const CudaDetector* detector, uint32_t member) {
  if (detector == nullptr || member >= kMembers || !detector->has(member)) return "";
  return kAlgorithms[member].variant_name(detector->members[member].variant);
}
const char* VariantName(uint32_t member, uint32_t number) {
  return member < kMembers ? kAlgorithms[member].variant_name(number) : nullptr;
}

int Allocate(CudaContext* context, uint64_t bytes, void** memory) {
  DRIFTSEAL_CUDA_TRY(cudaSetDevice(context->device));
  return static_cast<int>(cudaMalloc(memory, bytes));
}
void Free(void* memory) { (void)cudaFree(memory); }
int AllocatePinned(CudaContext* context, uint64_t bytes, void** memory) {
  DRIFTSEAL_CUDA_TRY(cudaSetDevice(context->device));
  return static_cast<int>(cudaHostAlloc(memory, bytes, cudaHostAllocPortable));
}
void FreePinned(void* memory) { (void)cudaFreeHost(memory); }
int CopyIn(void* target, const void* host, uint64_t bytes) {
  DRIFTSEAL_CUDA_TRY(cudaMemcpy(target, host, bytes, cudaMemcpyHostToDevice));
  return static_cast<int>(cudaStreamSynchronize(nullptr));  // As in Upload.
}
int CopyOut(void* host, const void* source, uint64_t bytes) {
  return static_cast<int>(cudaMemcpy(host, source, bytes, cudaMemcpyDeviceToHost));
}

int Measure(CudaContext* context, device::CudaLimits* limits) {
  DRIFTSEAL_CUDA_TRY(cudaSetDevice(context->device));
  return static_cast<int>(device::MeasureLimits(context->limits, limits));
}

const char* ErrorText(int status) {
  switch (status) {
    case device::kCudaOk:
      return "no error";
    case device::kCudaBadArgument:
      return "an argument is missing, out of range, or disagrees with another";
    case device::kCudaUnsupported:
      return "the forced variant cannot take this model, or the model is over a limit of the CUDA kernels";
    case device::kCudaNoHostMemory:
      return "out of host memory";
    default:
      return cudaGetErrorString(static_cast<cudaError_t>(status));
  }
}

constexpr device::CudaApi kApi = {device::kCudaApiVersion,
                                  Open,
                                  Close,
                                  Upload,
                                  Release,
                                  Score,
                                  Variant,
                                  VariantName,
                                  Allocate,
                                  Free,
                                  AllocatePinned,
                                  FreePinned,
                                  CopyIn,
                                  CopyOut,
                                  Measure,
                                  ErrorText,
                                  svm::CudaFitSvm};

}  // namespace

const std::array<Algorithm, kMembers>& Algorithms() { return kAlgorithms; }

}  // namespace driftseal::kernels::ensemble

extern "C" __attribute__((visibility("default"))) const driftseal::kernels::device::CudaApi* driftseal_cuda_api(
    uint32_t version) {
  return version == driftseal::kernels::device::kCudaApiVersion ? &driftseal::kernels::ensemble::kApi : nullptr;
}
