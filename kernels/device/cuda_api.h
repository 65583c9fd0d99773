#ifndef DRIFTSEAL_KERNELS_DEVICE_CUDA_API_H_
#define DRIFTSEAL_KERNELS_DEVICE_CUDA_API_H_

#include <cstddef>
#include <cstdint>

// What crosses the border between the engine and libdriftseal_cuda.so: plain structs and function pointers, since the
// module is loaded by dlopen. Models come as the doubles of kernels/*/*.h; the module packs them for the GPU.
// Every function gives 0, a cudaError_t (above 0), or one of CudaStatus (below 0); none throws.
namespace driftseal::kernels::device {

inline constexpr uint32_t kCudaApiVersion = 1;
inline constexpr char kCudaApiName[] = "driftseal_cuda_api";

enum CudaStatus : int {
  kCudaOk = 0,
  kCudaBadArgument = -1,  ///< A null pointer, an index out of range, columns that disagree.
  kCudaUnsupported = -2,  ///< The forced variant cannot take this model, or the model is over a limit of the kernels.
  kCudaNoHostMemory = -3,
};

/// The order of ensemble::Member.
enum CudaMember : uint32_t { kCudaAutoencoder, kCudaForest, kCudaSvm, kCudaMahalanobis, kCudaNeighbours };
inline constexpr size_t kCudaMembers = 5;

/// forest::Node, field by field.
struct CudaNode {
  int32_t feature;
  float threshold;
  int32_t left, right;
  float path;
};
struct CudaForest {
  const CudaNode* nodes;
  uint64_t node_count;
  const uint32_t* roots;
  uint64_t trees;
  /// c(ψ) · trees · 65,536; 0: every row scores 0.5; negative: scores are the path sums, as the bits of a uint32
  /// (tests).
  double norm;
};
struct CudaSvm {
  const double* vectors;  ///< count × cols
  const double* alpha;    ///< count
  uint64_t count;
  double gamma, rho;
};
struct CudaLayer {
  uint64_t inputs, outputs;
  int32_t activation;     ///< 0 identity, 1 ReLU, 2 tanh, 3 logistic.
  const double* weights;  ///< outputs × inputs
  const double* bias;     ///< outputs
};
struct CudaNetwork {
  const CudaLayer* layers;
  uint64_t count;
};
struct CudaMahalanobis {
  const double* mean;  ///< cols
  double isotropic;
  const double* directions;  ///< count × cols
  const double* weights;     ///< count
  uint64_t count;
};
struct CudaNeighbours {
  const double* reference;  ///< rows × cols
  uint64_t rows, k;
  int32_t kth;  ///< 0: mean of the k nearest distances; 1: the k-th.
};

/// A detector's members; null: not there. All read `cols` columns.
struct CudaModel {
  uint64_t cols;
  const CudaNetwork* autoencoder;
  const CudaForest* forest;
  const CudaSvm* svm;
  const CudaMahalanobis* mahalanobis;
  const CudaNeighbours* neighbours;
  /// By CudaMember, −1: the fastest variant that holds the bound; otherwise a variant's number (`variant_name`), for
  /// tests and benchmarks.
  int32_t force[kCudaMembers];
};

/// Everything that a context allocates, once, when it is opened; 0 takes the default.
struct CudaOptions {
  int32_t device;
  uint64_t tile_bytes;     ///< Rows on their way from the host: two pinned and two device buffers of this (32 MiB).
  uint64_t scratch_bytes;  ///< For each member, on the device (256 MiB).
  uint32_t most_groups;    ///< Groups in one call (4,096).
};

struct CudaContext;   // streams, buffers; used by one thread at a time
struct CudaDetector;  // an uploaded model; immutable, may serve any context of its device

/// `rows` rows of one detector.
struct CudaGroup {
  const CudaDetector* detector;
  uint64_t rows;
};
/// One call: rows of all groups one after the other, row-major, and a score a row and member in the same order.
/// Pointers are all the host's or all the device's; what is on the device must be there when the call comes (the
/// context's streams wait for nobody else's). scores[m] null: that member is not wanted; where a group's detector
/// lacks the member, its scores are left alone.
struct CudaCall {
  const CudaGroup* groups;
  uint64_t group_count;
  const float* rows;
  float* scores[kCudaMembers];
  int32_t on_device;
};

struct CudaApi {
  uint32_t version;
  int (*open)(const CudaOptions* options, CudaContext** context);
  void (*close)(CudaContext* context);
  /// Packs and copies a model. Allocates; not for the path of a request.
  int (*upload)(CudaContext* context, const CudaModel* model, CudaDetector** detector);
  void (*release)(CudaDetector* detector);
  /// Scores, and returns when the scores are there. Allocates nothing.
  int (*score)(CudaContext* context, const CudaCall* call);
  /// The variant that serves a member, or "" where the detector lacks it.
  const char* (*variant)(const CudaDetector* detector, uint32_t member);
  /// Names of a member's variants by number; null beyond the last.
  const char* (*variant_name)(uint32_t member, uint32_t number);
  /// Device memory, for callers that keep their rows there, and copies to and from it.
  int (*allocate)(CudaContext* context, uint64_t bytes, void** memory);
  void (*free)(void* memory);
  /// Page-locked host memory: rows and scores that lie in it are copied without a detour over the context's buffers.
  int (*allocate_pinned)(CudaContext* context, uint64_t bytes, void** memory);
  void (*free_pinned)(void* memory);
  int (*copy_in)(void* device, const void* host, uint64_t bytes);
  int (*copy_out)(void* host, const void* device, uint64_t bytes);
  /// Limits of the machine, for benchmarks (kernels/device/limits.cu).
  int (*measure)(CudaContext* context, struct CudaLimits* limits);
  const char* (*error_text)(int status);
  /// kernels/svm/fit_cuda.h, on the current device. See CudaSvmFit.
  int (*fit_svm)(struct CudaSvmFit* fit);
};

/// Measured: bytes read and written a second by a device copy; float32 multiply-adds a second; bytes a second out of
/// shared memory; tensor-core multiply-adds a second (fp16, float32 sums); bytes a second from pinned host memory and
/// to it.
struct CudaLimits {
  double copy_bytes, fma, shared_bytes, tensor_fma, host_to_device, device_to_host;
};

/// One-class SVM over n × cols rows on the host: libsvm's dual, α in [0, 1] with Σα = ν·n. `alpha` has n entries.
struct CudaSvmFit {
  const float* rows;
  uint64_t n, cols;
  double gamma, nu, tolerance;
  double* alpha;
  double rho, objective;  ///< Out.
  double violation;       ///< Out: of the KKT conditions; above the tolerance where `iterations` ended it.
  uint64_t iterations;    ///< In: the most, 0 for max(10⁷, 100·n); out: how many.
};

/// The module's entry: null where `version` is not kCudaApiVersion.
using CudaApiFunction = const CudaApi* (*)(uint32_t version);

}  // namespace driftseal::kernels::device

#endif  // DRIFTSEAL_KERNELS_DEVICE_CUDA_API_H_
