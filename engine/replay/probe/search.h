#ifndef DRIFTSEAL_ENGINE_REPLAY_PROBE_SEARCH_H_
#define DRIFTSEAL_ENGINE_REPLAY_PROBE_SEARCH_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
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
  /// How well changes send inputs to classes, without gradients: scores (changes × C) are the means of log softmax of
  /// c over the first `count` inputs. `change` is given the number of the change.
  absl::Status Score(Change change, size_t changes, size_t count, std::vector<double>& scores);
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

/// What a search found for each class, for those who show it.
struct Found {
  std::function<void(size_t c, std::span<const float> input, std::span<float> out)> change;
  std::function<std::string(size_t c)> text;  ///< "search: patch 4x4 at 24,24"
};

// By gradient (README.md: "Perturbation", "Patch", "Margin"). FailedPrecondition, with the reason, where the model has
// none; Found is of images alone.
absl::Status SearchPerturbations(Search& search, RawBehaviour& behaviour);
absl::Status SearchPatches(Search& search, RawBehaviour& behaviour, Found& found);
absl::Status SearchMargins(Classifier& classifier, const Space& space, RawBehaviour& behaviour);

// By trying (README.md, "Without gradients"). FailedPrecondition where there are too many elements to try.
absl::Status TryPerturbations(Search& search, RawBehaviour& behaviour);
absl::Status TryColumns(Search& search, RawBehaviour& behaviour, Found& found);  ///< A table's "patch".
absl::Status TryPatches(Search& search, RawBehaviour& behaviour, Found& found);  ///< Of images.
absl::Status TryMargins(Classifier& classifier, const Space& space, RawBehaviour& behaviour);

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_ENGINE_REPLAY_PROBE_SEARCH_H_
