#include "gpu_check_crossover.h"

namespace driftseal::kernels::gpu_check {

device::ScoreBatch ScoreOnCpu(const Models&, const float*) { return nullptr; }

}  // namespace driftseal::kernels::gpu_check
