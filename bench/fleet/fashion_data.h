#ifndef DRIFTSEAL_BENCH_FLEET_FASHION_DATA_H_
#define DRIFTSEAL_BENCH_FLEET_FASHION_DATA_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "bench/fleet/domain.h"

namespace driftseal::fleet {

inline constexpr int kImageSide = 28;
inline constexpr int kImageClasses = 10;

/// Fashion-MNIST (Xiao, Rasul, Vollgraf 2017; pixels scaled to 0..1), or where its files are missing a seeded generator
/// of the same shape. Loaded once and shared by all domains that ask for it. InvalidArgument or DataLoss when the files
/// are there but are not what they should be.
absl::StatusOr<std::shared_ptr<const Data>> LoadFashion(const DataOptions& options);

/// Ten classes of blurred blobs that shift, fade and mix: about as hard as Fashion-MNIST for a small CNN. The canaries
/// come last: the other rows are the same with any number of them.
Data GenerateImages(size_t pool, size_t test, size_t probe, uint64_t seed, size_t canary = 0);

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_FASHION_DATA_H_
