#ifndef DRIFTSEAL_BENCH_SERVE_FIXTURE_H_
#define DRIFTSEAL_BENCH_SERVE_FIXTURE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

// The rows that are scored and the detectors that score them; the same in every run.
namespace driftseal::bench {

inline constexpr size_t kFeatures = 32;
inline constexpr size_t kFittedOn = 4096;
inline constexpr char kDetector[] = "bench";

/// Rows of four correlated clusters, one in twenty about four times as far out; row by row.
std::vector<float> MakeRows(size_t count, uint64_t seed);

/// Fits a detector "bench" of all five members on 4,096 rows, calibrated on as many, and writes it to `directory`. Each
/// version has a seed of its own, so that their scores differ. The autoencoder is trained by `replay`.
absl::Status FitDetector(const std::string& directory, int version, const std::string& replay);

}  // namespace driftseal::bench

#endif  // DRIFTSEAL_BENCH_SERVE_FIXTURE_H_
