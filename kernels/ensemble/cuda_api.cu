// The module's entry points.
#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#include "kernels/autoencoder/cuda.cuh"
#include "kernels/device/limits.cuh"
#include "kernels/ensemble/session.cuh"
#include "kernels/forest/cuda.cuh"
#include "kernels/mahalanobis/cuda.cuh"
#include "kernels/neighbours/cuda.cuh"
#include "kernels/svm/cuda.cuh"
#include "kernels/svm/fit_cuda.h"

namespace driftseal::kernels::ensemble {
namespace {

using device::CudaDetector;
using device::CudaModel;
using device::CudaSession;

template <auto kMember, auto kUpload>
constexpr Algorithm MakeAlgorithm(decltype(Algorithm::launch) launch, decltype(Algorithm::variant_name) name) {
  return {[](const CudaModel& model) { return model.*kMember != nullptr; },
          [](const CudaModel& model, int32_t force, const device::DeviceLimits& limits, device::Uploader& uploader,
             device::Member* member) {
            return kUpload(*(model.*kMember), model.cols, force, limits, uploader, member);
          },
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

cudaError_t OpenSession(const device::CudaOptions& options, CudaSession* session) {
  const auto or_default = [](uint64_t value, uint64_t standard) { return value > 0 ? value : standard; };
  session->device = options.device;
  session->tile_bytes = or_default(options.tile_bytes, kDefaultTile);
  session->scratch_bytes = or_default(options.scratch_bytes, kDefaultScratch);
  session->most_groups = static_cast<uint32_t>(or_default(options.most_groups, kDefaultGroups));
  session->lane_rows = std::min(kLaneRows, session->tile_bytes / sizeof(float));
  session->small_bytes = kSmallBytes;
  DRIFTSEAL_CUDA_TRY(cudaSetDevice(options.device));
  int value = 0;
  DRIFTSEAL_CUDA_TRY(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, options.device));
  session->limits.multiprocessors = static_cast<uint32_t>(value);
  DRIFTSEAL_CUDA_TRY(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, options.device));
  session->limits.shared_bytes = static_cast<uint32_t>(value);
  for (device::Stream* stream : {&session->main, &session->in, &session->out}) DRIFTSEAL_CUDA_TRY(stream->Create());
  for (device::Stream& stream : session->streams) DRIFTSEAL_CUDA_TRY(stream.Create());
  DRIFTSEAL_CUDA_TRY(session->fork.Create());
  for (device::Event& event : session->joins) DRIFTSEAL_CUDA_TRY(event.Create());
  for (device::Event& event : session->listed) DRIFTSEAL_CUDA_TRY(event.Create());
  for (device::DeviceBuffer& scratch : session->scratch) DRIFTSEAL_CUDA_TRY(scratch.Allocate(session->scratch_bytes));
  for (Lane& lane : session->lanes) {
    DRIFTSEAL_CUDA_TRY(OpenLane(lane, session->tile_bytes, session->lane_rows, session->most_groups));
  }
  session->slices.reserve(session->most_groups);
  return OpenLane(session->small, session->small_bytes, kBuckets.back(), 1);
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

int Open(const device::CudaOptions* options, CudaSession** session) {
  if (options == nullptr || session == nullptr) return device::kCudaBadArgument;
  return Guard([&] {
    auto opened = std::make_unique<CudaSession>();
    const int status = static_cast<int>(OpenSession(*options, opened.get()));
    if (status == device::kCudaOk) *session = opened.release();
    return status;
  });
}

void Close(CudaSession* session) { delete session; }

int UploadMembers(CudaSession& session, const CudaModel& model, CudaDetector& detector) {
  for (size_t m = 0; m < kMembers; ++m) {
    if (!kAlgorithms[m].there(model)) continue;
    device::Member& member = detector.members[m];
    const int status = kAlgorithms[m].upload(model, model.force[m], session.limits, detector.memory, &member);
    if (status != device::kCudaOk) return status;
    // A tile must find room in the session's scratch.
    if (member.tile_rows * member.scratch_row + 256 > session.scratch_bytes) return device::kCudaUnsupported;
  }
  return device::kCudaOk;
}

int Upload(CudaSession* session, const CudaModel* model, CudaDetector** detector) {
  if (session == nullptr || model == nullptr || detector == nullptr || model->cols == 0) {
    return device::kCudaBadArgument;
  }
  if (model->cols * sizeof(float) > session->tile_bytes) return device::kCudaUnsupported;
  return Guard([&]() -> int {
    DRIFTSEAL_CUDA_TRY(cudaSetDevice(session->device));
    auto uploaded = std::make_unique<CudaDetector>();
    uploaded->cols = static_cast<uint32_t>(model->cols);
    int status = UploadMembers(*session, *model, *uploaded);
    if (status == device::kCudaOk) status = static_cast<int>(CaptureGraphs(*session, *uploaded));
    if (status == device::kCudaOk) *detector = uploaded.release();
    return status;
  });
}

void Release(CudaDetector* detector) { delete detector; }

int Score(CudaSession* session, const device::CudaCall* call) {
  if (session == nullptr || call == nullptr || (call->group_count > 0 && call->groups == nullptr)) {
    return device::kCudaBadArgument;
  }
  return Guard([&] { return ScoreCall(*session, *call); });
}

const char* Variant(const CudaDetector* detector, uint32_t member) {
  if (detector == nullptr || member >= kMembers || !detector->has(member)) return "";
  return kAlgorithms[member].variant_name(detector->members[member].variant);
}
const char* VariantName(uint32_t member, uint32_t number) {
  return member < kMembers ? kAlgorithms[member].variant_name(number) : nullptr;
}

int Allocate(CudaSession* session, uint64_t bytes, void** memory) {
  DRIFTSEAL_CUDA_TRY(cudaSetDevice(session->device));
  return static_cast<int>(cudaMalloc(memory, bytes));
}
void Free(void* memory) { (void)cudaFree(memory); }
int AllocatePinned(CudaSession* session, uint64_t bytes, void** memory) {
  DRIFTSEAL_CUDA_TRY(cudaSetDevice(session->device));
  return static_cast<int>(cudaHostAlloc(memory, bytes, cudaHostAllocPortable));
}
void FreePinned(void* memory) { (void)cudaFreeHost(memory); }
int CopyIn(void* target, const void* host, uint64_t bytes) {
  return static_cast<int>(cudaMemcpy(target, host, bytes, cudaMemcpyHostToDevice));
}
int CopyOut(void* host, const void* source, uint64_t bytes) {
  return static_cast<int>(cudaMemcpy(host, source, bytes, cudaMemcpyDeviceToHost));
}

int Measure(CudaSession* session, device::CudaLimits* limits) {
  DRIFTSEAL_CUDA_TRY(cudaSetDevice(session->device));
  return static_cast<int>(device::MeasureLimits(session->limits, limits));
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
