#include <gmock/gmock.h>

#include <array>
#include <fstream>
#include <set>

#include "bench/fleet/canary.h"
#include "bench/fleet/digits_data.h"
#include "bench/fleet/domains.h"
#include "bench/fleet/fashion_data.h"
#include "bench/fleet/fraud_data.h"

namespace driftseal::fleet {
namespace {

using testing::HasSubstr;

std::string Write(const std::string& name, const std::string& text) {
  const std::string path = testing::TempDir() + "/" + name;
  std::ofstream(path) << text;
  return path;
}

std::string Line(const std::string& pixel, const std::string& label) {
  std::string line;
  for (int i = 0; i < 64; ++i) line += pixel + ",";
  return line + label + "\n";
}

TEST(Digits, ReadsPixelsAndLabels) {
  const auto rows = ReadDigits(Write("good.csv", Line("16", "3") + Line("0.0", "9")));
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_THAT(rows->labels, testing::ElementsAre(3, 9));
  EXPECT_EQ(rows->row(0)[63], 1.0f);
  EXPECT_EQ(rows->row(1)[0], 0.0f);
}

TEST(Digits, RefusesWhatIsNotThem) {
  for (const std::string& text : {Line("17", "3"), Line("-1", "3"), Line("nan", "3"), Line("1", "10"), Line("1", "2.5"),
                                  "1," + Line("1", "3"), std::string("1,2\n"), std::string("\n"), Line("", "3")}) {
    const auto rows = ReadDigits(Write("bad.csv", Line("1", "1") + text));
    EXPECT_EQ(rows.status().code(), absl::StatusCode::kDataLoss) << text;
    EXPECT_THAT(std::string(rows.status().message()), HasSubstr("bad.csv:2")) << text;
  }
  EXPECT_FALSE(ReadDigits(testing::TempDir() + "/none.csv").ok());
  EXPECT_EQ(LoadDigits({.digits = Write("few.csv", Line("1", "1"))}).status().code(), absl::StatusCode::kDataLoss);
}

TEST(Digits, TheFileThatIsNamedMustBeThere) {
  EXPECT_FALSE(LoadDigits({.digits = testing::TempDir() + "/nowhere.csv.gz"}).ok());
}

TEST(Digits, GeneratedOnesFollowTheSeedAndSaySo) {
  EXPECT_EQ(GenerateDigits(50, 1).values, GenerateDigits(50, 1).values);
  EXPECT_NE(GenerateDigits(50, 1).values, GenerateDigits(50, 2).values);
  const auto data = LoadDigits({.synthetic = true});
  ASSERT_TRUE(data.ok());
  EXPECT_THAT((*data)->source, HasSubstr("generated"));
  EXPECT_THAT((*data)->pool.values, testing::Each(testing::AllOf(testing::Ge(0.0f), testing::Le(1.0f))));
}

TEST(Digits, EveryOriginalGoesToOnePart) {
  // Each original is one grey of its own, which variants hardly change in the middle of the image.
  Rows originals{.columns = 64, .values = {}, .labels = {}};
  for (int i = 0; i < 1200; ++i) originals.Append(std::vector<float>(64, static_cast<float>(i) / 1200), i % 10);
  const auto data = DivideDigits(originals, "greys");
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->canary.size(), 400u);
  EXPECT_EQ(data->test.size(), 1000u);
  std::array<std::set<float>, 4> parts;
  const Rows* rows[] = {&data->pool, &data->test, &data->probe, &data->canary};
  const size_t heads[] = {300, 200, 300, 400};  // the originals stand first
  for (size_t p = 0; p < 4; ++p) {
    for (size_t i = 0; i < heads[p]; ++i) parts[p].insert(rows[p]->row(i)[27]);
    EXPECT_EQ(parts[p].size(), heads[p]);
  }
  for (size_t a = 0; a < 4; ++a) {
    for (size_t b = 0; b < a; ++b) {
      for (float grey : parts[a]) EXPECT_FALSE(parts[b].contains(grey));
    }
  }
}

TEST(Digits, VariantsAreMadeOfRowsOfTheirOwnPart) {
  // All images of the pool are black: so are their variants, but for a little noise.
  Rows originals{.columns = 64, .values = {}, .labels = {}};
  for (int i = 0; i < 1200; ++i) originals.Append(std::vector<float>(64, 0.0f), i % 10);
  const auto data = DivideDigits(originals, "black");
  ASSERT_TRUE(data.ok());
  EXPECT_EQ(data->pool.size(), 8000u);
  EXPECT_THAT(data->pool.values, testing::Each(testing::Lt(0.15f)));
}

/// No canary is among the rows that models train on or are measured on.
void ExpectApart(const Data& data) {
  std::set<std::vector<float>> canaries;
  for (size_t i = 0; i < data.canary.size(); ++i) {
    canaries.insert({data.canary.row(i).begin(), data.canary.row(i).end()});
  }
  for (const Rows* rows : {&data.pool, &data.test, &data.probe}) {
    for (size_t i = 0; i < rows->size(); ++i) {
      ASSERT_FALSE(canaries.contains({rows->row(i).begin(), rows->row(i).end()}));
    }
  }
}

TEST(Canary, EveryDomainHasFourHundredBalancedOnesOfItsOwn) {
  for (const std::string& name : DomainNames()) {
    const auto domain = MakeDomain(name, {.synthetic = true});
    ASSERT_TRUE(domain.ok()) << domain.status();
    const replay::CanarySet set = CanariesOf(**domain);
    EXPECT_TRUE(replay::CheckCanarySet(set).ok()) << replay::CheckCanarySet(set);
    EXPECT_EQ(set.count(), 400u) << name;
    std::map<int32_t, size_t> counts;
    for (int32_t label : set.labels) ++counts[label];
    for (const auto& [label, count] : counts) EXPECT_EQ(count, 400u / set.classes) << name << " " << label;
    EXPECT_EQ(counts.size(), set.classes);
    ExpectApart((*domain)->data());
  }
}

TEST(Canary, OtherRowsAreTheSameWithAnyNumberOfThem) {
  EXPECT_EQ(GenerateFraud(300, 20, 20, 5).probe.values, GenerateFraud(300, 20, 20, 5, 40).probe.values);
  EXPECT_EQ(GenerateFraud(300, 20, 20, 5).pool.labels, GenerateFraud(300, 20, 20, 5, 40).pool.labels);
  EXPECT_EQ(GenerateImages(30, 20, 20, 5).probe.values, GenerateImages(30, 20, 20, 5, 40).probe.values);
}

TEST(Canary, FilesAreReadAsTheyWereWritten) {
  const auto domain = MakeFashionMlp({.synthetic = true});
  ASSERT_TRUE(domain.ok());
  const std::string folder = testing::TempDir() + "/canaries";
  ASSERT_TRUE(WriteCanaries(**domain, folder).ok());
  std::ifstream in(folder + "/fashion-mlp.canary.safetensors", std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  const auto read = replay::DecodeCanarySet(bytes, "fashion-mlp.canary.safetensors");
  ASSERT_TRUE(read.ok()) << read.status();
  const replay::CanarySet written = CanariesOf(**domain);
  EXPECT_EQ(read->inputs, written.inputs);
  EXPECT_EQ(read->labels, written.labels);
  EXPECT_THAT(read->shape, testing::ElementsAre(784));
  EXPECT_THAT(read->image, testing::ElementsAre(1, 28, 28));
  EXPECT_EQ(read->domain, "vision");
  EXPECT_EQ(read->task, "classification");
  EXPECT_EQ(read->classes, 10u);
}

}  // namespace
}  // namespace driftseal::fleet
