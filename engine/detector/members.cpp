#include "engine/detector/members.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "engine/detector/one_class_svm.h"
#include "engine/detector/shrinkage.h"

namespace driftseal::detector {
namespace {

namespace ensemble = kernels::ensemble;

constexpr uint32_t kTrees = 200, kTreeRows = 256;
constexpr size_t kNearest = 5;
/// A row is compared with every reference row: what bounds the cost of a score.
constexpr size_t kMostReferenceRows = 500;

kernels::forest::Forest FitForest(kernels::RowsView<double> rows, uint64_t seed) {
  std::vector<float> narrow;
  narrow.reserve(rows.rows * rows.cols);
  for (size_t i = 0; i < rows.rows * rows.cols; ++i) narrow.push_back(ensemble::Narrow(rows.data[i]));
  return kernels::forest::Fit({narrow.data(), rows.rows, rows.cols}, {kTrees, kTreeRows, seed});
}

kernels::neighbours::Neighbours FitNeighbours(kernels::RowsView<double> rows) {
  // The rows come in an order that is as good as random: the first ones are a fair sample.
  const size_t kept = std::min(rows.rows, kMostReferenceRows);
  return {rows.cols, {rows.data, rows.data + kept * rows.cols}, std::min(kNearest, kept)};
}

}  // namespace

ensemble::Members MemberSet::View() const {
  const auto view = [](const auto& member) { return member ? &*member : nullptr; };
  return {view(autoencoder), view(forest), view(svm), view(mahalanobis), view(neighbours)};
}

bool MemberSet::Has(size_t member) const {
  return std::array{autoencoder.has_value(), forest.has_value(), svm.has_value(), mahalanobis.has_value(),
                    neighbours.has_value()}[member];
}

MemberSet FitMembers(kernels::RowsView<double> rows, const MemberChoice& choice, uint64_t seed) {
  MemberSet members;
  if (choice[ensemble::kForest]) members.forest = FitForest(rows, seed);
  if (choice[ensemble::kSvm]) members.svm = FitOneClassSvm(rows);
  if (choice[ensemble::kMahalanobis]) members.mahalanobis = FitMahalanobis(rows);
  if (choice[ensemble::kNeighbours]) members.neighbours = FitNeighbours(rows);
  return members;
}

RawScores ScoreScaled(const MemberSet& members, std::span<const double> row) {
  const ensemble::Members view = members.View();
  std::vector<double> scratch(ensemble::ScratchSize(view));
  std::vector<float> narrow(view.forest != nullptr ? row.size() : 0);
  RawScores raw;
  raw.fill(std::numeric_limits<double>::quiet_NaN());
  ensemble::Scores out;
  for (size_t m = 0; m < ensemble::kMembers; ++m) out[m] = {&raw[m], 1};
  ensemble::ScoreReference(view, {row.data(), 1, row.size()}, {scratch, narrow}, out);
  return raw;
}

}  // namespace driftseal::detector
