#ifndef DRIFTSEAL_BENCH_FLEET_TORCH_ARCHIVE_H_
#define DRIFTSEAL_BENCH_FLEET_TORCH_ARCHIVE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/fleet/rows.h"

namespace driftseal::fleet {

/// What a saved TorchScript archive says when it is opened as its users do, with torch::jit::load.
struct ArchiveRun {
  std::vector<std::string> parameters;  ///< Names, as in a state_dict.
  std::vector<float> probabilities;     ///< rows × classes: softmax of the archive's output.
};
/// Runs the archive's own forward on the rows, each of shape `input_shape`. Internal with LibTorch's message.
absl::StatusOr<ArchiveRun> RunTorchArchive(const std::string& path, const Rows& rows,
                                           const std::vector<int64_t>& input_shape);

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_TORCH_ARCHIVE_H_
