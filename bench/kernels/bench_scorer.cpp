#include "bench_scorer.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "kernels/tile/tile.h"

namespace driftseal::kernels::bench {
namespace {

constexpr std::array<const char*, ensemble::kMembers> kNames = {"autoencoder", "forest", "svm", "mahalanobis",
                                                                "neighbours"};

template <class Part>
const Part* Address(const std::optional<Part>& part) {
  return part ? &*part : nullptr;
}

ensemble::Members All(const Model& model) {
  return {Address(model.autoencoder), Address(model.forest), Address(model.svm), Address(model.mahalanobis),
          Address(model.neighbours)};
}

// The members that `kernel` names, in the ensemble's order.
std::vector<ensemble::Member> Named(const Model& model, const std::string& kernel) {
  const ensemble::Members all = All(model);
  const std::array<bool, ensemble::kMembers> there = {all.autoencoder != nullptr, all.forest != nullptr,
                                                      all.svm != nullptr, all.mahalanobis != nullptr,
                                                      all.neighbours != nullptr};
  std::vector<ensemble::Member> members;
  if (kernel == "transpose") return members;
  for (size_t m = 0; m < ensemble::kMembers; ++m) {
    if (there[m] && (kernel == "ensemble" || kernel == kNames[m])) members.push_back(static_cast<ensemble::Member>(m));
  }
  if (members.empty()) throw std::runtime_error("the model has no member for kernel " + kernel);
  return members;
}

ensemble::Packed Pack(const Model& model, const std::vector<ensemble::Member>& members, size_t cols) {
  const ensemble::Members all = All(model);
  ensemble::Members wanted;
  for (ensemble::Member member : members) {
    if (member == ensemble::kAutoencoder) wanted.autoencoder = all.autoencoder;
    if (member == ensemble::kForest) wanted.forest = all.forest;
    if (member == ensemble::kSvm) wanted.svm = all.svm;
    if (member == ensemble::kMahalanobis) wanted.mahalanobis = all.mahalanobis;
    if (member == ensemble::kNeighbours) wanted.neighbours = all.neighbours;
  }
  return ensemble::Pack(wanted, cols);
}

}  // namespace

BenchScorer::BenchScorer(const Model& model, const std::string& kernel, size_t cols, const device::Isa& isa,
                         size_t threads)
    : members_(Named(model, kernel)),
      packed_(Pack(model, members_, cols)),
      scorer_(isa, threads),
      data_(tile::DataSize(tile::kTileRows, cols)),
      finite_(tile::FiniteSize(tile::kTileRows)) {
  if (scorer_.threads() != threads) throw std::runtime_error("the system gave fewer threads than asked for");
}

int64_t BenchScorer::Score(RowsView<float> rows, size_t batch, size_t passes, std::span<float> out) {
  if (batch == 0) throw std::runtime_error("a batch has at least one row");
  int64_t target = -1;
  for (size_t pass = 0; pass < passes; ++pass) {
    for (size_t first = 0; first < rows.rows; first += batch) {
      ensemble::Group group{&packed_, {rows.row(first), std::min(batch, rows.rows - first), rows.cols}, {}};
      for (size_t i = 0; i < members_.size(); ++i) group.out[members_[i]] = out.data() + i * rows.rows + first;
      const int64_t ran = members_.empty() ? Transpose(group.rows) : scorer_.Score(group);
      target = target == -1 || target == ran ? ran : 0;
    }
  }
  return target;
}

int64_t BenchScorer::Transpose(RowsView<float> rows) {
  const tile::FillTile fill = tile::FillTileFor(scorer_.isa());
  for (size_t first = 0; first < rows.rows; first += tile::kTileRows) {
    const size_t count = std::min(tile::kTileRows, rows.rows - first);
    fill({rows.row(first), count, rows.cols}, data_.data(), finite_.data());
  }
  return scorer_.isa().target;
}

std::vector<double> ScoreByReference(const Model& model, const std::string& kernel, RowsView<float> rows) {
  const std::vector<ensemble::Member> members = Named(model, kernel);
  if (members.size() != 1) throw std::runtime_error("the reference scores one member at a time, not " + kernel);
  const ensemble::Members all = All(model);
  std::vector<double> out(rows.rows), scratch(ensemble::ScratchSize(all));
  const std::vector<double> wide(rows.data, rows.data + rows.rows * rows.cols);
  const RowsView<double> doubles{wide.data(), rows.rows, rows.cols};
  switch (members[0]) {
    case ensemble::kAutoencoder:
      autoencoder::ScoreReference(*all.autoencoder, doubles, scratch, out);
      break;
    case ensemble::kForest:
      forest::ScoreReference(*all.forest, rows, out);
      break;
    case ensemble::kSvm:
      svm::ScoreReference(*all.svm, doubles, out);
      break;
    case ensemble::kMahalanobis:
      mahalanobis::ScoreReference(*all.mahalanobis, doubles, out);
      break;
    case ensemble::kNeighbours:
      neighbours::ScoreReference(*all.neighbours, doubles, scratch, out);
      break;
  }
  return out;
}

std::map<std::string, double> WorkPerRow(const Model& model, const std::string& kernel, size_t cols) {
  const auto columns = static_cast<double>(cols);
  std::map<std::string, double> work;
  if (kernel == "transpose") return {{"load_l2", 4 * columns}};
  for (ensemble::Member member : Named(model, kernel)) {
    if (member == ensemble::kSvm) {  // 7: exp2 and the sum
      work["fma"] += static_cast<double>(model.svm->alpha.size()) * (columns + 7);
    }
    if (member == ensemble::kMahalanobis) {  // in double: half as many lanes
      work["fma"] += 2 * static_cast<double>(model.mahalanobis->weights.size() + 1) * columns;
    }
    if (member == ensemble::kAutoencoder) {
      for (const auto& layer : model.autoencoder->layers) work["fma"] += static_cast<double>(layer.weights.size());
    }
    if (member == ensemble::kNeighbours) {
      const neighbours::Packed packed = neighbours::Pack(*model.neighbours);
      if (packed.levels) {
        work["byte_dot"] += packed.byte_products;
      } else {
        work["fma"] += static_cast<double>(model.neighbours->rows()) * columns;
      }
    }
    if (member == ensemble::kForest) {
      const forest::Packed packed = forest::Pack(*model.forest);
      if (!packed.bit_sliced) continue;
      const auto ops = static_cast<double>(packed.ops.size());
      work["select"] += ops;           // one bit a row and operation
      work["load_l1"] += 3 * ops / 8;  // test, one, zero: 512 rows' bits of each
    }
  }
  return work;
}

}  // namespace driftseal::kernels::bench
