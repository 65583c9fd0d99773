#include "engine/detector/batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

#include "engine/detector/kernel_backend.h"
#include "fleet.h"

// Rows in bulk score as they do one by one, to the last digit, whatever they are mixed with.
namespace driftseal::detector {
namespace {

using testing::HasSubstr;

constexpr size_t kCols = 9;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// Two families of their own, one too small; column 2 always 7, so that rows can depart from it.
Detector FitOne(int version, std::vector<std::string> members = WithoutAutoencoder().members) {
  Fleet fleet(kCols, static_cast<uint64_t>(version));
  std::vector<Sample> samples = fleet.Samples(60, "a");
  for (Sample& sample : fleet.Samples(50, "b", 4)) samples.push_back(std::move(sample));
  for (Sample& sample : fleet.Samples(9, "few", 2)) samples.push_back(std::move(sample));
  for (Sample& sample : samples) sample.values[2] = 7;
  FitOptions options = WithoutAutoencoder();
  options.version = version;
  options.members = std::move(members);
  auto detector = Detector::Fit(fleet.Schema(), std::move(samples), options);
  if (!detector.ok()) std::abort();
  return *std::move(detector);
}

std::vector<float> SomeRows(size_t rows, uint64_t seed) {
  Fleet fleet(kCols, seed);
  std::vector<float> values;
  for (size_t r = 0; r < rows; ++r) {
    std::vector<double> row = fleet.Row(static_cast<double>(r % 5));
    if (r % 3 != 0) row[2] = 7;
    if (r % 7 == 0) row[r % kCols] = std::nan("");
    if (r % 11 == 0) std::fill(row.begin(), row.begin() + 6, std::nan(""));
    if (r % 13 == 0) row[4] = 3e38;
    values.insert(values.end(), row.begin(), row.end());
  }
  return values;
}

BatchItem ItemOf(const Detector& detector, const std::string& family, const std::vector<float>& values,
                 Detail detail = Detail::kScores) {
  BatchItem item;
  item.detector = &detector;
  item.family = family;
  item.rows = {values.data(), values.size() / kCols, kCols};
  item.detail = detail;
  return item;
}

bool Same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

void ExpectAsScoreRows(const BatchItem& item) {
  std::vector<std::vector<double>> values;
  std::vector<Row> rows;
  for (size_t r = 0; r < item.rows.rows; ++r) {
    values.emplace_back(item.rows.row(r), item.rows.row(r) + kCols);
  }
  for (const auto& row : values) rows.push_back({row, item.family});
  const auto scores = item.detector->ScoreRows(rows);
  ASSERT_TRUE(scores.ok()) << scores.status();
  ASSERT_EQ(item.scores.combined.size(), rows.size());
  ASSERT_EQ(item.scores.p_value.size(), rows.size());
  const size_t members = MembersOf(item).size();
  for (size_t r = 0; r < rows.size(); ++r) {
    const Score& want = (*scores)[r];
    EXPECT_TRUE(Same(item.scores.combined[r], want.combined)) << item.family << " row " << r;
    EXPECT_TRUE(Same(item.scores.p_value[r], want.p_value.value_or(std::nan("")))) << item.family << " row " << r;
    if (item.detail == Detail::kScores) continue;
    ASSERT_EQ(members, want.members.size());
    for (size_t m = 0; m < members; ++m) {
      EXPECT_TRUE(Same(item.scores.members[r * members + m], want.members[m].raw)) << "row " << r << " member " << m;
    }
    if (item.detail == Detail::kMembers) continue;
    EXPECT_EQ(item.scores.remarks[r], want.remark);
    ASSERT_EQ(item.scores.drivers[r].size(), want.drivers.size());
    for (size_t d = 0; d < want.drivers.size(); ++d) {
      EXPECT_EQ(item.scores.drivers[r][d].feature, want.drivers[d].feature);
      EXPECT_EQ(item.scores.drivers[r][d].share, want.drivers[d].share);
    }
  }
}

std::shared_ptr<const Backend> Make(const std::string& name) {
  BackendOptions options;
  options.name = name;
  options.threads = 2;
  auto backend = MakeBackend(options);
  EXPECT_TRUE(backend.ok()) << backend.status();
  return *backend;
}

class BatchTest : public testing::TestWithParam<std::string> {
 protected:
  BatchTest() {
    if (GetParam() == "none") return;
    const auto backend = Make(GetParam());
    for (Detector* detector : {&one_, &two_}) EXPECT_TRUE(detector->Use(backend).ok());
  }
  Detector one_ = FitOne(1), two_ = FitOne(2, {"forest", "mahalanobis"});
};

TEST_P(BatchTest, ScoresAreThoseOfScoreRows) {
  const std::vector<float> values = SomeRows(700, 5);
  for (const char* family : {"a", "b", "few", "unseen", ""}) {
    for (Detail detail : {Detail::kScores, Detail::kMembers, Detail::kDrivers}) {
      BatchItem item = ItemOf(one_, family, values, detail);
      ASSERT_TRUE(CheckRows(one_, item.rows).ok());
      BatchItem* items[] = {&item};
      ASSERT_TRUE(ScoreBatch(items).ok());
      ExpectAsScoreRows(item);
    }
  }
}

TEST_P(BatchTest, ItemsOfSeveralDetectorsAndFamiliesMix) {
  const auto first = SomeRows(3, 1), second = SomeRows(64, 2), third = SomeRows(1, 3), none = SomeRows(0, 4);
  std::vector<BatchItem> items = {ItemOf(one_, "a", first, Detail::kMembers),
                                  ItemOf(two_, "b", second),
                                  ItemOf(one_, "b", third, Detail::kDrivers),
                                  ItemOf(two_, "a", none),
                                  ItemOf(one_, "a", second),
                                  ItemOf(two_, "b", first, Detail::kMembers),
                                  ItemOf(two_, "unseen", third)};
  std::vector<BatchItem*> pointers;
  for (BatchItem& item : items) pointers.push_back(&item);
  ASSERT_TRUE(ScoreBatch(pointers).ok());
  for (const BatchItem& item : items) ExpectAsScoreRows(item);
}

TEST_P(BatchTest, PartsOfItemsComeInAnyOrderAndReuseMemory) {
  const auto values = SomeRows(200, 8), others = SomeRows(50, 9);
  BatchItem item = ItemOf(one_, "a", values, Detail::kMembers), other = ItemOf(two_, "", others);
  BatchScorer scorer;
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(Prepare(item).ok());
    ASSERT_TRUE(Prepare(other).ok());
    const BatchPart late[] = {{&other, 20, 30}, {&item, 150, 50}, {&other, 0, 20}, {&item, 0, 1}};
    const BatchPart rest[] = {{&item, 1, 149}, {&other, 0, 0}};
    ASSERT_TRUE(scorer.Score(late).ok());
    ASSERT_TRUE(scorer.Score(rest).ok());
    ExpectAsScoreRows(item);
    ExpectAsScoreRows(other);
    EXPECT_TRUE(other.scores.members.empty());
  }
}

std::vector<std::string> Backends() {
  std::vector<std::string> names = BackendNames("");
  names.push_back("none");
  return names;
}
INSTANTIATE_TEST_SUITE_P(Names, BatchTest, testing::ValuesIn(Backends()), [](const auto& name) { return name.param; });

TEST(Batch, BackendsOfBulkAloneLeaveModelsInDouble) {
  Detector detector = FitOne(1), plain = FitOne(1), fast = FitOne(1);
  ASSERT_TRUE(detector.Use(Make("simd"), Detector::Bulk::kOnly).ok());
  ASSERT_TRUE(fast.Use(Make("simd")).ok());
  const auto values = SomeRows(40, 3);
  BatchItem bulk = ItemOf(detector, "a", values), expected = ItemOf(fast, "a", values);
  BatchItem* items[] = {&bulk, &expected};
  ASSERT_TRUE(ScoreBatch(items).ok());
  EXPECT_EQ(bulk.scores.combined[1], expected.scores.combined[1]);
  const std::vector<double> row(values.begin() + kCols, values.begin() + 2 * kCols);
  EXPECT_EQ(detector.ScoreRow(row, "a")->combined, plain.ScoreRow(row, "a")->combined);
  EXPECT_NE(detector.ScoreRow(row, "a")->combined, bulk.scores.combined[1]);
}

TEST(Batch, NoFamilyIsTheOnlyOneThereIs) {
  // As an import makes them: one family and no detector over all of them.
  TemporaryFolder folder;
  ASSERT_TRUE(FitOne(1).Save(folder.path()).ok());
  const std::string file = folder / "detector_state.json";
  auto state = nlohmann::json::parse(ReadAll(file));
  state["global"] = nullptr;
  state["small_families"] = nlohmann::json::array();
  state["families"].erase(1);
  WriteAll(file, state.dump());
  const auto detector = Detector::Load(folder.path());
  ASSERT_TRUE(detector.ok()) << detector.status();
  const auto values = SomeRows(4, 1);
  BatchItem named = ItemOf(*detector, "a", values), unnamed = ItemOf(*detector, "", values),
            unknown = ItemOf(*detector, "unknown", values);
  BatchItem* items[] = {&named, &unnamed};
  ASSERT_TRUE(ScoreBatch(items).ok());
  for (size_t r = 0; r < 4; ++r) {
    EXPECT_TRUE(Same(named.scores.combined[r], unnamed.scores.combined[r]));
    EXPECT_TRUE(Same(named.scores.p_value[r], unnamed.scores.p_value[r]));
  }
  EXPECT_THAT(MembersOf(unnamed), testing::ElementsAre("forest", "svm", "mahalanobis", "knn"));
  EXPECT_EQ(Prepare(unknown).code(), absl::StatusCode::kNotFound);
}

TEST(Batch, ChecksNameRowAndColumn) {
  const Detector detector = FitOne(1);
  std::vector<float> values = SomeRows(5, 1);
  EXPECT_TRUE(CheckRows(detector, {values.data(), 5, kCols}).ok());
  EXPECT_TRUE(CheckRows(detector, {nullptr, 0, kCols}).ok());
  for (const float infinity : {HUGE_VALF, -HUGE_VALF}) {
    values[2 * kCols + 3] = infinity;
    const absl::Status status = CheckRows(detector, {values.data(), 5, kCols});
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("row 3: column f3 is infinite"));
  }
  values[2 * kCols + 3] = kNaN;
  EXPECT_TRUE(CheckRows(detector, {values.data(), 5, kCols}).ok());
  EXPECT_THAT(std::string(CheckRows(detector, {values.data(), 5, kCols - 1}).message()),
              HasSubstr("rows of 8 columns; schema test version 1 has 9"));
}

TEST(Batch, MembersAreNamedInTheirOrder) {
  const auto names = [](const Detector& detector, const std::string& family) {
    const auto values = SomeRows(1, 1);
    BatchItem item = ItemOf(detector, family, values);
    EXPECT_TRUE(Prepare(item).ok());
    return MembersOf(item);
  };
  EXPECT_THAT(names(FitOne(1), "a"), testing::ElementsAre("forest", "svm", "mahalanobis", "knn"));
  EXPECT_THAT(names(FitOne(1, {"mahalanobis", "forest"}), "unseen"), testing::ElementsAre("forest", "mahalanobis"));
}

TEST(Batch, PlainLoopsAndExplanationsCostMore) {
  Detector detector = FitOne(1);
  const auto values = SomeRows(1, 1);
  EXPECT_GT(RowCost(ItemOf(detector, "a", values)), 1u);
  ASSERT_TRUE(detector.Use(Make("simd")).ok());
  EXPECT_EQ(RowCost(ItemOf(detector, "a", values, Detail::kMembers)), 1u);
  EXPECT_GT(RowCost(ItemOf(detector, "a", values, Detail::kDrivers)), 1u);
}

}  // namespace
}  // namespace driftseal::detector
