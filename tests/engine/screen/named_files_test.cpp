#include "engine/screen/named_files.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/support/model_files.h"
#include "tests/support/temp_folder.h"

namespace driftseal::screen {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::TempFolder;
using ::testing::UnorderedElementsAre;

// Enough meta files for several threads. Each names one model: in turn beside it, beneath the root, and one that is
// none of the candidates.
TEST(NamedFiles, AreTheSameFromOneThreadAndFromMany) {
  constexpr int kMetas = 1500;
  const TempFolder folder;
  std::vector<std::string> metas, candidates;
  for (int i = 0; i < kMetas; ++i) {
    const std::string model = absl::StrCat("m", i, ".pt");
    metas.push_back(absl::StrCat("a/", i, ".meta.json"));
    folder.Write(metas.back(), testing::Meta("m", i % 3 == 2 ? "none.pt" : model, "").dump());
    candidates.push_back(absl::StrCat(i % 3 == 0 ? "a/" : "", model));
    folder.Write(candidates.back(), "");
  }
  const auto named = NamedFiles(folder.string(), metas, candidates, 1);
  EXPECT_THAT(named, SizeIs(kMetas / 3 * 2));
  for (int i = 0; i < kMetas; ++i) EXPECT_EQ(named.contains(candidates[static_cast<size_t>(i)]), i % 3 != 2) << i;
  EXPECT_EQ(NamedFiles(folder.string(), metas, candidates, 7), named);
}

TEST(NamedFiles, TheOneBesideComesBeforeTheOneBeneathTheRoot) {
  const TempFolder folder;
  const std::vector<std::string> metas = {"a/1.meta.json"}, candidates = {"a/m.pt", "m.pt"};
  folder.Write(metas[0], testing::Meta("m", "m.pt", "").dump());
  folder.Write("m.pt", "");
  EXPECT_THAT(NamedFiles(folder.string(), metas, candidates, 1), UnorderedElementsAre("m.pt"));
  folder.Write("a/m.pt", "");
  EXPECT_THAT(NamedFiles(folder.string(), metas, candidates, 1), UnorderedElementsAre("a/m.pt"));
  // A file that is beside and no candidate is still the one that is meant.
  EXPECT_THAT(NamedFiles(folder.string(), metas, std::vector<std::string>{"m.pt"}, 1), IsEmpty());
}

TEST(NamedFiles, NothingFromMetaFilesThatAreNoneOrNotThere) {
  const TempFolder folder;
  folder.Write("broken.meta.json", "{");
  const std::vector<std::string> metas = {"broken.meta.json", "gone.meta.json"}, candidates = {"m.pt"};
  EXPECT_THAT(NamedFiles(folder.string(), metas, candidates, 0), IsEmpty());
  EXPECT_THAT(NamedFiles(folder.string(), {}, candidates, 4), IsEmpty());
}

}  // namespace
}  // namespace driftseal::screen
