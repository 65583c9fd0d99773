#include "engine/artifact/booster_builder.h"

#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/numbers.h"
#include "engine/artifact/limits.h"
#include "engine/artifact/text.h"

namespace driftseal::artifact {

enum class BoosterBuilder::Place : uint8_t {
  kOther,
  kRoot,
  kVersion,
  kLearner,
  kObjective,
  kObjectiveName,
  kParameters,
  kBaseScore,
  kClasses,
  kFeatures,
  kTargets,
  kGradientBooster,
  kBoosterName,
  kInnerBooster,
  kWeightDrop,
  kModel,
  kModelParameters,
  kTreeCount,
  kTreeInfo,
  kTrees,
  kTree,
  kLeft,
  kRight,
  kParents,
  kSplitIndices,
  kSplitConditions,
  kDefaultLeft,
  kSplitType,
  kLossChanges,
  kSumHessian,
  kTreeParameters,
  kNodes,
  kDeleted,
  kLeafVector
};

namespace {

using Place = BoosterBuilder::Place;

struct Edge {
  Place from;
  std::string_view key;
  Place to;
};

constexpr Edge kEdges[] = {
    {Place::kRoot, "learner", Place::kLearner},
    {Place::kRoot, "version", Place::kVersion},
    {Place::kLearner, "objective", Place::kObjective},
    {Place::kObjective, "name", Place::kObjectiveName},
    {Place::kLearner, "learner_model_param", Place::kParameters},
    {Place::kParameters, "base_score", Place::kBaseScore},
    {Place::kParameters, "num_class", Place::kClasses},
    {Place::kParameters, "num_feature", Place::kFeatures},
    {Place::kParameters, "num_target", Place::kTargets},
    {Place::kLearner, "gradient_booster", Place::kGradientBooster},
    {Place::kGradientBooster, "name", Place::kBoosterName},
    {Place::kGradientBooster, "model", Place::kModel},
    {Place::kGradientBooster, "gbtree", Place::kInnerBooster},  // dart
    {Place::kGradientBooster, "weight_drop", Place::kWeightDrop},
    {Place::kInnerBooster, "model", Place::kModel},
    {Place::kModel, "gbtree_model_param", Place::kModelParameters},
    {Place::kModelParameters, "num_trees", Place::kTreeCount},
    {Place::kModel, "tree_info", Place::kTreeInfo},
    {Place::kModel, "trees", Place::kTrees},
    {Place::kTree, "left_children", Place::kLeft},
    {Place::kTree, "right_children", Place::kRight},
    {Place::kTree, "parents", Place::kParents},
    {Place::kTree, "split_indices", Place::kSplitIndices},
    {Place::kTree, "split_conditions", Place::kSplitConditions},
    {Place::kTree, "default_left", Place::kDefaultLeft},
    {Place::kTree, "split_type", Place::kSplitType},
    {Place::kTree, "loss_changes", Place::kLossChanges},
    {Place::kTree, "sum_hessian", Place::kSumHessian},
    {Place::kTree, "tree_param", Place::kTreeParameters},
    {Place::kTreeParameters, "num_nodes", Place::kNodes},
    {Place::kTreeParameters, "num_deleted", Place::kDeleted},
    {Place::kTreeParameters, "size_leaf_vector", Place::kLeafVector},
};

std::string_view KeyOf(Place place) {
  for (const Edge& edge : kEdges) {
    if (edge.to == place) return edge.key;
  }
  return "";
}

bool IsArrayPlace(Place place) {
  return place == Place::kVersion || place == Place::kWeightDrop || place == Place::kTreeInfo ||
         place == Place::kTrees || (place >= Place::kLeft && place <= Place::kSumHessian);
}

bool IsObjectPlace(Place place) {
  switch (place) {
    case Place::kRoot:
    case Place::kLearner:
    case Place::kObjective:
    case Place::kParameters:
    case Place::kGradientBooster:
    case Place::kInnerBooster:
    case Place::kModel:
    case Place::kModelParameters:
    case Place::kTree:
    case Place::kTreeParameters:
      return true;
    default:
      return false;
  }
}

constexpr uint64_t Bit(Place place) { return uint64_t{1} << static_cast<unsigned>(place); }

}  // namespace

absl::Status BoosterBuilder::Bad(std::string_view what) const {
  std::string place;
  for (const Level& level : levels_) {
    const std::string_view key = KeyOf(level.place);
    if (!key.empty()) place += Cat(place.empty() ? "" : ".", key);
    if (level.is_array) place += Cat("[", level.count == 0 ? 0 : level.count - 1, "]");
  }
  if (!levels_.empty() && !levels_.back().is_array && !KeyOf(next_).empty()) {
    place += Cat(place.empty() ? "" : ".", KeyOf(next_));
  }
  return absl::InvalidArgumentError(Cat(file_, ": ", place.empty() ? "" : place + ": ", what));
}

// The place of a value that starts now, counted in its array.
BoosterBuilder::Place BoosterBuilder::ValuePlace() {
  if (levels_.empty()) return Place::kRoot;
  Level& level = levels_.back();
  if (!level.is_array) return next_;
  ++level.count;
  return level.place == Place::kTrees ? Place::kTree : Place::kOther;
}

absl::Status BoosterBuilder::Start(bool is_array) {
  if (levels_.size() == kMaxDepth) return Bad(Cat("nests deeper than ", kMaxDepth));
  const Place place = ValuePlace();
  if (is_array ? IsObjectPlace(place) : IsArrayPlace(place))
    return Bad(is_array ? "expected an object" : "expected an array");
  if (place > Place::kRoot && !IsArrayPlace(place) && !IsObjectPlace(place)) return Bad("expected a string");
  if (!levels_.empty() && levels_.back().is_array && levels_.back().place > Place::kRoot && place == Place::kOther) {
    return Bad("expected a number");
  }
  levels_.push_back({.place = place, .is_array = is_array});
  next_ = Place::kOther;
  if (place == Place::kTree) {
    if (trees_.size() == kMaxTrees) {
      return absl::ResourceExhaustedError(Cat(file_, ": more than ", kMaxTrees, " trees"));
    }
    tree_ = RawTree();
  }
  return absl::OkStatus();
}

absl::Status BoosterBuilder::StartObject() { return Start(false); }
absl::Status BoosterBuilder::StartArray() { return Start(true); }

absl::Status BoosterBuilder::EndObject() {
  const Place place = levels_.back().place;
  next_ = Place::kOther;
  if (place == Place::kTree) trees_.push_back(std::move(tree_));
  levels_.pop_back();
  return absl::OkStatus();
}

absl::Status BoosterBuilder::EndArray() {
  next_ = Place::kOther;
  levels_.pop_back();
  return absl::OkStatus();
}

absl::Status BoosterBuilder::Key(std::string_view key) {
  Level& level = levels_.back();
  next_ = Place::kOther;
  if (level.place == Place::kOther) return absl::OkStatus();
  for (const Edge& edge : kEdges) {
    if (edge.from != level.place || edge.key != key) continue;
    next_ = edge.to;
    if ((level.seen & Bit(edge.to)) != 0) return Bad("the key appears twice");
    level.seen |= Bit(edge.to);
    // The trees of dart stand one level deeper than those of gbtree: a file with both would have two meanings.
    if (edge.to == Place::kModel && (seen_anywhere_ & Bit(Place::kModel)) != 0) return Bad("a second model");
    seen_anywhere_ |= Bit(edge.to);
  }
  return absl::OkStatus();
}

absl::Status BoosterBuilder::Null() {
  if (ValuePlace() == Place::kOther &&
      (levels_.empty() || levels_.back().place == Place::kOther || !levels_.back().is_array)) {
    return absl::OkStatus();
  }
  return Bad("expected a value, found null");
}

absl::Status BoosterBuilder::String(std::string_view text) {
  const Place place = ValuePlace();
  if (place == Place::kOther) {
    const bool in_known_array = !levels_.empty() && levels_.back().is_array && levels_.back().place != Place::kOther;
    return in_known_array ? Bad("expected a number, found a string") : absl::OkStatus();
  }
  if (IsArrayPlace(place) || IsObjectPlace(place)) return Bad("expected an object or array, found a string");
  return SetParameter(place, text);
}

absl::Status BoosterBuilder::SetParameter(Place place, std::string_view text) {
  constexpr size_t kMaxText = 4096;
  if (text.size() > kMaxText) return Bad(Cat("expected at most ", kMaxText, " bytes"));
  if (!simdjson::validate_utf8(text.data(), text.size())) return Bad("expected UTF-8");
  if (place == Place::kObjectiveName || place == Place::kBoosterName) {
    (place == Place::kObjectiveName ? booster_.objective : booster_.booster) = text;
    return absl::OkStatus();
  }
  if (place == Place::kBaseScore) return SetBaseScore(text);
  uint64_t number = 0;
  if (!absl::SimpleAtoi(ForAbsl(text), &number) || number > std::numeric_limits<int32_t>::max()) {
    return Bad(Cat("expected a non-negative integer, found ", Quoted(text)));
  }
  switch (place) {
    case Place::kClasses:
      booster_.classes = static_cast<uint32_t>(number);
      break;
    case Place::kFeatures:
      booster_.features = static_cast<uint32_t>(number);
      break;
    case Place::kTargets:
      targets_ = number;
      break;
    case Place::kTreeCount:
      stated_trees_ = number;
      break;
    case Place::kNodes:
      tree_.nodes = number;
      tree_.has_nodes = true;
      break;
    case Place::kDeleted:
      tree_.deleted = number;
      break;
    case Place::kLeafVector:
      tree_.leaf_vector = number;
      break;
    default:
      break;
  }
  return absl::OkStatus();
}

// "5E-1", or since XGBoost 3.1 "[5E-1]" with a number for each class or target.
absl::Status BoosterBuilder::SetBaseScore(std::string_view text) {
  std::string_view list = text;
  if (list.size() >= 2 && list.front() == '[' && list.back() == ']') list = list.substr(1, list.size() - 2);
  const std::vector<std::string_view> numbers = SplitNonEmpty(list, ',');
  double sum = 0;
  for (const std::string_view number : numbers) {
    double value = 0;
    if (!absl::SimpleAtod(ForAbsl(number), &value)) return Bad(Cat("expected a number, found ", Quoted(text)));
    sum += value;
    booster_.base_scores.push_back(value);
  }
  if (numbers.empty() || !std::isfinite(sum)) return Bad(Cat("expected a finite number, found ", Quoted(text)));
  booster_.base_score = sum / static_cast<double>(numbers.size());
  return absl::OkStatus();
}

template <typename T>
absl::Status BoosterBuilder::Append(std::vector<T>& to, double value) {
  if (!std::isfinite(value)) return Bad("expected a finite number");
  if constexpr (std::is_integral_v<T>) {
    if (value < std::numeric_limits<T>::min() || value > std::numeric_limits<T>::max() || value != std::trunc(value)) {
      return Bad(
          Cat("expected an integer from ", std::numeric_limits<T>::min(), " to ", std::numeric_limits<T>::max()));
    }
  } else if (std::abs(value) > std::numeric_limits<T>::max()) {
    return Bad("expected a number that fits a float");
  }
  to.push_back(static_cast<T>(value));
  return absl::OkStatus();
}

absl::Status BoosterBuilder::Integer(int64_t value) { return Number(static_cast<double>(value)); }

absl::Status BoosterBuilder::Number(double value) {
  const Place place = ValuePlace();
  if (place != Place::kOther) {
    // Parameters are strings, but numbers have been seen from other writers.
    if (IsArrayPlace(place) || IsObjectPlace(place) || value != std::trunc(value) || std::abs(value) > 1e15) {
      return Bad("expected something else than this number");
    }
    return SetParameter(place, Cat(static_cast<int64_t>(value)));
  }
  if (!levels_.back().is_array) return absl::OkStatus();
  switch (levels_.back().place) {
    case Place::kVersion:
      return Append(version_, value);
    case Place::kWeightDrop:
      return Append(weight_drop_, value);
    case Place::kTreeInfo:
      return Append(booster_.tree_class, value);
    case Place::kTrees:
      return Bad("expected an object");
    case Place::kLeft:
      return Append(tree_.left, value);
    case Place::kRight:
      return Append(tree_.right, value);
    case Place::kParents:
      return Append(tree_.parent, value);
    case Place::kSplitIndices:
      return Append(tree_.feature, value);
    case Place::kSplitConditions:
      return Append(tree_.value, value);
    case Place::kDefaultLeft:
      return Append(tree_.default_left, value);
    case Place::kSplitType:
      return Append(tree_.split_type, value);
    case Place::kLossChanges:
      return Append(tree_.gain, value);
    case Place::kSumHessian:
      return Append(tree_.cover, value);
    default:
      return absl::OkStatus();
  }
}

absl::Status BoosterBuilder::CheckTotals() const {
  const size_t trees = trees_.size();
  const bool dart = booster_.booster == "dart";
  if ((seen_anywhere_ & Bit(Place::kFeatures)) == 0) return Bad("expected learner.learner_model_param.num_feature");
  if ((seen_anywhere_ & Bit(Place::kTreeCount)) != 0 && stated_trees_ != trees) {
    return Bad(Cat("gbtree_model_param.num_trees is ", stated_trees_, ", but there are ", trees, " trees"));
  }
  if (booster_.tree_class.size() != trees) {
    return Bad(Cat("tree_info has ", booster_.tree_class.size(), " entries, but there are ", trees, " trees"));
  }
  if (dart && weight_drop_.size() != trees) {
    return Bad(Cat("weight_drop has ", weight_drop_.size(), " entries, but there are ", trees, " trees"));
  }
  const int64_t groups = std::max<int64_t>({1, booster_.classes, static_cast<int64_t>(targets_)});
  for (size_t i = 0; i < trees; ++i) {
    if (booster_.tree_class[i] < 0 || booster_.tree_class[i] >= groups) {
      return Bad(Cat("tree_info[", i, "] is ", booster_.tree_class[i], ", expected 0 to ", groups - 1));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Booster> BoosterBuilder::Finish() {
  if (booster_.booster.empty()) return Bad("expected learner.gradient_booster.name");
  if (booster_.booster != "gbtree" && booster_.booster != "dart") {
    return absl::UnimplementedError(
        Cat(file_, ": a booster of kind ", Quoted(booster_.booster), ", which has no trees, is not understood"));
  }
  if (absl::Status status = CheckTotals(); !status.ok()) return status;
  booster_.trees.reserve(trees_.size());
  for (size_t i = 0; i < trees_.size(); ++i) {
    absl::StatusOr<BoostedTree> tree = BuildTree(trees_[i], booster_.features);
    if (!tree.ok()) {
      return absl::Status(tree.status().code(), Cat(file_, ": trees[", i, "]", std::string(tree.status().message())));
    }
    trees_[i] = RawTree();
    // What dropout scaled a tree by is part of its leaves.
    for (size_t n = 0; i < weight_drop_.size() && n < tree->left.size(); ++n) {
      if (tree->left[n] == -1) tree->value[n] *= weight_drop_[i];
    }
    booster_.trees.push_back(*std::move(tree));
  }
  for (const int32_t part : version_) booster_.version += Cat(booster_.version.empty() ? "" : ".", part);
  return std::move(booster_);
}

}  // namespace driftseal::artifact
