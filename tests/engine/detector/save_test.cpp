#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "engine/detector/detector.h"
#include "fleet.h"

namespace driftseal::detector {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::vector<Sample> SomeSamples(Fleet& fleet) {
  auto samples = fleet.Samples(50, "b/x");
  for (const Sample& sample : fleet.Samples(45, "a/\xC3\xA9 \"quoted\"")) samples.push_back(sample);
  for (const Sample& sample : fleet.Samples(2, "small")) samples.push_back(sample);
  samples[3].values[2] = std::nan("");
  for (Sample& sample : samples) sample.values[7] = 0.1;
  return samples;
}

Detector FitSome(uint64_t seed, unsigned threads = 0, bool reversed = false) {
  Fleet fleet(8);
  auto samples = SomeSamples(fleet);
  if (reversed) std::reverse(samples.begin(), samples.end());
  FitOptions options = WithoutAutoencoder();
  options.seed = seed;
  options.threads = threads;
  auto detector = Detector::Fit(fleet.Schema(), samples, options);
  if (!detector.ok()) std::abort();
  return *std::move(detector);
}

std::string Bytes(const Detector& detector) {
  TemporaryFolder folder;
  EXPECT_TRUE(detector.Save(folder.path()).ok());
  return ReadAll(folder / "detector_state.json") + ReadAll(folder / "detector.safetensors");
}

TEST(Save, SameSamplesAndSeedGiveTheSameBytes) {
  const std::string bytes = Bytes(FitSome(1));
  EXPECT_GT(bytes.size(), 10000u);
  EXPECT_TRUE(bytes == Bytes(FitSome(1)));
  EXPECT_TRUE(bytes == Bytes(FitSome(1, 1)));  // whatever the number of threads
  EXPECT_TRUE(bytes == Bytes(FitSome(1, 7)));
  EXPECT_TRUE(bytes == Bytes(FitSome(1, 0, true)));  // and the order of the models
  EXPECT_FALSE(bytes == Bytes(FitSome(2)));
}

TEST(Save, LoadedDetectorIsTheSavedOne) {
  const Detector saved = FitSome(1);
  TemporaryFolder folder;
  const std::string nested = folder / "made/when/needed";
  ASSERT_TRUE(saved.Save(nested).ok());
  const auto loaded = Detector::Load(nested);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_TRUE(Bytes(*loaded) == Bytes(saved));
  EXPECT_EQ(loaded->name(), "driftseal");
  EXPECT_EQ(loaded->version(), 1);
  EXPECT_TRUE(loaded->CheckSchema(saved.schema()).ok());
  ASSERT_EQ(loaded->families().size(), saved.families().size());

  Fleet fleet(8, 9);
  for (const char* family : {"b/x", "a/\xC3\xA9 \"quoted\"", "small", "unseen"}) {
    const auto row = fleet.Row();
    const auto a = saved.ScoreRow(row, family), b = loaded->ScoreRow(row, family);
    ASSERT_TRUE(a.ok() && b.ok());
    EXPECT_EQ(a->combined, b->combined);
    EXPECT_EQ(a->p_value, b->p_value);
    EXPECT_EQ(a->remark, b->remark);
    for (size_t m = 0; m < a->members.size(); ++m) EXPECT_EQ(a->members[m].raw, b->members[m].raw);
    EXPECT_EQ(saved.GuaranteeFor(family, 0.1, 0.1).threshold, loaded->GuaranteeFor(family, 0.1, 0.1).threshold);
  }
}

TEST(Save, ReplacesWhatWasThereAndLeavesNothingBeside) {
  TemporaryFolder folder;
  ASSERT_TRUE(FitSome(1).Save(folder.path()).ok());
  ASSERT_TRUE(FitSome(2).Save(folder.path()).ok());
  EXPECT_TRUE(Bytes(*Detector::Load(folder.path())) == Bytes(FitSome(2)));
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) ++files;
  EXPECT_EQ(files, 2u);
}

TEST(Save, MixedPairIsRefused) {
  TemporaryFolder one, two;
  ASSERT_TRUE(FitSome(1).Save(one.path()).ok());
  ASSERT_TRUE(FitSome(2).Save(two.path()).ok());
  WriteAll(one / "detector.safetensors", ReadAll(two / "detector.safetensors"));
  const auto loaded = Detector::Load(one.path());
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(loaded.status().message()),
              AllOf(HasSubstr("detector.safetensors"), HasSubstr("do not belong together")));
}

TEST(Save, FolderThatCannotBeMade) {
  TemporaryFolder folder;
  WriteAll(folder / "file", "x");
  EXPECT_FALSE(FitSome(1).Save(folder / "file/below").ok());
  EXPECT_EQ(Detector::Load(folder / "absent").status().code(), absl::StatusCode::kNotFound);
}

TEST(Save, NamesThatAreNotUtf8AreRefused) {
  Fleet fleet(3);
  const auto detector = Detector::Fit(fleet.Schema(), fleet.Samples(20, "a\xff"), WithoutAutoencoder());
  ASSERT_TRUE(detector.ok());
  TemporaryFolder folder;
  EXPECT_THAT(std::string(detector->Save(folder.path()).message()), HasSubstr("UTF-8"));
}

}  // namespace
}  // namespace driftseal::detector
