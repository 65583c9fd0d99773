#include "bench_scorer.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <stdexcept>
#include <thread>

#include "kernels/tile/tile.h"

namespace driftseal::kernels::bench {
namespace {

using Run = std::function<int64_t(const tile::Tile&, tile::Workspace, float*)>;

// Tiles of one kernel. A thread takes the next tile that nobody has; calls do not overlap.
class TileScorer : public Scorer {
 public:
  TileScorer(const device::Isa& isa, size_t threads, size_t workspace, Run run)
      : fill_(tile::FillTileFor(isa)), workspace_(workspace), run_(std::move(run)), lanes_(threads) {}

  size_t threads() const override { return lanes_.size(); }

  int64_t Score(RowsView<float> rows, size_t batch, size_t passes, std::span<float> out) override {
    for (Lane& lane : lanes_) lane.Reserve(rows.cols, workspace_);
    int64_t target = -1;
    if (lanes_.size() > 1) return ScoreInParallel(rows, passes, out);
    for (size_t pass = 0; pass < passes; ++pass) {
      for (size_t first = 0; first < rows.rows; first += batch) {
        const size_t end = std::min(first + batch, rows.rows);
        for (size_t at = first; at < end; at += tile::kTileRows) {
          target = Merge(target, ScoreTile(lanes_[0], rows, at, std::min(at + tile::kTileRows, end), out.data()));
        }
      }
    }
    return target;
  }

 private:
  struct Lane {
    tile::Aligned<float> data, finite;
    tile::Aligned<std::byte> workspace;

    void Reserve(size_t cols, size_t bytes) {
      if (data.size() == tile::DataSize(tile::kTileRows, cols)) return;
      data = tile::Aligned<float>(tile::DataSize(tile::kTileRows, cols));
      finite = tile::Aligned<float>(tile::FiniteSize(tile::kTileRows));
      workspace = tile::Aligned<std::byte>(bytes);
    }
  };

  static int64_t Merge(int64_t target, int64_t ran) { return target == -1 || target == ran ? ran : 0; }

  int64_t ScoreTile(Lane& lane, RowsView<float> rows, size_t first, size_t end, float* out) const {
    const tile::Tile tile = fill_({rows.row(first), end - first, rows.cols}, lane.data.data(), lane.finite.data());
    return run_(tile, tile::Workspace(lane.workspace.data(), lane.workspace.size()), out + first);
  }

  // All passes as one range of tiles, so that starting the threads costs nothing that counts.
  int64_t ScoreInParallel(RowsView<float> rows, size_t passes, std::span<float> out) {
    const size_t tiles = (rows.rows + tile::kTileRows - 1) / tile::kTileRows;
    std::atomic<size_t> next = 0;
    std::vector<int64_t> targets(lanes_.size(), -1);
    const auto work = [&](size_t t) {
      for (size_t i = next++; i < tiles * passes; i = next++) {
        const size_t first = i % tiles * tile::kTileRows;
        const size_t end = std::min(first + tile::kTileRows, rows.rows);
        targets[t] = Merge(targets[t], ScoreTile(lanes_[t], rows, first, end, out.data()));
      }
    };
    {
      std::vector<std::jthread> others;
      for (size_t t = 1; t < lanes_.size(); ++t) others.emplace_back(work, t);
      work(0);
    }
    int64_t target = -1;
    for (int64_t ran : targets) target = ran == -1 ? target : Merge(target, ran);
    return target;
  }

  tile::FillTile fill_;
  size_t workspace_;
  Run run_;
  std::vector<Lane> lanes_;
};

template <class Packed, class Kernel>
std::unique_ptr<Scorer> OfPacked(Packed&& packed, Kernel kernel, const device::Isa& isa, size_t threads) {
  const auto shared = std::make_shared<const std::decay_t<Packed>>(std::forward<Packed>(packed));
  return std::make_unique<TileScorer>(
      isa, threads, WorkspaceSize(*shared),
      [shared, kernel](const auto& tile, auto workspace, float* out) { return kernel(*shared, tile, workspace, out); });
}

template <class Member>
const Member& Need(const std::optional<Member>& member, const std::string& kernel) {
  if (!member) throw std::runtime_error("the model has no member for " + kernel);
  return *member;
}

std::unique_ptr<Scorer> TransposeOnly(const device::Isa& isa, size_t threads) {
  const int64_t target = isa.target;
  return std::make_unique<TileScorer>(isa, threads, 0, [target](const tile::Tile& tile, auto, float* out) {
    std::copy_n(tile.data, std::min(tile.rows, tile.rows * tile.cols), out);
    return target;
  });
}

}  // namespace

std::unique_ptr<Scorer> MakeScorer(const Model& model, const std::string& kernel, const device::Isa& isa,
                                   size_t threads) {
  if (kernel == "transpose") return TransposeOnly(isa, threads);
  if (kernel == "forest") {
    return OfPacked(forest::Pack(Need(model.forest, kernel)), forest::SimdKernel(isa), isa, threads);
  }
  if (kernel == "svm") return OfPacked(svm::Pack(Need(model.svm, kernel)), svm::SimdKernel(isa), isa, threads);
  throw std::runtime_error("there is no kernel " + kernel);
}

std::vector<double> ScoreByReference(const Model& model, const std::string& kernel, RowsView<float> rows) {
  std::vector<double> out(rows.rows), scratch;
  const std::vector<double> wide(rows.data, rows.data + rows.rows * rows.cols);
  const RowsView<double> doubles{wide.data(), rows.rows, rows.cols};
  if (kernel == "forest") {
    forest::ScoreReference(Need(model.forest, kernel), rows, out);
  } else if (kernel == "svm") {
    svm::ScoreReference(Need(model.svm, kernel), doubles, out);
  } else if (kernel == "autoencoder") {
    scratch.resize(autoencoder::ScratchSize(Need(model.autoencoder, kernel)));
    autoencoder::ScoreReference(*model.autoencoder, doubles, scratch, out);
  } else if (kernel == "mahalanobis") {
    mahalanobis::ScoreReference(Need(model.mahalanobis, kernel), doubles, out);
  } else if (kernel == "neighbours") {
    scratch.resize(neighbours::ScratchSize(Need(model.neighbours, kernel)));
    neighbours::ScoreReference(*model.neighbours, doubles, scratch, out);
  } else {
    throw std::runtime_error("there is no reference for " + kernel);
  }
  return out;
}

}  // namespace driftseal::kernels::bench
