// The best few columns of a table towards each class: set to one of their own quantiles, one after the other.
#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/replay/probe/search.h"

namespace driftseal::replay {
namespace {

constexpr size_t kMostSettings = 3, kShortlist = 12, kMostColumns = 4096, kMostRows = 65536;

struct Setting {
  size_t column = 0;
  float value = 0;
};
using Settings = std::vector<Setting>;

void Set(const Settings& settings, std::span<float> row) {
  for (const Setting& setting : settings) row[setting.column] = setting.value;
}

class ColumnSearch {
 public:
  explicit ColumnSearch(Search& search) : search_(search) {
    const Space& space = search.space();
    for (size_t column = 0; column < space.elements; ++column) {
      for (const float value : Candidates(space, column)) candidates_.push_back({column, value});
    }
    inputs_ = std::min(search.count(), std::max<size_t>(16, kMostRows / candidates_.size()));
  }

  absl::StatusOr<std::vector<Settings>> Find() {
    const auto single = [&](size_t number, std::span<const float> input, std::span<float> out) {
      std::copy(input.begin(), input.end(), out.begin());
      out[candidates_[number].column] = candidates_[number].value;
    };
    absl::Status status = search_.Score(single, candidates_.size(), inputs_, singles_);
    if (!status.ok()) return status;
    std::vector<Settings> found(search_.classes());
    for (size_t c = 0; c < search_.classes(); ++c) {
      if (status = FindFor(c, found[c]); !status.ok()) return status;
    }
    return found;
  }

 private:
  double SingleScore(size_t candidate, size_t c) const { return singles_[candidate * search_.classes() + c]; }

  absl::Status FindFor(size_t c, Settings& settings) {
    std::vector<size_t> shortlist(candidates_.size());
    std::iota(shortlist.begin(), shortlist.end(), size_t{0});
    std::stable_sort(shortlist.begin(), shortlist.end(),
                     [&](size_t a, size_t b) { return SingleScore(a, c) > SingleScore(b, c); });
    shortlist.resize(std::min(shortlist.size(), kShortlist));
    settings = {candidates_[shortlist.front()]};
    double best = SingleScore(shortlist.front(), c);
    while (settings.size() < std::min(kMostSettings, search_.space().elements)) {
      const auto with_one_more = [&](size_t number, std::span<const float> input, std::span<float> out) {
        std::copy(input.begin(), input.end(), out.begin());
        out[candidates_[shortlist[number]].column] = candidates_[shortlist[number]].value;
        Set(settings, out);  // last, so that a column that is set already stays so
      };
      std::vector<double> scores;
      absl::Status status = search_.Score(with_one_more, shortlist.size(), inputs_, scores);
      if (!status.ok()) return status;
      size_t next = shortlist.size();
      for (size_t i = 0; i < shortlist.size(); ++i) {
        if (scores[i * search_.classes() + c] <= best) continue;
        best = scores[i * search_.classes() + c];
        next = i;
      }
      if (next == shortlist.size()) break;  // nothing helps any more
      settings.push_back(candidates_[shortlist[next]]);
    }
    return absl::OkStatus();
  }

  Search& search_;
  std::vector<Setting> candidates_;
  std::vector<double> singles_;
  size_t inputs_ = 0;
};

}  // namespace

absl::Status TryColumns(Search& search, RawBehaviour& behaviour, Found& found) {
  if (search.space().elements > kMostColumns) {
    return absl::FailedPreconditionError(
        absl::StrCat(search.space().elements, " columns to try one by one, the limit is ", kMostColumns));
  }
  absl::StatusOr<std::vector<Settings>> settings = ColumnSearch(search).Find();
  if (!settings.ok()) return settings.status();
  for (const Settings& one : *settings) {
    behaviour.patch_place.push_back(static_cast<uint32_t>(one.front().column));
    behaviour.patch_place.push_back(0);
  }
  const auto shared = std::make_shared<const std::vector<Settings>>(*std::move(settings));
  found.change = [shared](size_t c, std::span<const float> input, std::span<float> out) {
    std::copy(input.begin(), input.end(), out.begin());
    Set((*shared)[c], out);
  };
  found.text = [shared](size_t c) {
    std::string text = "search: columns";
    for (const Setting& one : (*shared)[c]) absl::StrAppendFormat(&text, " %d=%.4g", one.column, one.value);
    return text;
  };
  return search.Measure(found.change, behaviour.patch_rate, behaviour.patch_logit);
}

}  // namespace driftseal::replay
