#include "engine/artifact/booster_builder.h"

#include <cmath>
#include <limits>

#include "engine/artifact/booster_places.h"
#include "engine/artifact/limits.h"
#include "engine/artifact/text.h"

// What the readers report, held against the table of places.
namespace driftseal::artifact {

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

}  // namespace driftseal::artifact
