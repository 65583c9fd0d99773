#ifndef DRIFTSEAL_ENGINE_REPLAY_PROBE_SEARCH_H_
#define DRIFTSEAL_ENGINE_REPLAY_PROBE_SEARCH_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "engine/replay/probe/classifier.h"
#include "engine/replay/probe/space.h"
#include "engine/replay/protocol/behaviour.h"

namespace driftseal::replay {

/// More classes than this are not searched for one by one.
inline constexpr size_t kMostSearchClasses = 256;

/// The inputs that searches use and what they share. Everything it is made of outlives it.
class Search {
 public:
  /// Takes up to `inputs` of the set, fewer when there are many classes.
  Search(Classifier& classifier, const Space& space, const CanarySet& set, size_t inputs);

  Classifier& classifier() const { return classifier_; }
  const Space& space() const { return space_; }
  size_t classes() const { return classifier_.classes(); }
  size_t count() const { return before_.size(); }
  std::span<const float> input(size_t i) const {
    return std::span(inputs_).subspan(i * space_.elements, space_.elements);
  }
  uint32_t before(size_t i) const { return before_[i]; }  ///< The class that the model gives the input as it is.

  /// Writes what the trigger found for class c makes of an input.
  using Change = absl::FunctionRef<void(size_t c, std::span<const float> input, std::span<float> out)>;
  /// What the changes do to all inputs. rate: C, share of the inputs that were not given c before, that are given c
  /// now. logit: C, mean logit of c.
  absl::Status Measure(Change change, std::vector<float>& rate, std::vector<float>& logit);
  /// The gradient of Σ −log softmax(logits)_c with respect to the changed inputs `from`.. `from + count` of the classes
  /// `first` .. `last`: (last − first) × count × elements, as are `changed`, the inputs it was taken at. Sums of their
  /// losses, one a class.
  absl::Status Gradient(Change change, size_t first, size_t last, size_t from, size_t count);
  std::span<const float> gradient() const { return gradient_; }
  std::span<const float> changed() const { return changed_; }
  std::span<const float> losses() const { return losses_; }

 private:
  Classifier& classifier_;
  const Space& space_;
  std::vector<float> inputs_;
  std::vector<uint32_t> before_;
  std::vector<float> gradient_, changed_, losses_, logits_;
};

/// Universal perturbations by gradient, in both sizes (README.md, "Perturbation").
absl::Status SearchPerturbations(Search& search, RawBehaviour& behaviour);

/// The patch found for each class of an image model.
struct Patches {
  size_t size = 0;
  std::vector<uint32_t> place;  ///< C × 2: top, left
  std::vector<float> values;    ///< C × channels × size × size
  void Paint(const Space& space, size_t c, std::span<float> image) const;
};
/// The best patch towards each class by gradient (README.md, "Patch").
absl::Status SearchPatches(Search& search, RawBehaviour& behaviour, Patches& patches);

/// Maximal margins by gradient (README.md, "Margin").
absl::Status SearchMargins(Classifier& classifier, const Space& space, RawBehaviour& behaviour);

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_ENGINE_REPLAY_PROBE_SEARCH_H_
