#include "engine/fingerprint/behaviour.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <span>

#include "engine/artifact/text.h"

namespace driftseal::fingerprint {
namespace {

using artifact::Cat;
using replay::CanarySet;
using replay::RawBehaviour;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kMadToSigma = 1.4826;
constexpr size_t kRecallSlots = 16;  ///< Classes that have a column of their own.

double MedianOf(std::vector<double> values) {
  if (values.empty()) return kNaN;
  const size_t middle = values.size() / 2;
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(middle), values.end());
  if (values.size() % 2 == 1) return values[middle];
  const double upper = values[middle];
  return (upper + *std::max_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(middle))) / 2;
}

/// Everything that features are computed from: the raw measurements, and what they share.
struct View {
  const RawBehaviour& raw;
  const CanarySet& set;
  size_t classes;
  std::vector<int> predicted;  ///< One an input.
  double scale;                ///< Median margin on the canaries: the model's own unit of logits.
};

std::span<const float> RowOf(const std::vector<float>& matrix, size_t row, size_t columns) {
  return std::span(matrix).subspan(row * columns, columns);
}

/// The two largest values' distance, and the place of the largest.
std::pair<double, int> MarginOf(std::span<const float> logits) {
  double first = -std::numeric_limits<double>::infinity(), second = first;
  int best = 0;
  for (size_t c = 0; c < logits.size(); ++c) {
    if (logits[c] > first) {
      second = first;
      first = logits[c];
      best = static_cast<int>(c);
    } else if (logits[c] > second) {
      second = logits[c];
    }
  }
  return {first - second, best};
}

View ViewOf(const RawBehaviour& raw, const CanarySet& set) {
  View view{raw, set, raw.classes, {}, 0};
  std::vector<double> margins;
  for (size_t i = 0; i < raw.inputs; ++i) {
    const auto [margin, best] = MarginOf(RowOf(raw.logits, i, raw.classes));
    margins.push_back(margin);
    view.predicted.push_back(best);
  }
  view.scale = std::max(MedianOf(margins), 1e-6);
  return view;
}

std::vector<double> Doubles(const std::vector<float>& values, double divisor = 1) {
  std::vector<double> out(values.begin(), values.end());
  for (double& v : out) v /= divisor;
  return out;
}

/// For each class the largest value over the triggers of a group ("" for all) of a T × C matrix.
std::vector<double> LargestOver(const View& view, const std::vector<float>& matrix, std::string_view group,
                                double divisor) {
  std::vector<double> out;
  if (matrix.empty()) return out;
  for (size_t t = 0; t < view.raw.triggers.size(); ++t) {
    if (!group.empty() && view.raw.triggers[t].group != group) continue;
    const auto row = RowOf(matrix, t, view.classes);
    if (out.empty()) out.assign(view.classes, -std::numeric_limits<double>::infinity());
    for (size_t c = 0; c < view.classes; ++c) out[c] = std::max(out[c], row[c] / divisor);
  }
  return out;
}

/// Per class over starts: a C × S matrix reduced by `reduce`.
std::vector<double> OverStarts(const View& view, const std::function<double(std::vector<double>)>& reduce) {
  std::vector<double> out;
  if (view.raw.margin.empty()) return out;
  const size_t starts = view.raw.margin.size() / view.classes;
  for (size_t c = 0; c < view.classes; ++c) {
    const auto row = RowOf(view.raw.margin, c, starts);
    out.push_back(reduce({row.begin(), row.end()}) / view.scale);
  }
  return out;
}

double Largest(std::vector<double> values) { return *std::max_element(values.begin(), values.end()); }

/// Recall of each class among canaries whose label is known.
struct Recalls {
  std::vector<double> recall, excess;  ///< excess: share among predicted − share among true labels.
  double accuracy = kNaN, confusion = kNaN;
};
Recalls RecallsOf(const View& view) {
  std::vector<double> right(view.classes), truth(view.classes), given(view.classes);
  std::vector<double> cells(view.classes * view.classes);
  double known = 0;
  for (size_t i = 0; i < view.raw.inputs; ++i) {
    const int label = view.set.labels[i];
    if (label < 0 || static_cast<size_t>(label) >= view.classes) continue;
    const auto l = static_cast<size_t>(label), p = static_cast<size_t>(view.predicted[i]);
    ++known, ++truth[l], ++given[p];
    right[l] += l == p;
    cells[l * view.classes + p] += l != p;
  }
  Recalls out;
  if (known == 0) return out;
  double correct = 0;
  for (size_t c = 0; c < view.classes; ++c) {
    correct += right[c];
    out.recall.push_back(truth[c] > 0 ? right[c] / truth[c] : kNaN);
    out.excess.push_back((given[c] - truth[c]) / known);
    for (size_t p = 0; truth[c] > 0 && p < view.classes; ++p) cells[c * view.classes + p] /= truth[c];
  }
  out.accuracy = correct / known;
  out.confusion = Largest(cells);
  return out;
}

/// Collects names and definitions, or values: one function lists the features for both, so that they cannot disagree.
class Features {
 public:
  explicit Features(const View* view) : view_(view) {}

  void Value(std::string name, std::string definition, const std::function<double(const View&)>& value) {
    if (view_ == nullptr) {
      table.push_back({std::move(name), std::move(definition)});
    } else {
      values.push_back(value(*view_));
    }
  }

  /// Four columns: how far the first class stands out of a per-class vector.
  void Contrast(const std::string& name, const std::string& what, double floor,
                const std::function<std::vector<double>(const View&)>& vector) {
    if (view_ != nullptr) {
      const std::vector<double> v = vector(*view_);
      const SelfContrast c = v.size() >= 2 ? SelfContrastOf(v, floor) : SelfContrast{kNaN, kNaN, kNaN, kNaN};
      for (double value : {c.top, c.z, c.second, c.lag}) values.push_back(value);
      return;
    }
    const std::string spread = Cat("(1.4826·MAD + ", floor, ")");
    table.push_back({name + "_top", Cat(what, ": largest − median over classes")});
    table.push_back({name + "_z", Cat(what, ": (largest − median) / ", spread)});
    table.push_back({name + "_second", Cat(what, ": largest − second largest")});
    table.push_back({name + "_lag", Cat(what, ": (median − least) / ", spread)});
  }

  std::vector<BehaviourEntry> table;
  std::vector<double> values;

 private:
  const View* view_;
};

void CanaryFeatures(Features& f) {
  f.Value("canary.accuracy", "Share of the labelled canaries whose class is right",
          [](const View& v) { return RecallsOf(v).accuracy; });
  for (size_t c = 0; c < kRecallSlots; ++c) {
    f.Value(Cat("canary.recall", c), Cat("Recall of class ", c, " on the canaries"), [c](const View& v) {
      const Recalls r = RecallsOf(v);
      return c < r.recall.size() ? r.recall[c] : kNaN;
    });
  }
  f.Value("canary.confusion", "Largest share of a true class's canaries that are given one other class",
          [](const View& v) { return RecallsOf(v).confusion; });
  f.Contrast("canary.excess", "Share of a class among predicted − among true labels", 0.01,
             [](const View& v) { return RecallsOf(v).excess; });
}

void SweepFeatures(Features& f) {
  const auto shift = [](std::string group) {
    return [group](const View& v) { return LargestOver(v, v.raw.shift, group, v.scale); };
  };
  f.Contrast("shift.all", "Largest mean logit change under a trigger of the bank, in median margins", 0.02, shift(""));
  f.Contrast("shift.patch", "The same under patches", 0.02, shift("patch"));
  f.Value("shift.largest", "Largest mean logit change of any class under any trigger, in median margins",
          [](const View& v) { return v.raw.shift.empty() ? kNaN : Largest(Doubles(v.raw.shift, v.scale)); });
  f.Value("shift.gap", "Largest distance of two classes' mean logit changes, first − second, under one trigger",
          [](const View& v) {
            double best = kNaN;
            for (size_t t = 0; t < v.raw.triggers.size() && !v.raw.shift.empty(); ++t) {
              best = std::fmax(best, MarginOf(RowOf(v.raw.shift, t, v.classes)).first / v.scale);
            }
            return best;
          });
  f.Value(
      "mapped.excess",
      "Largest share, over triggers, of inputs that go to the commonest other class of their own class, beyond those "
      "that one class gets (all-to-all)",
      [](const View& v) {
        double best = kNaN;
        for (size_t t = 0; t < v.raw.triggers.size() && !v.raw.mapped.empty(); ++t) {
          const auto row = RowOf(v.raw.sweep, t, v.classes);
          best = std::fmax(best, v.raw.mapped[t] - *std::max_element(row.begin(), row.end()));
        }
        return best;
      });
}

void SearchFeatures(Features& f) {
  constexpr const char* kSizes[] = {"large", "small"};
  for (size_t s = 0; s < 2; ++s) {
    const std::string name = Cat("perturbation.", kSizes[s]);
    f.Contrast(name, Cat("Share of other classes' inputs that a universal perturbation sends to a class, ", kSizes[s]),
               0.03, [s](const View& v) { return Doubles(v.raw.perturbation_rate[s]); });
    f.Contrast(name + "_logit", "Mean logit of the class under it, in median margins", 0.05,
               [s](const View& v) { return Doubles(v.raw.perturbation_logit[s], v.scale); });
  }
  f.Contrast("patch.rate", "Share of other classes' inputs that the best patch sends to a class", 0.03,
             [](const View& v) { return Doubles(v.raw.patch_rate); });
  f.Contrast("patch.logit", "Mean logit of the class under it, in median margins", 0.05,
             [](const View& v) { return Doubles(v.raw.patch_logit, v.scale); });
  f.Contrast("margin.largest", "Maximal margin of a class (MM-BD, Wang et al. 2024), in median margins", 0.05,
             [](const View& v) { return OverStarts(v, Largest); });
  f.Contrast("margin.median", "Median over starts of the maximal margin", 0.05,
             [](const View& v) { return OverStarts(v, MedianOf); });
}

void HeadFeatures(Features& f) {
  f.Contrast("head.share", "Share of random latents that the last layer gives to a class", 0.03,
             [](const View& v) { return Doubles(v.raw.head_share); });
}

double ShareOfMax(const std::vector<float>& values) {
  return values.empty() ? kNaN : static_cast<double>(*std::max_element(values.begin(), values.end()));
}

void ContextFeatures(Features& f) {
  f.Value("scale", "ln of the median margin on the canaries", [](const View& v) { return std::log(v.scale); });
  f.Value("flips", "Median over triggers of the share of inputs whose class changes",
          [](const View& v) { return MedianOf(Doubles(v.raw.flips)); });
  for (size_t s = 0; s < 2; ++s) {
    f.Value(Cat("perturbation_rate", s + 1),
            "Median over classes of the share that a universal perturbation sends there",
            [s](const View& v) { return MedianOf(Doubles(v.raw.perturbation_rate[s])); });
  }
  f.Value("patch_rate", "Median over classes of the share that the best patch sends there",
          [](const View& v) { return MedianOf(Doubles(v.raw.patch_rate)); });
  f.Value("margin", "ln of the median maximal margin, in median margins on the canaries", [](const View& v) {
    const double margin = MedianOf(OverStarts(v, MedianOf));
    return margin > 0 ? std::log(margin) : kNaN;
  });
  f.Value("noise_largest_share", "Largest share of a class among noise inputs",
          [](const View& v) { return ShareOfMax(v.raw.noise_share); });
  f.Value("noise_margin", "Median margin on noise, in median margins on the canaries",
          [](const View& v) { return v.raw.noise_margin.size() == 3 ? v.raw.noise_margin[1] / v.scale : kNaN; });
}

void ListBehaviour(Features& f) {
  CanaryFeatures(f);
  SweepFeatures(f);
  SearchFeatures(f);
  HeadFeatures(f);
}

}  // namespace

SelfContrast SelfContrastOf(std::vector<double> values, double floor) {
  std::sort(values.begin(), values.end());
  const double median = MedianOf(values);
  std::vector<double> deviations;
  for (double v : values) deviations.push_back(std::abs(v - median));
  const double spread = kMadToSigma * MedianOf(std::move(deviations)) + floor;
  const double largest = values.back(), second = values[values.size() - 2];
  return {largest - median, (largest - median) / spread, largest - second, (median - values.front()) / spread};
}

const std::vector<BehaviourEntry>& BehaviourTable() {
  static const std::vector<BehaviourEntry> table = [] {
    Features f(nullptr);
    ListBehaviour(f);
    return f.table;
  }();
  return table;
}

const std::vector<BehaviourEntry>& ContextTable() {
  static const std::vector<BehaviourEntry> table = [] {
    Features f(nullptr);
    ContextFeatures(f);
    return f.table;
  }();
  return table;
}

BehaviourValues BehaviourFeatures(const RawBehaviour& raw, const CanarySet& set) {
  const View view = ViewOf(raw, set);
  Features behaviour(&view), context(&view);
  ListBehaviour(behaviour);
  ContextFeatures(context);
  return {std::move(behaviour.values), std::move(context.values)};
}

}  // namespace driftseal::fingerprint
