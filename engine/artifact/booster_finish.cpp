#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/numbers.h"
#include "engine/artifact/booster_builder.h"
#include "engine/artifact/booster_places.h"
#include "engine/artifact/text.h"

// Parameters, and what must hold of the document as a whole.
namespace driftseal::artifact {

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
