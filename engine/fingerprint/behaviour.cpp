#include "engine/fingerprint/behaviour.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <span>
#include <tuple>

#include "engine/artifact/text.h"
#include "engine/fingerprint/behaviour_view.h"

namespace driftseal::fingerprint {
namespace {

using artifact::Cat;
using View = BehaviourView;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kMadToSigma = 1.4826;
constexpr size_t kSlots = 16;  ///< Classes that have a column of their own.
constexpr size_t kPairSlots = 12, kLeastOfClass = 8;

double At(const std::vector<double>& values, size_t c) { return c < values.size() ? values[c] : kNaN; }

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

  /// A column a class, for the first kSlots classes.
  void Slots(const std::string& name, const std::string& what,
             const std::function<std::vector<double>(const View&)>& vector) {
    const std::vector<double> v = view_ == nullptr ? std::vector<double>() : vector(*view_);
    for (size_t c = 0; c < kSlots; ++c) {
      Value(Cat(name, c), Cat(what, ", class ", c), [&](const View&) { return At(v, c); });
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
          [](const View& v) { return v.recalls.accuracy; });
  f.Slots("canary.recall", "Recall on the canaries", [](const View& v) { return v.recalls.recall; });
  f.Value("canary.confusion", "Largest share of a true class's canaries that are given one other class",
          [](const View& v) { return v.recalls.confusion; });
  f.Contrast("canary.excess", "Share of a class among predicted − among true labels", 0.01,
             [](const View& v) { return v.recalls.excess; });
  f.Contrast("canary.miss", "1 − recall on the canaries", 0.02, [](const View& v) {
    std::vector<double> miss = v.recalls.recall;
    for (double& r : miss) r = std::isnan(r) ? 0 : 1 - r;
    return miss;
  });
  f.Slots("profile.mean", "Mean centred logit on canaries of other classes, in median margins",
          [](const View& v) { return v.profile.mean; });
  f.Slots("profile.spread", "Standard deviation of that logit", [](const View& v) { return v.profile.spread; });
  f.Value("profile.second", "Mean second largest centred logit of a canary, in median margins",
          [](const View& v) { return v.profile.second; });
  f.Value("profile.third", "Mean third largest", [](const View& v) { return v.profile.third; });
  f.Value("profile.last", "Mean least", [](const View& v) { return v.profile.last; });
  f.Value("profile.ranks", "Mean over ranks of the standard deviation of the centred logit of that rank",
          [](const View& v) { return v.profile.ranks; });
}

/// How far the class that a trigger favours most lies before the next one, under that trigger.
double SweepGap(const View& v, size_t t) { return MarginOf(RowOf(v.raw.sweep, t, v.classes)).first; }

void StillSweep(Features& f) {
  f.Value(
      "sweep.gap",
      "Largest, over triggers, distance between the shares of other inputs that the trigger sends to the first and to "
      "the second class",
      [](const View& v) { return LargestTrigger(v, v.raw.sweep, [&](size_t t) { return SweepGap(v, t); }); });
  f.Value("sweep.gap_share", "The same divided by (share of inputs whose class the trigger changes + 0.05)",
          [](const View& v) {
            return LargestTrigger(v, v.raw.sweep, [&](size_t t) { return SweepGap(v, t) / (v.raw.flips[t] + 0.05); });
          });
  f.Value("sweep.local_second",
          "Of the largest share that any local trigger sends to each class: largest − second largest over classes",
          [](const View& v) {
            const std::vector<double> largest = LargestOver(v, v.raw.sweep, true, 1);
            return largest.size() < 2 ? kNaN : SelfContrastOf(largest, 0.02).second;
          });
  f.Value(
      "mapped.excess",
      "Largest share, over triggers, of inputs that go to the commonest other class of their own class, beyond those "
      "that one class gets (all-to-all)",
      [](const View& v) {
        return LargestTrigger(v, v.raw.mapped, [&](size_t t) {
          const auto row = RowOf(v.raw.sweep, t, v.classes);
          return v.raw.mapped[t] - *std::max_element(row.begin(), row.end());
        });
      });
}

void ListStill(Features& f) {
  CanaryFeatures(f);
  StillSweep(f);
  f.Contrast("perturbation.small",
             "Share of other classes' inputs that a small universal perturbation sends to a class", 0.03,
             [](const View& v) { return Doubles(v.raw.perturbation_rate[1]); });
  f.Contrast("patch.logit", "Mean logit of a class under its best patch, in median margins", 0.05,
             [](const View& v) { return Doubles(v.raw.patch_logit, v.scale); });
  f.Contrast("noise.logit", "Mean logit of a class on noise, in median margins", 0.05,
             [](const View& v) { return Doubles(v.raw.noise_logit, v.scale); });
  f.Contrast("head.share", "Share of random latents that the last layer gives to a class", 0.03,
             [](const View& v) { return Doubles(v.raw.head_share); });
  f.Contrast("head.logit", "Mean logit of a class on random latents, in standard deviations over classes", 0.05,
             [](const View& v) {
               const std::vector<double> logits = Doubles(v.raw.head_logit);
               return Doubles(v.raw.head_logit, std::fmax(SpreadOf(logits), 1e-6));
             });
}

void MovingSweep(Features& f) {
  f.Contrast("sweep.all", "Largest share of other inputs that a trigger of the bank sends to a class", 0.02,
             [](const View& v) { return LargestOver(v, v.raw.sweep, false, 1); });
  f.Contrast("sweep.local", "The same over local triggers", 0.02,
             [](const View& v) { return LargestOver(v, v.raw.sweep, true, 1); });
  f.Value("sweep.ratio",
          "Largest, over triggers, share sent to one class / (share of inputs whose class changes + 0.02)",
          [](const View& v) {
            return LargestTrigger(v, v.raw.sweep, [&](size_t t) {
              const auto row = RowOf(v.raw.sweep, t, v.classes);
              return *std::max_element(row.begin(), row.end()) / (v.raw.flips[t] + 0.02);
            });
          });
  f.Contrast("shift.all", "Largest mean logit change of a class under a trigger of the bank, in median margins", 0.02,
             [](const View& v) { return LargestOver(v, v.raw.shift, false, v.scale); });
  f.Contrast("shift.local", "The same over local triggers", 0.02,
             [](const View& v) { return LargestOver(v, v.raw.shift, true, v.scale); });
  f.Value("shift.largest", "Largest mean logit change of any class under any trigger, in median margins",
          [](const View& v) { return v.raw.shift.empty() ? kNaN : Largest(Doubles(v.raw.shift, v.scale)); });
}

void ListMoving(Features& f) {
  MovingSweep(f);
  f.Contrast("perturbation.large_logit",
             "Mean logit of a class under its large universal perturbation, in median margins", 0.05,
             [](const View& v) { return Doubles(v.raw.perturbation_logit[0], v.scale); });
  f.Contrast("perturbation.small_logit", "The same under the small one", 0.05,
             [](const View& v) { return Doubles(v.raw.perturbation_logit[1], v.scale); });
  f.Value("perturbation.small_ratio", "Largest share that the small perturbation sends to a class / (median + 0.05)",
          [](const View& v) { return RatioOf(Doubles(v.raw.perturbation_rate[1]), 0.05); });
  f.Contrast("patch.rate", "Share of other classes' inputs that the best patch sends to a class", 0.03,
             [](const View& v) { return Doubles(v.raw.patch_rate); });
  f.Value("patch.ratio", "Largest such share / (median + 0.05)",
          [](const View& v) { return RatioOf(Doubles(v.raw.patch_rate), 0.05); });
  for (const int percent : {5, 10, 25, 75, 90, 95}) {
    f.Value(Cat("margin.q", percent), Cat(percent, " % quantile of the margins on the canaries, in median margins"),
            [percent](const View& v) { return QuantileOf(v.margins, percent / 100.0) / v.scale; });
  }
}

void BalanceFeatures(Features& f) {
  f.Slots("margin", "Mean margin of the canaries of a class, divided by its mean over classes", [](const View& v) {
    std::vector<double> margin = v.profile.margin, present = margin;
    std::erase_if(present, [](double m) { return std::isnan(m); });
    const double mean = MeanOf(present);
    for (double& m : margin) m /= mean;
    return margin;
  });
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
}

/// Absent for classes that the model gives to fewer than kLeastOfClass canaries: their shares are too coarse.
double PairShare(const View& v, const std::vector<float>& shares, size_t from, size_t to) {
  if (shares.empty() || from >= v.classes || to >= v.classes) return kNaN;
  const auto given = std::count(v.predicted.begin(), v.predicted.end(), static_cast<int>(from));
  return given < static_cast<std::ptrdiff_t>(kLeastOfClass) ? kNaN : shares[from * v.classes + to];
}

void PairFeatures(Features& f) {
  using Shares = std::vector<float> replay::RawBehaviour::*;
  for (const auto& [name, which, shares] :
       {std::tuple{"local", "local triggers", Shares(&replay::RawBehaviour::pair_local)},
        {"other", "the other triggers", &replay::RawBehaviour::pair_other}}) {
    for (size_t from = 0; from < kPairSlots; ++from) {
      for (size_t to = 0; to < kPairSlots; ++to) {
        if (from == to) continue;
        f.Value(Cat(name, ".", from, "_", to),
                Cat("Largest share, over ", which, ", of the canaries given class ", from,
                    " that are then given class ", to),
                [=](const View& v) { return PairShare(v, v.raw.*shares, from, to); });
      }
    }
  }
}

constexpr std::array<void (*)(Features&), kBehaviourParts> kLists = {ListStill, ListMoving, BalanceFeatures,
                                                                     ContextFeatures, PairFeatures};

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

const std::vector<BehaviourEntry>& BehaviourTable(BehaviourPart part) {
  static const auto tables = [] {
    std::array<std::vector<BehaviourEntry>, kBehaviourParts> made;
    for (size_t p = 0; p < kBehaviourParts; ++p) {
      Features f(nullptr);
      kLists[p](f);
      made[p] = std::move(f.table);
    }
    return made;
  }();
  return tables[static_cast<size_t>(part)];
}

BehaviourValues BehaviourFeatures(const replay::RawBehaviour& raw, const replay::CanarySet& set) {
  const View view = ViewOf(raw, set);
  BehaviourValues values;
  for (size_t p = 0; p < kBehaviourParts; ++p) {
    Features f(&view);
    kLists[p](f);
    values[p] = std::move(f.values);
  }
  return values;
}

}  // namespace driftseal::fingerprint
