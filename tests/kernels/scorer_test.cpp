#include "kernels/ensemble/scorer.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <tuple>
#include <vector>

#include "parity/autoencoder.h"
#include "parity/forest.h"
#include "parity/mahalanobis.h"
#include "parity/neighbours.h"
#include "parity/svm.h"
#include "simd_scorer.h"

namespace driftseal::kernels::ensemble {
namespace {

/// A detector of `cols` columns with the members that the bits of `which` name.
struct Detector {
  autoencoder::Network network;
  forest::Forest forest;
  svm::Svm svm;
  mahalanobis::Mahalanobis mahalanobis;
  neighbours::Neighbours neighbours;
  Packed packed;

  Detector(Random& random, size_t cols, unsigned which) {
    const std::array<size_t, 3> widths = {cols, cols / 2 + 1, cols};
    network = parity::RandomNetwork(random, widths, autoencoder::Activation::kTanh);
    forest = parity::RandomForest(random, cols, 20, 64);
    svm = parity::RandomSvm(random, 50, cols, 1, 0);
    mahalanobis = parity::RandomMahalanobis(random, cols, cols / 2, 1, 0);
    neighbours = parity::RandomNeighbours(random, 70, cols, 5, 0);
    Members members;
    if ((which & 1) != 0) members.autoencoder = &network;
    if ((which & 2) != 0) members.forest = &forest;
    if ((which & 4) != 0) members.svm = &svm;
    if ((which & 8) != 0) members.mahalanobis = &mahalanobis;
    if ((which & 16) != 0) members.neighbours = &neighbours;
    packed = Pack(members, cols);
  }
};

constexpr float kUntouched = -99;

struct Batch {
  std::vector<float> rows;
  std::array<std::vector<float>, kMembers> scores;
  Group group;

  Batch(const Detector& detector, std::vector<float> values) : rows(std::move(values)) {
    const size_t cols = detector.packed.cols, count = rows.size() / cols;
    group.detector = &detector.packed;
    group.rows = {rows.data(), count, cols};
    for (size_t m = 0; m < kMembers; ++m) {
      scores[m].assign(count, kUntouched);
      group.out[m] = scores[m].data();
    }
  }
};

class ScorerOn : public testing::TestWithParam<std::tuple<device::Isa, size_t>> {
 protected:
  Scorer scorer_{std::get<0>(GetParam()), std::get<1>(GetParam())};
};

TEST_P(ScorerOn, EqualsTheMembersKernels) {
  Random random(1);
  const Detector detector(random, 17, 31);
  const device::Isa isa = std::get<0>(GetParam());
  for (size_t count : parity::kRowCounts) {
    Batch batch(detector, parity::NormalRows(random, count, 17));
    EXPECT_EQ(scorer_.Score(batch.group), count > 0 ? isa.target : 0) << "the forced instruction set ran";
    const auto expect = [&](Member member, const auto& packed, auto kernel, size_t workspace) {
      const auto alone = ScoreTiles(isa, batch.group.rows, workspace, [&](const auto& tile, auto memory, float* out) {
        return kernel(packed, tile, memory, out);
      });
      EXPECT_EQ(batch.scores[member], alone) << "member " << member << ", " << count << " rows";
    };
    const Packed& p = detector.packed;
    expect(kAutoencoder, *p.autoencoder, autoencoder::SimdKernel(isa), autoencoder::WorkspaceSize(*p.autoencoder));
    expect(kForest, *p.forest, forest::SimdKernel(isa), forest::WorkspaceSize(*p.forest));
    expect(kSvm, *p.svm, svm::SimdKernel(isa), svm::WorkspaceSize(*p.svm));
    expect(kMahalanobis, *p.mahalanobis, mahalanobis::SimdKernel(isa), mahalanobis::WorkspaceSize(*p.mahalanobis));
    expect(kNeighbours, *p.neighbours, neighbours::SimdKernel(isa), neighbours::WorkspaceSize(*p.neighbours));
  }
}

TEST_P(ScorerOn, GroupsOfManyDetectorsScoreAsAlone) {
  Random random(2);
  std::vector<std::unique_ptr<Detector>> detectors;
  std::vector<Batch> batches;
  for (unsigned i = 0; i < 40; ++i) {
    const size_t cols = 1 + random.Below(40), rows = i == 7 ? 1500 : random.Below(6);
    detectors.push_back(std::make_unique<Detector>(random, cols, i % 32));
    batches.emplace_back(*detectors.back(), parity::NormalRows(random, rows, cols));
  }
  std::vector<Group> groups;
  for (const Batch& batch : batches) groups.push_back(batch.group);
  scorer_.Score(groups);
  for (size_t i = 0; i < batches.size(); ++i) {
    Batch alone(*detectors[i], batches[i].rows);
    scorer_.Score(alone.group);
    for (size_t m = 0; m < kMembers; ++m) {
      EXPECT_EQ(batches[i].scores[m], alone.scores[m]) << "group " << i << ", member " << m;
      const bool there = (i % 32 >> m & 1) != 0;
      for (float score : batches[i].scores[m]) EXPECT_EQ(score == kUntouched, !there) << "group " << i;
    }
  }
}

TEST_P(ScorerOn, MembersThatAreNotWantedAreLeftOut) {
  Random random(3);
  const Detector detector(random, 8, 31);
  Batch batch(detector, parity::NormalRows(random, 700, 8));
  batch.group.out = {};
  batch.group.out[kSvm] = batch.scores[kSvm].data();
  scorer_.Score(batch.group);
  for (size_t m = 0; m < kMembers; ++m) {
    for (float score : batch.scores[m]) ASSERT_EQ(score == kUntouched, m != kSvm);
  }
}

TEST_P(ScorerOn, ManyCallsInARow) {
  Random random(4);
  const Detector detector(random, 6, 4);
  Batch batch(detector, parity::NormalRows(random, 2000, 6));
  scorer_.Score(batch.group);
  const std::vector<float> first = batch.scores[kSvm];
  for (int i = 0; i < 300; ++i) {
    batch.scores[kSvm].assign(first.size(), kUntouched);
    scorer_.Score(batch.group);
    ASSERT_EQ(batch.scores[kSvm], first) << "call " << i;
  }
}

std::string ScorerName(const testing::TestParamInfo<ScorerOn::ParamType>& info) {
  return std::string(std::get<0>(info.param).name) + "On" + std::to_string(std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(IsasAndThreads, ScorerOn,
                         testing::Combine(testing::ValuesIn(device::SupportedIsas()), testing::Values(1, 2, 5)),
                         ScorerName);

}  // namespace
}  // namespace driftseal::kernels::ensemble
