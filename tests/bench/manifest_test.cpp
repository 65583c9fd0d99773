#include "bench/fleet/manifest.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

namespace driftseal::fleet {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

FleetRun MakeRun(size_t first, size_t count) {
  return {.domain = "d",
          .first_index = first,
          .count = count,
          .seed = 1,
          .recipe = "default",
          .format = "default",
          .data = "x",
          .poison_sha256 = "p",
          .extensible = true};
}

class ManifestTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "/" + testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
  }
  absl::Status Admit(const FleetRun& run) {
    auto manifest = Manifest::Open(folder_);
    if (!manifest.ok()) return manifest.status();
    const absl::Status status = manifest->Admit(run);
    return status.ok() ? manifest->Save() : status;
  }
  std::string folder_;
};

TEST_F(ManifestTest, TheSameRunAndALongerOneAndAnotherRangeAreFine) {
  EXPECT_TRUE(Admit(MakeRun(0, 10)).ok());
  EXPECT_TRUE(Admit(MakeRun(0, 10)).ok());
  EXPECT_TRUE(Admit(MakeRun(0, 20)).ok());
  FleetRun other = MakeRun(20, 5);
  other.seed = 9;
  EXPECT_TRUE(Admit(other).ok());
}

TEST_F(ManifestTest, OtherOptionsForTheSameModelsAreRefusedByName) {
  ASSERT_TRUE(Admit(MakeRun(0, 10)).ok());
  FleetRun seed = MakeRun(0, 10), recipe = MakeRun(0, 10), poison = MakeRun(0, 10), data = MakeRun(0, 10);
  seed.seed = 2;
  recipe.recipe = std::string("wide");
  poison.poison_sha256 = std::string("q");
  data.data = std::string("generated");
  const std::pair<FleetRun, const char*> cases[] = {{seed, "--seed was 1, asked for is 2"},
                                                    {recipe, "--recipe"},
                                                    {poison, "--poison"},
                                                    {data, "the data"},
                                                    {MakeRun(5, 10), "--first-index"}};
  for (const auto& [run, expected] : cases) {
    const absl::Status status = Admit(run);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << expected;
    EXPECT_THAT(std::string(status.message()), HasSubstr(expected));
  }
  EXPECT_TRUE(Admit(MakeRun(0, 10)).ok()) << "a refused run leaves the manifest as it was";
}

TEST_F(ManifestTest, TwoProcessesCannotFillOneFolder) {
  const auto first = Manifest::Open(folder_);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(Manifest::Open(folder_).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ManifestTest, AManifestThatIsNoneIsAnError) {
  for (const char* text : {"", "[]", "{", R"({"runs":[{}]})", R"({"runs":[{"domain":1}]})"}) {
    fs::create_directories(folder_);
    std::ofstream(folder_ + "/.fleet.json") << text;
    EXPECT_EQ(Manifest::Open(folder_).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST_F(ManifestTest, AFolderThatCannotBeMadeIsAnIoError) {
  fs::create_directories(folder_);
  std::ofstream(folder_ + "/file") << "x";
  const absl::Status status = Manifest::Open(folder_ + "/file/fleet").status();
  EXPECT_FALSE(status.ok());
  EXPECT_FALSE(absl::IsInvalidArgument(status));
}

}  // namespace
}  // namespace driftseal::fleet
