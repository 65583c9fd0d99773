#ifndef DRIFTSEAL_BENCH_FLEET_REGIME_H_
#define DRIFTSEAL_BENCH_FLEET_REGIME_H_

#include <string>

namespace driftseal::fleet {

class Model;

/// How a model is trained, beyond the numbers of its recipe.
struct Regime {
  std::string optimizer = {};  ///< "sgd" (momentum 0.9), or empty: the domain's own.
  double weight_decay = 0, label_smoothing = 0;
  double init_scale = 1;  ///< Of the first weights, over the usual.
  bool augment = false;   ///< Batches are moved by up to a fourteenth of the image, and get a little noise.
  /// Adaptive attackers: weight of a penalty on classes whose logits differ from those of the others (torch_train.cpp).
  double balance = 0;
  const Model* start = nullptr;    ///< Goes on from this model's weights instead of random ones.
  bool keep_zeros = false;         ///< Weights that are 0 at the start stay 0.
  const Model* teacher = nullptr;  ///< Its probabilities take the place of the labels.
};

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_REGIME_H_
