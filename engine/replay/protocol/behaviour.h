#ifndef DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_BEHAVIOUR_H_
#define DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_BEHAVIOUR_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// What a model does when it is run on canary inputs: the request that asks for it, and the raw measurements. Everything
// is "per class" so that features can ask how far one class stands out from the others of the same model.
namespace driftseal::replay {

inline constexpr size_t kMostCanaryInputs = 4096, kMostClasses = 1000, kMostInputElements = size_t{1} << 20;

/// Reference inputs of one task. An image may be flattened for models that take it so: `shape` is what the model takes,
/// `image` what the inputs are.
struct CanarySet {
  std::string name;                  ///< For messages and reports.
  std::string domain, task;          ///< Of the models it is for; empty: of any.
  std::vector<uint32_t> shape;       ///< Of one input, without the batch dimension: {1, 28, 28}, {784}, {16}.
  std::vector<uint32_t> image;       ///< Channels, height, width where inputs are images; empty for tables.
  uint32_t classes = 0;              ///< 0: not known.
  float low = 0, high = 1;           ///< Every valid value lies within (images); tables take each column's own range.
  std::vector<float> inputs;         ///< count × product(shape), row-major, finite.
  std::vector<int32_t> labels;       ///< One an input, or −1 where it is not known.
  size_t count() const { return labels.size(); }
  size_t elements() const;           ///< product(shape)
};
/// InvalidArgument naming the field.
absl::Status CheckCanarySet(const CanarySet& set);
/// A safetensors file: `inputs` (F32, count × shape), `labels` (I32), and in its metadata "format":
/// "driftseal-canary/1", "set": the rest as JSON. What materialize_canary writes and detectors keep.
absl::StatusOr<std::string> EncodeCanarySet(const CanarySet& set);
absl::StatusOr<CanarySet> DecodeCanarySet(std::string_view file, std::string_view name);

enum class ModelRuntime { kTorchScript, kXgboost };

/// The parts of a probe; each has its cost (README of engine/replay/probe).
struct ProbeOptions {
  bool sweep = true;         ///< A fixed bank of triggers on every input.
  bool perturbation = true;  ///< Universal perturbations towards each class, two sizes.
  bool patch = true;         ///< The best small patch (tables: the best few columns) towards each class.
  bool margin = true;        ///< Maximal margins (MM-BD).
  bool noise = true;         ///< Inputs of noise.
  bool head = true;          ///< Random latents through the last layer.
  uint32_t search_inputs = 128;  ///< Canaries that searches use.
};

/// A perturbation size of the universal search, relative to high − low.
inline constexpr std::array<float, 2> kPerturbationSizes = {0.12f, 0.06f};

/// A trigger of the bank: "patch 4x4 1.0 at 24,24"; `group` is one of "patch", "blend", "tint", "wave", "shift",
/// "warp", "contrast", "column", "columns". The same bank for all models with the same set.
struct TriggerName {
  std::string group, text;
  /// A few pixels or columns, as attackers stamp them; the others change the whole input.
  bool local() const { return group == "patch" || group == "column" || group == "columns"; }
};

/// More classes than this have no pairs of classes: too few canaries would be left for each.
inline constexpr size_t kMostPairClasses = 32;

/// N inputs, C classes, T triggers. Vectors of a part that was not asked for, or that the model cannot give, are empty,
/// and `lacking` says why.
struct RawBehaviour {
  uint32_t inputs = 0, classes = 0;
  bool probabilities = false;   ///< The model gave probabilities; logits are then their logarithms.
  std::vector<float> logits;    ///< N × C on the canaries as they are.

  std::vector<TriggerName> triggers;
  std::vector<float> sweep;     ///< T × C: share, of the inputs that were not given c before, that are given c.
  std::vector<float> shift;     ///< T × C: mean change of the logits.
  std::vector<float> flips;     ///< T: share of the inputs whose class changes.
  std::vector<float> mapped;    ///< T: share of the inputs that go to the commonest other class of their own class.

  /// C × C, from class, to class (0 on the diagonal): the largest share, over the local triggers and over the others,
  /// of the inputs of one class that are given the other. Of a class that the model gives to no canary: 0.
  std::vector<float> pair_local, pair_other;

  std::array<std::vector<float>, 2> perturbation_rate;   ///< C for each size: share of what was not c, sent to c.
  std::array<std::vector<float>, 2> perturbation_logit;  ///< C for each size: mean logit of c.

  std::vector<float> patch_rate;                 ///< C: as perturbation_rate.
  std::vector<float> patch_logit;                ///< C: mean logit of c.
  std::vector<uint32_t> patch_place;             ///< C × 2: top, left of an image's patch; tables: first column, 0.

  std::vector<float> margin;    ///< C × starts: the largest g_c − max_{j≠c} g_j found from each start.

  std::vector<float> noise_share;   ///< C: share of noise inputs given c.
  std::vector<float> noise_logit;   ///< C: mean logit.
  std::vector<float> noise_margin;  ///< 3: 10 %, 50 % and 90 % quantiles of the margin.

  std::vector<float> head_share;    ///< C: share of random latents |N(0, I)| that the last layer gives to c.
  std::vector<float> head_logit;    ///< C: their mean logit.

  /// The trigger that collapses most inputs into one class, as a person can see it.
  struct Picture {
    std::string trigger;            ///< Its text, or "search: patch 4x4 at 24,24".
    uint32_t target = 0;            ///< The class.
    float share = 0;                ///< Of the inputs not of that class, sent there.
    std::vector<float> clean, triggered;  ///< One input before and after, product(shape) values each.
  };
  std::optional<Picture> picture;

  struct Lacking {
    std::string part, reason;
  };
  std::vector<Lacking> lacking;
  /// Milliseconds of each part, in the order they ran: {"sweep", 41.2}.
  std::vector<std::pair<std::string, float>> cost_ms;
};

/// Payload of an answer (frame.h): a safetensors file, tensors by the names of the fields above, everything else as
/// JSON in its metadata. Decoding checks every shape against `inputs` and `classes` and against `set`, that every value
/// is finite, and every share within [0, 1]: the other side may have been taken over by the model.
absl::StatusOr<std::string> EncodeBehaviour(const RawBehaviour& behaviour);
absl::StatusOr<RawBehaviour> DecodeBehaviour(std::string_view payload, const CanarySet& set);

/// The options as JSON text, and back. InvalidArgument naming the field.
std::string EncodeProbeOptions(const ProbeOptions& options);
absl::StatusOr<ProbeOptions> DecodeProbeOptions(std::string_view json);

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_BEHAVIOUR_H_
