#ifndef DRIFTSEAL_ENGINE_ARTIFACT_BOOSTER_PLACES_H_
#define DRIFTSEAL_ENGINE_ARTIFACT_BOOSTER_PLACES_H_

#include <cstdint>
#include <string_view>

#include "engine/artifact/booster_builder.h"

// The part of XGBoost's documents that is read, as a table: which key leads from which place to which.
namespace driftseal::artifact {

// clang-format off
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
// clang-format on

using Place = BoosterBuilder::Place;

struct Edge {
  Place from;
  std::string_view key;
  Place to;
};

inline constexpr Edge kEdges[] = {
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

inline std::string_view KeyOf(Place place) {
  for (const Edge& edge : kEdges) {
    if (edge.to == place) return edge.key;
  }
  return "";
}

inline bool IsArrayPlace(Place place) {
  return place == Place::kVersion || place == Place::kWeightDrop || place == Place::kTreeInfo ||
         place == Place::kTrees || (place >= Place::kLeft && place <= Place::kSumHessian);
}

inline bool IsObjectPlace(Place place) {
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

}  // namespace driftseal::artifact

#endif  // DRIFTSEAL_ENGINE_ARTIFACT_BOOSTER_PLACES_H_
