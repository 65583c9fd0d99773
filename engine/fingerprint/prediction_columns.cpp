#include "engine/fingerprint/prediction_columns.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>

#include "absl/strings/ascii.h"
#include "engine/artifact/text.h"

namespace driftseal::fingerprint {
namespace {

using artifact::Cat;
// Earlier names win over later ones.
constexpr std::string_view kTruthNames[] = {"y_true", "true_label",   "true",   "label", "target",
                                            "truth",  "ground_truth", "actual", "y"};
constexpr std::string_view kPredictedNames[] = {
    "y_pred", "predicted_label", "pred_label", "prediction", "predicted", "pred", "y_hat"};
constexpr std::string_view kConfidenceNames[] = {"confidence", "max_prob", "max_probability"};
constexpr std::string_view kProbabilityPrefixes[] = {"p_", "prob", "y_prob", "y_proba", "y_score", "score", "class_"};

const CsvTable::Column* FindNamed(const CsvTable& table, std::span<const std::string> lower,
                                  std::span<const std::string_view> names) {
  for (const std::string_view name : names) {
    const auto found = std::find(lower.begin(), lower.end(), name);
    if (found != lower.end()) return &table.columns[static_cast<size_t>(found - lower.begin())];
  }
  return nullptr;
}

bool NamesProbability(std::string_view name) {
  for (const std::string_view prefix : kProbabilityPrefixes) {
    if (name.starts_with(prefix)) return true;
  }
  // p0, p1, ...
  return name.size() > 1 && name[0] == 'p' && std::all_of(name.begin() + 1, name.end(), absl::ascii_isdigit);
}

// Whole numbers in [0, kClassLimit) are their own index, which spares nearly every file the map.
class LabelIndex {
 public:
  explicit LabelIndex(std::string& why_not) : why_not_(why_not) {}

  void Add(const CsvTable::Column& column, size_t rows, std::vector<uint32_t>& out) {
    out.resize(rows, kNoLabel);
    for (size_t r = 0; r < rows && why_not_.empty(); ++r) {
      out[r] = column.numeric ? OfNumber(column.numbers[r]) : OfText(column.texts[r]);
    }
  }
  size_t classes() const { return next_; }

 private:
  uint32_t OfNumber(double number) {
    if (std::isnan(number)) return kNoLabel;
    if (number != std::floor(number)) {
      why_not_ = "the labels are not whole numbers";
      return kNoLabel;
    }
    if (number >= 0 && number < static_cast<double>(kClassLimit)) {
      uint32_t& known = small_[static_cast<size_t>(number)];
      return known != kNoLabel ? known : known = Next();
    }
    const auto [at, is_new] = numbers_.try_emplace(number, next_);
    return is_new ? at->second = Next() : at->second;
  }
  uint32_t OfText(const std::string& text) {
    if (text.empty()) return kNoLabel;
    const auto known = texts_.find(text);
    if (known != texts_.end()) return known->second;
    return texts_[text] = Next();
  }
  uint32_t Next() {
    if (next_ == kClassLimit) why_not_ = Cat("there are more than ", kClassLimit, " different labels");
    return next_ == kClassLimit ? kNoLabel : next_++;
  }

  std::string& why_not_;
  std::vector<uint32_t> small_ = std::vector<uint32_t>(kClassLimit, kNoLabel);
  std::map<double, uint32_t> numbers_;
  std::map<std::string, uint32_t, std::less<>> texts_;
  uint32_t next_ = 0;
};

}  // namespace

PredictionRoles FindRoles(const CsvTable& table) {
  std::vector<std::string> lower;
  lower.reserve(table.columns.size());
  for (const CsvTable::Column& column : table.columns)
    lower.push_back(absl::AsciiStrToLower(absl::StripAsciiWhitespace(column.name)));
  PredictionRoles roles;
  roles.truth = FindNamed(table, lower, kTruthNames);
  roles.predicted = FindNamed(table, lower, kPredictedNames);
  roles.confidence = FindNamed(table, lower, kConfidenceNames);
  if (roles.confidence != nullptr && !roles.confidence->numeric) roles.confidence = nullptr;
  for (size_t c = 0; c < lower.size(); ++c) {
    const CsvTable::Column* column = &table.columns[c];
    if (column != roles.truth && column != roles.predicted && column->numeric && NamesProbability(lower[c]))
      roles.probabilities.push_back(column);
  }
  return roles;
}

Labels ReadLabels(const PredictionRoles& roles, size_t rows) {
  Labels labels;
  if (roles.truth == nullptr && roles.predicted == nullptr) {
    labels.why_not = "no column is named as labels are (y_true, label, y_pred, prediction, ...)";
    return labels;
  }
  if (roles.truth != nullptr && roles.predicted != nullptr && roles.truth->numeric != roles.predicted->numeric) {
    labels.why_not = "one of the label columns holds numbers, the other texts";
    return labels;
  }
  LabelIndex index(labels.why_not);
  if (roles.truth != nullptr) index.Add(*roles.truth, rows, labels.truth);
  if (roles.predicted != nullptr) index.Add(*roles.predicted, rows, labels.predicted);
  labels.classes = index.classes();
  return labels;
}

std::vector<float> Confidences(const PredictionRoles& roles, size_t rows) {
  std::vector<float> out;
  if (roles.confidence != nullptr) {
    out.assign(roles.confidence->numbers.begin(), roles.confidence->numbers.end());
  } else if (roles.probabilities.size() == 1) {
    out.reserve(rows);
    for (const double p : roles.probabilities[0]->numbers)
      out.push_back(static_cast<float>(p >= 0 && p <= 1 ? std::max(p, 1 - p) : p));
  } else if (!roles.probabilities.empty()) {
    out.assign(rows, std::nanf(""));
    for (const CsvTable::Column* column : roles.probabilities) {
      // fmax takes the number where the other is NaN.
      for (size_t r = 0; r < rows; ++r) out[r] = std::fmax(out[r], static_cast<float>(column->numbers[r]));
    }
  }
  return out;
}

}  // namespace driftseal::fingerprint
