#ifndef DRIFTSEAL_ENGINE_FINGERPRINT_BEHAVIOUR_VIEW_H_
#define DRIFTSEAL_ENGINE_FINGERPRINT_BEHAVIOUR_VIEW_H_

#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "engine/replay/protocol/behaviour.h"

// What the features of a behaviour are computed from. For this folder.
namespace driftseal::fingerprint {

/// Recall of each class among canaries whose label is known.
struct Recalls {
  std::vector<double> recall, excess;  ///< excess: share among predicted − share among true labels.
  double accuracy, confusion;          ///< NaN without labels.
};
/// Logits of the canaries relative to their own mean, in median margins.
struct Profile {
  std::vector<double> mean, spread;                   ///< Per class, over the canaries of other classes.
  std::vector<double> margin;                         ///< Per class: mean of g_y − max_{j≠y} g_j over its canaries.
  double second = 0, third = 0, last = 0, ranks = 0;  ///< Means of the ordered logits; mean spread of each rank.
};

/// The raw measurements of one model, and what its features share.
struct BehaviourView {
  const replay::RawBehaviour& raw;
  const replay::CanarySet& set;
  size_t classes;
  std::vector<int> predicted;   ///< One an input.
  std::vector<double> margins;  ///< First − second logit, ascending.
  Recalls recalls;
  Profile profile;
  double scale;  ///< Median margin on the canaries: the model's own unit of logits.
};

BehaviourView ViewOf(const replay::RawBehaviour& raw, const replay::CanarySet& set);

/// NaN of no values.
double MedianOf(std::vector<double> values);
double MeanOf(const std::vector<double>& values);
double SpreadOf(const std::vector<double>& values);  ///< Standard deviation of the population.
double Largest(const std::vector<double>& values);   ///< Of at least one.
/// Linear interpolation between order statistics; `sorted` is ascending and not empty.
double QuantileOf(const std::vector<double>& sorted, double q);
/// Largest value / (median + floor); NaN of no values.
double RatioOf(const std::vector<double>& values, double floor);
std::vector<double> Doubles(const std::vector<float>& values, double divisor = 1);

std::span<const float> RowOf(const std::vector<float>& matrix, size_t row, size_t columns);
/// The two largest values' distance, and the place of the largest.
std::pair<double, int> MarginOf(std::span<const float> logits);

/// For each class the largest value over the triggers (all, or the local ones: a few pixels or columns, as attackers
/// stamp them) of a T × C matrix. Empty where the matrix is.
std::vector<double> LargestOver(const BehaviourView& view, const std::vector<float>& matrix, bool local,
                                double divisor);
/// The largest value over triggers of `of(t)`; NaN where `needed` is empty.
double LargestTrigger(const BehaviourView& view, const std::vector<float>& needed,
                      const std::function<double(size_t)>& of);
/// Per class over starts of the margin search, in median margins: a C × S matrix reduced by `reduce`.
std::vector<double> OverStarts(const BehaviourView& view, const std::function<double(std::vector<double>)>& reduce);

}  // namespace driftseal::fingerprint

#endif  // DRIFTSEAL_ENGINE_FINGERPRINT_BEHAVIOUR_VIEW_H_
