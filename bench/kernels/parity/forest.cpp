#include "parity/forest.h"

#include <algorithm>
#include <utility>

namespace driftseal::kernels::parity {
namespace {

using forest::Forest;
using forest::Node;

constexpr float kInf = std::numeric_limits<float>::infinity();

struct Case {
  std::string name;
  size_t cols;
  Forest forest;
};

/// Grows below forest.nodes[at]: as deep as `depth`, thresholds drawn by `threshold`, leaves by `path`.
template <class Threshold, class Path>
void Grow(Forest& forest, size_t at, size_t depth, size_t cols, Random& random, const Threshold& threshold,
          const Path& path) {
  if (depth == 0) {
    forest.nodes[at].path = path();
    return;
  }
  const auto left = static_cast<int32_t>(forest.nodes.size());
  forest.nodes[at] = {static_cast<int32_t>(random.Below(cols)), threshold(), left, left + 1, 0};
  forest.nodes.resize(forest.nodes.size() + 2);
  Grow(forest, static_cast<size_t>(left), depth - 1, cols, random, threshold, path);
  Grow(forest, static_cast<size_t>(left) + 1, depth - 1, cols, random, threshold, path);
}

template <class Threshold, class Path>
Forest Complete(size_t trees, size_t depth, size_t cols, Random& random, const Threshold& threshold, const Path& path) {
  Forest forest;
  forest.sample_size = 256;
  for (size_t t = 0; t < trees; ++t) {
    forest.roots.push_back(static_cast<uint32_t>(forest.nodes.size()));
    forest.nodes.emplace_back();
    Grow(forest, forest.roots.back(), depth, cols, random, threshold, path);
  }
  return forest;
}

/// Every inner node has one leaf: as deep as it has nodes.
Forest Chain(size_t length, bool to_the_right) {
  Forest forest;
  forest.sample_size = 64;
  forest.roots = {0};
  for (size_t i = 0; i < length; ++i) {
    const auto leaf = static_cast<int32_t>(2 * i + 1), next = leaf + 1;
    const auto threshold = static_cast<float>(i) * 0.125F - 4;
    forest.nodes.push_back({0, threshold, to_the_right ? leaf : next, to_the_right ? next : leaf, 0});
    forest.nodes.push_back({-1, 0, -1, -1, static_cast<float>(i + 1)});
  }
  forest.nodes.push_back({-1, 0, -1, -1, static_cast<float>(length)});
  return forest;
}

std::vector<Case> FittedCases(Random& random) {
  std::vector<Case> cases;
  const std::pair<size_t, uint32_t> shapes[] = {{1, 3},    {2, 200}, {3, 1},     {31, 17},
                                                {32, 200}, {64, 33}, {128, 200}, {1025, 40}};
  for (const auto& [cols, trees] : shapes) {
    cases.push_back({"fitted", cols, RandomForest(random, cols, trees, 256)});
  }
  cases.push_back({"fitted, 500 trees", 32, RandomForest(random, 32, 500, 256)});
  cases.push_back({"fitted, 1,000 trees on one column", 1, RandomForest(random, 1, 1000, 256)});
  cases.push_back({"fitted on 2 rows", 4, RandomForest(random, 4, 300, 2)});
  cases.push_back({"fitted, deep", 8, RandomForest(random, 8, 20, 5000)});
  cases.push_back({"fitted, depth 16", 16, RandomForest(random, 16, 3, 65536)});
  return cases;
}

std::vector<Case> MadeCases(Random& random) {
  const auto normal = [&] { return NormalRows(random, 1, 1)[0]; };
  const auto grid = [&] { return static_cast<float>(random.Below(7)) - 3; };
  const auto special = [&] {
    constexpr float kSpecial[] = {0.0F,
                                  -0.0F,
                                  kInf,
                                  -kInf,
                                  std::numeric_limits<float>::denorm_min(),
                                  -std::numeric_limits<float>::denorm_min(),
                                  std::numeric_limits<float>::max(),
                                  1};
    return kSpecial[random.Below(std::size(kSpecial))];
  };
  const auto few = [&] { return static_cast<float>(random.Below(20)) + 0.5F; };
  const auto many = [&] { return static_cast<float>(random.Uniform() * 30); };
  const auto one = [] { return 3.0F; };
  const auto large = [&] { return static_cast<float>(200 + random.Below(500)); };
  std::vector<Case> cases;
  cases.push_back({"thresholds that repeat", 5, Complete(50, 6, 5, random, grid, few)});
  cases.push_back({"thresholds of zero, infinity and denormals", 3, Complete(60, 5, 3, random, special, few)});
  cases.push_back({"a value of its own for each leaf", 8, Complete(9, 9, 8, random, normal, many)});
  cases.push_back({"64 leaf values", 8, Complete(20, 6, 8, random, normal, many)});
  cases.push_back({"equal leaves", 8, Complete(5, 4, 8, random, normal, one)});
  cases.push_back({"paths beyond 256", 8, Complete(40, 5, 8, random, normal, large)});
  cases.push_back({"depth 16", 40, Complete(2, 16, 40, random, normal, many)});
  cases.push_back({"one leaf", 2, Complete(3, 0, 2, random, normal, few)});
  cases.push_back({"chain to the right", 1, Chain(63, true)});
  cases.push_back({"chain to the left", 1, Chain(200, false)});
  cases.push_back({"4,096 columns", 4096, Complete(30, 7, 4096, random, normal, few)});
  Forest single = Complete(4, 3, 2, random, normal, few);
  single.sample_size = 1;  // c(1) = 0: every row scores one half.
  cases.push_back({"fitted on one row", 2, std::move(single)});
  Forest shared = Complete(1, 5, 6, random, normal, few);
  shared.roots = {0, 0, 0};
  cases.push_back({"the same tree thrice", 6, std::move(shared)});
  return cases;
}

void CheckRows(Outcome& outcome, const Case& test, const std::string& rows_name, const std::vector<float>& rows,
               const ForestScorer& score) {
  const size_t count = rows.size() / test.cols;
  const RowsView<float> view{rows.data(), count, test.cols};
  std::vector<double> expected(count);
  std::vector<uint32_t> sums(count);
  forest::ScoreReference(test.forest, view, expected);
  forest::PathSumsReference(test.forest, view, sums);
  const ForestScores got = score(test.forest, view);
  const std::string name = "forest " + test.name + ", " + std::to_string(test.cols) + " columns, " +
                           std::to_string(test.forest.roots.size()) + " trees, " + rows_name;
  outcome.Compare(name, got.scores, expected, [](double want) { return 2e-6 * want + 1e-37; });
  if (got.path_sums == sums) return;
  const auto differ = std::mismatch(sums.begin(), sums.end(), got.path_sums.begin(), got.path_sums.end());
  outcome.failures.push_back(name + ": the path sum of row " + std::to_string(differ.first - sums.begin()) +
                             " is not the reference's");
}

}  // namespace

Forest RandomForest(Random& random, size_t cols, uint32_t trees, uint32_t sample_size) {
  const size_t rows = std::max<size_t>(2, 2 * sample_size);
  const std::vector<float> values = NormalRows(random, rows, cols);
  return forest::Fit({values.data(), rows, cols}, {.trees = trees, .sample_size = sample_size, .seed = random.Next()});
}

Outcome CheckForest(const ForestScorer& score) {
  Outcome outcome;
  Random random(7);
  std::vector<Case> cases = FittedCases(random);
  for (Case& made : MadeCases(random)) cases.push_back(std::move(made));
  for (const Case& test : cases) {
    // Few rows of many columns or trees say as much, and the reference takes its time.
    for (size_t rows : kRowCounts) {
      if (rows * test.cols > 300'000 || rows * test.forest.roots.size() > 110'000) continue;
      CheckRows(outcome, test, std::to_string(rows) + " rows", NormalRows(random, rows, test.cols), score);
    }
    CheckRows(outcome, test, "hard rows", HardRows(random, test.cols), score);
    // Rows that lie on the thresholds.
    std::vector<float> on = NormalRows(random, 100, test.cols);
    for (size_t i = 0; i < on.size(); ++i) {
      const Node& node = test.forest.nodes[random.Below(test.forest.nodes.size())];
      if (node.feature >= 0) on[i - i % test.cols + static_cast<size_t>(node.feature)] = node.threshold;
    }
    CheckRows(outcome, test, "rows on thresholds", on, score);
  }
  return outcome;
}

}  // namespace driftseal::kernels::parity
