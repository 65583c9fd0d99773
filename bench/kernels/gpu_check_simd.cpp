#include <algorithm>
#include <memory>

#include "gpu_check_crossover.h"
#include "kernels/ensemble/scorer.h"

namespace driftseal::kernels::gpu_check {

device::ScoreBatch ScoreOnCpu(const Models& models, const float* source) {
  const auto packed = std::make_shared<const ensemble::Packed>(ensemble::Pack(models.members(), models.cols));
  const auto scorer = std::make_shared<ensemble::Scorer>(device::SupportedIsas().front());
  const auto scores = std::make_shared<std::vector<float>>();
  return [packed, scorer, scores, source](size_t rows) {
    scores->resize(std::max(scores->size(), rows * ensemble::kMembers));
    ensemble::Group group{packed.get(), {source, rows, packed->cols}, {}};
    for (size_t m = 0; m < ensemble::kMembers; ++m) group.out[m] = scores->data() + m * rows;
    return scorer->Score(group) != 0;
  };
}

}  // namespace driftseal::kernels::gpu_check
