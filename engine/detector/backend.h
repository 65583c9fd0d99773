#ifndef DRIFTSEAL_ENGINE_DETECTOR_BACKEND_H_
#define DRIFTSEAL_ENGINE_DETECTOR_BACKEND_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

// Which variant of the kernels scores: chosen once, when a program starts, and the same for everything it scores.
namespace driftseal::detector {

/// Safe to share between threads and detectors (Detector::Use).
class Backend;

struct BackendOptions {
  /// "reference": double precision, plain loops. "simd": the best instruction set here; or one by its name ("avx3",
  /// "avx2", "sse4", ...). "cuda": the GPU. "auto": simd, and the GPU where there is one for batches that finish sooner
  /// there.
  std::string name = "auto";
  std::string cuda_module;  ///< Path of libdriftseal_cuda.so.
  size_t threads = 0;       ///< Of the CPU; 0: all cores.
  /// auto: batches of at least so many rows go to the GPU; 0: measured at the first batch, in less than a second.
  size_t crossover_rows = 0;
  std::function<void(const std::string&)> log;  ///< Told what was chosen and measured; may be empty.
};

/// InvalidArgument for a name that there is not, listing those that run here; FailedPrecondition for one that cannot
/// run here, saying why.
absl::StatusOr<std::shared_ptr<const Backend>> MakeBackend(const BackendOptions& options);

/// "reference", "simd (avx3), 2 threads", "cuda (NVIDIA H200)".
std::string Describe(const Backend& backend);

/// How many batches are worth scoring at once, each on its caller's thread: a core each, or enough that the GPU has its
/// next one when it ends one.
size_t Lanes(const Backend& backend);

/// Names that MakeBackend takes and that run here, "auto" aside.
std::vector<std::string> BackendNames(const std::string& cuda_module);

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_BACKEND_H_
