#include "engine/screen/fleet.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/support/model_files.h"
#include "tests/support/temp_folder.h"

namespace driftseal::screen {
namespace {

using nlohmann::ordered_json;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pointwise;
using testing::TempFolder;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// The worked example of Benjamini and Hochberg (1995), section 3.2. Adjusted values from SciPy 1.17.1:
//   scipy.stats.false_discovery_control([0.0001, 0.0004, 0.0019, ...])
TEST(AdjustedPValues, TheWorkedExampleOfThePaper) {
  const std::vector<double> p = {0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
                                 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000};
  const std::vector<double> expected = {0.0015,          0.003,           0.0095,         0.035625,       0.0603,
                                        0.0638571428571, 0.0638571428571, 0.0645,         0.0765,         0.486,
                                        0.581181818182,  0.714875,        0.753230769231, 0.813214285714, 1.0};
  const std::vector<double> q = AdjustedPValues(p);
  EXPECT_THAT(q, Pointwise(DoubleNear(1e-12), expected));
  // The paper rejects the first four at 0.05.
  EXPECT_EQ(std::count_if(q.begin(), q.end(), [](double value) { return value <= 0.05; }), 4);
}

// scipy.stats.false_discovery_control([0.02, 0.5, 0.02, 0.9, 0.001, 0.04]), with NaN between.
TEST(AdjustedPValues, UnsortedWithTiesAndMissingOnes) {
  const std::vector<double> q = AdjustedPValues(std::vector<double>{0.02, 0.5, kNaN, 0.02, 0.9, kNaN, 0.001, 0.04});
  ASSERT_EQ(q.size(), 8u);
  EXPECT_TRUE(std::isnan(q[2]) && std::isnan(q[5]));
  EXPECT_THAT((std::vector<double>{q[0], q[1], q[3], q[4], q[6], q[7]}),
              Pointwise(DoubleNear(1e-12), {0.04, 0.6, 0.04, 0.9, 0.006, 0.06}));
}

TEST(AdjustedPValues, NoneAndOnlyMissingOnes) {
  EXPECT_THAT(AdjustedPValues({}), IsEmpty());
  const std::vector<double> q = AdjustedPValues(std::vector<double>{kNaN, kNaN});
  EXPECT_TRUE(q.size() == 2 && std::isnan(q[0]) && std::isnan(q[1]));
  EXPECT_THAT(AdjustedPValues(std::vector<double>{0.3}), ElementsAre(0.3));
}

class FleetTest : public ::testing::Test {
 protected:
  // Models of very different sizes, so that threads finish out of order.
  static constexpr int kModels = 40;
  void SetUp() override {
    for (int i = 0; i < kModels; ++i) {
      testing::Architecture architecture = testing::SmallMlp();
      if (i % 10 == 0) architecture.tensors[0].second = {120, 160};
      folder_.Write(Name(i), testing::Safetensors(architecture, static_cast<uint64_t>(i)));
    }
    absl::StatusOr<artifact::Root> root = artifact::Root::Open(folder_.string());
    ASSERT_TRUE(root.ok());
    root_.emplace(*std::move(root));
    screener_.emplace(&*root_, nullptr, Mode::kVerify, Policy(), false);
  }
  static std::string Name(int i) { return absl::StrCat("m", i % kModels, ".safetensors"); }
  static std::vector<Subject> Subjects(int count) {
    std::vector<Subject> subjects;
    for (int i = 0; i < count; ++i) subjects.push_back({Name(i), true});
    return subjects;
  }
  store::Journal Journal(std::string_view header = "run") {
    absl::StatusOr<store::Journal> journal = store::Journal::Open((folder_ / "journal").string(), header);
    EXPECT_TRUE(journal.ok());
    return *std::move(journal);
  }
  TempFolder folder_;
  std::optional<artifact::Root> root_;
  std::optional<Screener> screener_;
};

// More of them than wait in the window at once.
TEST_F(FleetTest, ResultsComeInOrderFromManyThreads) {
  const std::vector<Subject> subjects = Subjects(2500);
  for (const size_t first : {size_t{0}, size_t{7}}) {
    FleetRun run(&*screener_, subjects, first, 32);
    for (size_t i = first; i < subjects.size(); ++i) {
      const std::optional<Entry> entry = run.Next();
      ASSERT_TRUE(entry.has_value()) << i;
      const ordered_json json = ordered_json::parse(entry->line);
      ASSERT_EQ(json["path"], subjects[i].path) << i;
      ASSERT_EQ(json["verdict"], entry->verdict) << i;
    }
    EXPECT_FALSE(run.Next().has_value());
    EXPECT_FALSE(run.Next().has_value());
  }
}

TEST_F(FleetTest, TheNumberOfThreadsChangesNothing) {
  const std::vector<Subject> subjects = Subjects(kModels);
  FleetRun one(&*screener_, subjects, 0, 1), none(&*screener_, subjects, 0, 0), many(&*screener_, subjects, 0, 9);
  for (int i = 0; i < kModels; ++i) {
    const std::string line = one.Next()->line;
    EXPECT_EQ(none.Next()->line, line);
    EXPECT_EQ(many.Next()->line, line);
  }
}

TEST_F(FleetTest, NothingToDoIsDoneAtOnce) {
  const std::vector<Subject> subjects = Subjects(5);
  FleetRun empty(&*screener_, {}, 0, 4);
  EXPECT_FALSE(empty.Next().has_value());
  FleetRun done(&*screener_, subjects, 5, 4);
  EXPECT_FALSE(done.Next().has_value());
}

// Also with a full window, where the threads wait for room. A hang ends in the test's time limit.
TEST_F(FleetTest, EndsEarlyWithoutHanging) {
  const std::vector<Subject> subjects = Subjects(3000);
  { const FleetRun unused(&*screener_, subjects, 0, 8); }
  FleetRun run(&*screener_, subjects, 0, 8);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(run.Next().has_value());
  const FleetRun full(&*screener_, subjects, 0, 8);
  while (run.Next()) {
  }
}

TEST_F(FleetTest, OneBadFileDoesNotStopTheRest) {
  std::vector<Subject> subjects = Subjects(4);
  subjects[1] = {"gone.safetensors", true};
  subjects.push_back({"m0.safetensors", false});  // No meta file at all.
  FleetRun run(&*screener_, subjects, 0, 3);
  std::vector<std::string> verdicts;
  while (const std::optional<Entry> entry = run.Next()) verdicts.push_back(entry->verdict);
  EXPECT_THAT(verdicts, ElementsAre("inconclusive", "error", "inconclusive", "inconclusive", "error"));
}

std::string Line(const std::string& path, const std::string& verdict) {
  return ordered_json({{"path", path}, {"verdict", verdict}}).dump();
}

TEST_F(FleetTest, ResumesBehindWhatIsDone) {
  store::Journal journal = Journal();
  ASSERT_TRUE(journal.Append(Line("m0.safetensors", "pass")).ok());
  ASSERT_TRUE(journal.Append(Line("m1.safetensors", "review")).ok());
  Tally tally;
  const absl::StatusOr<size_t> done = ResumeFrom(journal, Subjects(5), tally);
  ASSERT_TRUE(done.ok());
  EXPECT_EQ(*done, 2u);
  EXPECT_EQ(journal.entries(), 2u);
  EXPECT_EQ(tally.models, 2u);
  EXPECT_EQ(tally.pass, 1u);
  EXPECT_EQ(tally.review, 1u);
}

TEST_F(FleetTest, AChangedListIsScreenedAgainFromTheChangeOn) {
  struct Case {
    std::vector<Subject> subjects;
    size_t kept;
  };
  const std::vector<Case> cases = {
      {{{"m0.safetensors", true}, {"m00.safetensors", true}, {"m1.safetensors", true}}, 1},  // One more between.
      {{{"m1.safetensors", true}, {"m2.safetensors", true}}, 0},                             // The first is gone.
      {{{"m0.safetensors", true}}, 1},                                                       // The last ones are gone.
      {{}, 0},
  };
  for (const Case& changed : cases) {
    store::Journal journal = Journal();
    ASSERT_TRUE(journal.Truncate(0).ok());
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(journal.Append(Line(Name(i), "pass")).ok());
    Tally tally;
    const absl::StatusOr<size_t> done = ResumeFrom(journal, changed.subjects, tally);
    ASSERT_TRUE(done.ok());
    EXPECT_EQ(*done, changed.kept);
    EXPECT_EQ(journal.entries(), changed.kept) << "what is no longer of this run is cut off";
    EXPECT_EQ(tally.models, changed.kept);
  }
}

TEST_F(FleetTest, ABrokenEntryIsScreenedAgain) {
  for (const std::string broken : {R"({"path":"m1.safet)", R"([])", R"({"verdict":"pass"})",
                                   R"({"path":"m1.safetensors"})", R"({"path":"m1.safetensors","verdict":7})", ""}) {
    store::Journal journal = Journal();
    ASSERT_TRUE(journal.Truncate(0).ok());
    ASSERT_TRUE(journal.Append(Line("m0.safetensors", "pass")).ok());
    ASSERT_TRUE(journal.Append(broken).ok());
    ASSERT_TRUE(journal.Append(Line("m2.safetensors", "pass")).ok());
    Tally tally;
    const absl::StatusOr<size_t> done = ResumeFrom(journal, Subjects(3), tally);
    ASSERT_TRUE(done.ok()) << broken;
    EXPECT_EQ(*done, 1u) << broken;
    EXPECT_EQ(journal.entries(), 1u) << broken;
  }
}

// The journal spells the name as the report does.
TEST_F(FleetTest, ANameThatIsNotUtf8Resumes) {
  Result result;
  result.path = "bad\xff.safetensors";
  result.error = absl::NotFoundError("x");
  store::Journal journal = Journal();
  ASSERT_TRUE(journal.Append(Dump(ToJson(result))).ok());
  Tally tally;
  const std::vector<Subject> subjects = {{"bad\xff.safetensors", true}};
  EXPECT_EQ(*ResumeFrom(journal, subjects, tally), 1u);
  EXPECT_EQ(tally.errors, 1u);
}

TEST_F(FleetTest, TheReportHasHeaderSummaryAndModelsWithTheirQValues) {
  store::Journal journal = Journal();
  Tally tally;
  for (const double p : {0.04, 0.5, 0.01}) {
    const ordered_json entry = {{"path", "x"}, {"verdict", "pass"}, {"score", {{"p_value", p}}}};
    ASSERT_TRUE(journal.Append(entry.dump()).ok());
    Count(entry, tally);
  }
  for (const char* line : {R"({"path":"y","verdict":"inconclusive","score":{"p_value":null}})",
                           R"({"path":"z","verdict":"error","error":"gone"})"}) {
    ASSERT_TRUE(journal.Append(line).ok());
    Count(ordered_json::parse(line), tally);
  }
  const std::string path = (folder_ / "report.json").string();
  ASSERT_TRUE(WriteReport(path, {{"format", "x/1"}, {"nested", {{"a", {1, 2}}}}}, tally, journal).ok());
  const ordered_json report = ordered_json::parse(folder_.Read("report.json"));
  EXPECT_EQ(report["format"], "x/1");
  EXPECT_EQ(report["nested"].dump(), R"({"a":[1,2]})");
  EXPECT_EQ(report["summary"]["models"], 5);
  EXPECT_EQ(report["summary"]["pass"], 3);
  EXPECT_EQ(report["summary"]["error"], 1);
  ASSERT_EQ(report["models"].size(), 5u);
  EXPECT_NEAR(report["models"][0]["score"]["q_value"].get<double>(), 0.06, 1e-12);
  EXPECT_NEAR(report["models"][1]["score"]["q_value"].get<double>(), 0.5, 1e-12);
  EXPECT_NEAR(report["models"][2]["score"]["q_value"].get<double>(), 0.03, 1e-12);
  EXPECT_FALSE(report["models"][3]["score"].contains("q_value"));
  EXPECT_EQ(report["models"][4].dump(), R"({"path":"z","verdict":"error","error":"gone"})");
}

TEST_F(FleetTest, AReportOfNothingIsStillJson) {
  store::Journal journal = Journal();
  ASSERT_TRUE(WriteReport((folder_ / "report.json").string(), {{"format", "x/1"}}, {}, journal).ok());
  EXPECT_EQ(ordered_json::parse(folder_.Read("report.json"))["models"], ordered_json::array());
}

TEST_F(FleetTest, AReportThatCannotBeWrittenLeavesTheJournal) {
  store::Journal journal = Journal();
  ASSERT_TRUE(journal.Append(Line("m0.safetensors", "pass")).ok());
  const absl::Status status = WriteReport((folder_ / "gone/report.json").string(), {{"format", "x/1"}}, {}, journal);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(journal.entries(), 1u);
}

TEST(DumpTest, BytesThatAreNotUtf8BecomeTheReplacementCharacter) {
  EXPECT_EQ(Dump(ordered_json("a\xff")), "\"a\xEF\xBF\xBD\"");
  EXPECT_EQ(Dump({{"a", kNaN}}), R"({"a":null})");
}

}  // namespace
}  // namespace driftseal::screen
