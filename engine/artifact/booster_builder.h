#ifndef DRIFTSEAL_ENGINE_ARTIFACT_BOOSTER_BUILDER_H_
#define DRIFTSEAL_ENGINE_ARTIFACT_BOOSTER_BUILDER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/artifact/model_file.h"

// XGBoost's JSON and UBJ files have one structure
// (https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html, doc/model.schema). Their readers report what
// they meet to a builder, which picks what a Booster needs.
namespace driftseal::artifact {

/// One tree as the file has it: arrays over all nodes, deleted ones included.
struct RawTree {
  std::vector<int32_t> left, right, parent, feature;
  std::vector<float> value, gain, cover;
  std::vector<uint8_t> default_left, split_type;
  uint64_t nodes = 0, deleted = 0, leaf_vector = 0;
  bool has_nodes = false;
};

/// Checks that the arrays describe one binary tree (lengths, ranges, no cycles, one parent a node, deleted nodes as
/// many as stated) and drops the deleted nodes. `features` is the model's. Messages lack the place.
absl::StatusOr<BoostedTree> BuildTree(const RawTree& raw, uint32_t features);

/// Values of objects come as Key and then the value, as in JSON. Every method returns InvalidArgument or
/// ResourceExhausted for what does not belong where it stands, with the place in the document
/// ("learner.gradient_booster.model.trees[3].parents").
class BoosterBuilder {
 public:
  static constexpr size_t kMaxDepth = 64;

  explicit BoosterBuilder(std::string file) : file_(std::move(file)) {}

  absl::Status StartObject();
  absl::Status EndObject();
  absl::Status StartArray();
  absl::Status EndArray();
  absl::Status Key(std::string_view key);
  absl::Status String(std::string_view text);
  absl::Status Number(double value);
  absl::Status Integer(int64_t value);
  absl::Status Bool(bool value) { return Integer(value ? 1 : 0); }
  absl::Status Null();

  /// After the document's end. Unimplemented for kinds of boosters without such trees.
  absl::StatusOr<Booster> Finish();
  /// "<file>: <place>: <what>"
  absl::Status Bad(std::string_view what) const;

  /// Places of the document that matter; everything else is kOther.
  enum class Place : uint8_t;

 private:
  struct Level {
    Place place;
    bool is_array = false;
    uint64_t count = 0;  // Elements of an array so far.
    uint64_t seen = 0;   // Places met in an object, a bit each.
  };

  absl::Status Start(bool is_array);
  Place ValuePlace();
  absl::Status FinishTree();
  absl::Status CheckTotals() const;
  absl::Status SetParameter(Place place, std::string_view text);
  absl::Status SetBaseScore(std::string_view text);
  template <typename T>
  absl::Status Append(std::vector<T>& to, double value);

  const std::string file_;
  std::vector<Level> levels_;
  Place next_{};  // The place of the value behind the last key.
  uint64_t seen_anywhere_ = 0;
  RawTree tree_;
  std::vector<RawTree> trees_;
  Booster booster_;
  std::vector<int32_t> version_;
  std::vector<float> weight_drop_;
  uint64_t stated_trees_ = 0, targets_ = 0;
};

}  // namespace driftseal::artifact

#endif  // DRIFTSEAL_ENGINE_ARTIFACT_BOOSTER_BUILDER_H_
