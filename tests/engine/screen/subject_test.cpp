#include "engine/screen/subject.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/screen/screen.h"
#include "gmock/gmock.h"
#include "tests/support/model_files.h"
#include "tests/support/temp_folder.h"
#include "tests/support/torch_zip.h"

namespace driftseal::screen {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TempFolder;

TEST(GlobMatches, StarsStayWithinAFolderAndDoubleStarsDoNot) {
  EXPECT_TRUE(GlobMatches("**/*.meta.json", "a.meta.json"));
  EXPECT_TRUE(GlobMatches("**/*.meta.json", "x/y/z/a.meta.json"));
  EXPECT_TRUE(GlobMatches("**/*.meta.json", ".meta.json"));
  EXPECT_FALSE(GlobMatches("**/*.meta.json", "a.meta.jsonl"));
  EXPECT_TRUE(GlobMatches("*.json", "a.json"));
  EXPECT_FALSE(GlobMatches("*.json", "x/a.json"));
  EXPECT_TRUE(GlobMatches("x/*.json", "x/a.json"));
  EXPECT_FALSE(GlobMatches("x/*.json", "x/y/a.json"));
  EXPECT_TRUE(GlobMatches("x/**/*.json", "x/a.json"));
  EXPECT_TRUE(GlobMatches("x/**/*.json", "x/y/z/a.json"));
  EXPECT_FALSE(GlobMatches("x/**/*.json", "y/x/a.json"));
  EXPECT_TRUE(GlobMatches("**/x/**", "a/b/x/c/d"));
  EXPECT_FALSE(GlobMatches("**/x/**", "a/b/xx/c"));
  EXPECT_TRUE(GlobMatches("**", "a/b"));
  EXPECT_TRUE(GlobMatches("a?c", "abc"));
  EXPECT_FALSE(GlobMatches("a?c", "a/c"));
  EXPECT_TRUE(GlobMatches("model-[0-9].json", "model-7.json"));
  EXPECT_FALSE(GlobMatches("model-[0-9].json", "model-x.json"));
  EXPECT_FALSE(GlobMatches("", "a"));
  EXPECT_FALSE(GlobMatches("a/b", "a"));
  EXPECT_FALSE(GlobMatches("a", "a/b"));
  EXPECT_TRUE(GlobMatches("*.json", "\xff\xfe.json")) << "names are bytes";
}

TEST(IsMetaPath, GoesByTheEnding) {
  EXPECT_TRUE(IsMetaPath("a/b.meta.json"));
  EXPECT_FALSE(IsMetaPath("a/b.json"));
  EXPECT_FALSE(IsMetaPath("a.meta.json/b"));
}

std::vector<Subject> Find(const TempFolder& folder, const FindOptions& options = {}) {
  absl::StatusOr<std::vector<Subject>> subjects = FindSubjects(folder.string(), options);
  EXPECT_TRUE(subjects.ok()) << subjects.status();
  return *std::move(subjects);
}

// "path" for a meta file, "path (bare)" for a model file, "path (closed)" for a folder.
std::vector<std::string> Names(const std::vector<Subject>& subjects) {
  std::vector<std::string> names;
  for (const Subject& subject : subjects) {
    names.push_back(subject.path + (!subject.problem.empty() ? " (closed)" : subject.bare ? " (bare)" : ""));
  }
  return names;
}

class FindSubjectsTest : public ::testing::Test {
 protected:
  void WriteModel(const std::string& name, uint64_t seed = 1) {
    folder_.Write(name, testing::Safetensors(testing::SmallMlp(), seed));
  }
  void WriteMeta(const std::string& name, const std::string& model, const std::string& predictions = "") {
    folder_.Write(name, testing::Meta("m", model, predictions).dump(2));
  }
  TempFolder folder_;
};

TEST_F(FindSubjectsTest, MetaFilesAndBareModelsSortedByPath) {
  WriteModel("b.safetensors");
  WriteModel("a/deep/er/c.safetensors");
  WriteModel("a/named.safetensors");
  WriteMeta("a/named.meta.json", "named.safetensors");
  folder_.Write("notes.txt", "not a model, however long this line is made to be");
  folder_.Write("a/data.csv", "id,x\n1,2\n");
  EXPECT_THAT(Names(Find(folder_)),
              ElementsAre("a/deep/er/c.safetensors (bare)", "a/named.meta.json", "b.safetensors (bare)"));
}

TEST_F(FindSubjectsTest, BareModelsOnlyWhereAskedFor) {
  WriteModel("b.safetensors");
  WriteMeta("c.meta.json", "c.safetensors");
  EXPECT_THAT(Names(Find(folder_, {.bare_files = false})), ElementsAre("c.meta.json"));
}

TEST_F(FindSubjectsTest, ANamedModelIsNotDoubledHoweverItIsNamed) {
  for (const char* name : {"x/beside.pt", "x/dotted.pt", "models/rooted.pt", "up.pt", "absolute.pt", "x/scores.bin"}) {
    folder_.Write(name, "0123456789abcdef");
  }
  WriteMeta("x/1.meta.json", "beside.pt", "scores.bin");
  WriteMeta("x/2.meta.json", "./y/../dotted.pt");
  WriteMeta("x/3.meta.json", "models/rooted.pt");
  WriteMeta("x/4.meta.json", "../up.pt");
  WriteMeta("x/5.meta.json", (folder_ / "absolute.pt").string());
  EXPECT_THAT(Names(Find(folder_)),
              ElementsAre("x/1.meta.json", "x/2.meta.json", "x/3.meta.json", "x/4.meta.json", "x/5.meta.json"));
}

TEST_F(FindSubjectsTest, AModelOfTheSameNameElsewhereIsNotHidden) {
  WriteModel("a/model.safetensors");
  WriteModel("b/model.safetensors");
  WriteModel("model.safetensors");
  WriteMeta("a/a.meta.json", "model.safetensors");
  EXPECT_THAT(Names(Find(folder_)),
              ElementsAre("a/a.meta.json", "b/model.safetensors (bare)", "model.safetensors (bare)"));
}

// A meta file vouches for its model and its predictions. Naming another model as a "related" file must not hide it.
TEST_F(FindSubjectsTest, ARelatedModelIsNotHidden) {
  WriteModel("good.safetensors");
  folder_.Write("evil.pt", testing::HostileTorchArchive("true"));
  nlohmann::ordered_json meta = testing::Meta("good", "good.safetensors");
  meta["artifacts"]["related_paths"] = {"evil.pt"};
  folder_.Write("good.meta.json", meta.dump());
  EXPECT_THAT(Names(Find(folder_)), ElementsAre("evil.pt (bare)", "good.meta.json"));
}

TEST_F(FindSubjectsTest, ABrokenMetaFileHidesNothingAndIsASubject) {
  WriteModel("a.safetensors");
  folder_.Write("a.meta.json", R"({"model_name": "a", "artifacts": {"model_path": "a.safetensors"})");
  EXPECT_THAT(Names(Find(folder_)), ElementsAre("a.meta.json", "a.safetensors (bare)"));
}

TEST_F(FindSubjectsTest, TheGlobChoosesAmongMetaFilesAndTheirModelsAreNoBareOnes) {
  WriteModel("finance/f.safetensors");
  WriteMeta("finance/f.meta.json", "f.safetensors");
  WriteModel("vision/v.safetensors");
  WriteMeta("vision/v.meta.json", "v.safetensors");
  WriteModel("vision/without.safetensors");
  EXPECT_THAT(Names(Find(folder_, {.meta_glob = "finance/*.meta.json"})),
              ElementsAre("finance/f.meta.json", "vision/without.safetensors (bare)"));
}

TEST_F(FindSubjectsTest, AGlobMayNameOtherEndings) {
  WriteModel("x/model.safetensors");
  folder_.Write("x/card.json", testing::Meta("x", "model.safetensors").dump());
  EXPECT_THAT(Names(Find(folder_, {.meta_glob = "**/card.json"})), ElementsAre("x/card.json"));
}

TEST_F(FindSubjectsTest, OnlyTheFoldersAskedFor) {
  WriteModel("a/1.safetensors");
  WriteModel("b/2.safetensors");
  WriteModel("b/c/3.safetensors");
  WriteModel("d/4.safetensors");
  WriteMeta("a/d.meta.json", "d/4.safetensors");  // Beneath the root, not beside.
  EXPECT_THAT(
      Names(Find(folder_, {.folders = {"a", "b", "b/c", "d"}})),
      ElementsAre("a/1.safetensors (bare)", "a/d.meta.json", "b/2.safetensors (bare)", "b/c/3.safetensors (bare)"));
  EXPECT_THAT(Names(Find(folder_, {.meta_glob = "*.meta.json", .folders = {"a"}})),
              ElementsAre("a/1.safetensors (bare)", "a/d.meta.json"))
      << "the glob is that of the folder";
}

TEST_F(FindSubjectsTest, FilesThatGoByAModelsNameAreListedWhateverTheyHold) {
  for (const char* name : {"a.pkl", "b.onnx", "c.JOBLIB", "d.h5", "e.gguf", "f.bin", "g.keras"})
    folder_.Write(name, "?");
  EXPECT_THAT(Names(Find(folder_)), ElementsAre("a.pkl (bare)", "b.onnx (bare)", "c.JOBLIB (bare)", "d.h5 (bare)",
                                                "e.gguf (bare)", "f.bin (bare)", "g.keras (bare)"));
}

TEST_F(FindSubjectsTest, ModelsAreKnownByTheirContentToo) {
  folder_.Write("blobs/sha256-0", testing::Safetensors(testing::SmallMlp(), 1));
  folder_.Write("blobs/sha256-1", testing::HostileTorchArchive("true"));
  folder_.Write("blobs/sha256-2", R"({"learner":{"attributes":{}},"version":[1,7,4]})");
  folder_.Write("blobs/sha256-3", "plain text of some length, and nothing else");
  EXPECT_THAT(Names(Find(folder_)),
              ElementsAre("blobs/sha256-0 (bare)", "blobs/sha256-1 (bare)", "blobs/sha256-2 (bare)"));
}

TEST_F(FindSubjectsTest, FoldersThatAreLinksAreNotEntered) {
  WriteModel("a/m.safetensors");
  fs::create_directory_symlink(folder_.path(), folder_ / "a/loop");
  fs::create_directory_symlink("a", folder_ / "again");
  fs::create_directory_symlink("round", folder_ / "round");
  EXPECT_THAT(Names(Find(folder_)), ElementsAre("a/m.safetensors (bare)"));
}

TEST_F(FindSubjectsTest, ALinkThatLeadsNowhereIsNotPassedOver) {
  fs::create_symlink("gone", folder_ / "dead.safetensors");
  fs::create_symlink("self.meta.json", folder_ / "self.meta.json");
  fs::create_symlink("gone", folder_ / "readme");
  const std::vector<Subject> subjects = Find(folder_);
  EXPECT_THAT(Names(subjects), ElementsAre("dead.safetensors (bare)", "self.meta.json"));
  const absl::StatusOr<artifact::Root> root = artifact::Root::Open(folder_.string());
  for (const Subject& subject : subjects) EXPECT_FALSE(FingerprintOf(subject, *root, {}).ok()) << subject.path;
}

TEST_F(FindSubjectsTest, PipesAndSocketsAreNoFiles) {
  ASSERT_EQ(::mkfifo((folder_ / "pipe.safetensors").c_str(), 0600), 0);
  EXPECT_THAT(Names(Find(folder_)), IsEmpty());
}

// In a child, since root reads everywhere.
TEST_F(FindSubjectsTest, AFolderThatCannotBeReadIsToldAndTheRestIsFound) {
  WriteModel("open/a.safetensors");
  WriteModel("closed/b.safetensors");
  fs::permissions(folder_ / "closed", fs::perms::none);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(9);
    const std::vector<Subject> found = Find(folder_);
    if (Names(found) != std::vector<std::string>{"closed (closed)", "open/a.safetensors (bare)"}) ::_exit(1);
    const absl::StatusOr<artifact::Root> root = artifact::Root::Open(folder_.string());
    const absl::Status status = FingerprintOf(found[0], *root, {}).status();
    if (status.code() != absl::StatusCode::kPermissionDenied) ::_exit(2);
    if (status.message().find("closed: a folder that cannot be read") == absl::string_view::npos) ::_exit(3);
    ::_exit(FindSubjects((folder_ / "closed").string(), {}).status().code() == absl::StatusCode::kPermissionDenied ? 0
                                                                                                                   : 4);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  fs::permissions(folder_ / "closed", fs::perms::owner_all);
}

TEST_F(FindSubjectsTest, FoldersWithoutEndAreNotSearchedForEver) {
  std::string deep;
  for (int i = 0; i < 260; ++i) deep += "d/";
  WriteModel(deep + "m.safetensors");
  WriteModel("m.safetensors");
  const std::vector<Subject> found = Find(folder_);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_THAT(found[0].problem, HasSubstr("levels deep"));
  EXPECT_EQ(found[1].path, "m.safetensors");
}

TEST_F(FindSubjectsTest, AFolderThatIsNotThereOrNoFolder) {
  EXPECT_EQ(FindSubjects((folder_ / "gone").string(), {}).status().code(), absl::StatusCode::kNotFound);
  folder_.Write("file", "x");
  const absl::Status status = FindSubjects((folder_ / "file").string(), {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("expected a folder"));
}

// A detector of one forest over made-up rows.
void SaveDetector(const std::string& folder) {
  std::vector<detector::Sample> samples;
  for (int i = 0; i < 24; ++i) samples.push_back({absl::StrCat("s", i), "f", {i * 1.0, (i * 7) % 5 * 1.0}});
  detector::FitOptions options;
  options.members = {"forest"};
  const absl::StatusOr<detector::Detector> fitted =
      detector::Detector::Fit({"t", 1, "d", {"a", "b"}}, samples, options);
  ASSERT_TRUE(fitted.ok()) << fitted.status();
  ASSERT_TRUE(fitted->Save(folder).ok());
}

TEST_F(FindSubjectsTest, ADetectorsTensorsAreNoModelAndItsNeighboursAre) {
  SaveDetector((folder_ / "driftseal_detector").string());
  WriteModel("driftseal_detector/m.safetensors");
  EXPECT_THAT(Names(Find(folder_)), ElementsAre("driftseal_detector/m.safetensors (bare)"));
}

// Anybody can put a file of that name into a folder.
TEST_F(FindSubjectsTest, APlantedStateFileHidesNothing) {
  WriteModel("x/detector.safetensors");
  WriteModel("x/m.safetensors");
  folder_.Write("x/detector_state.json", "{}");
  EXPECT_THAT(Names(Find(folder_)), ElementsAre("x/detector.safetensors (bare)", "x/m.safetensors (bare)"));
}

TEST_F(FindSubjectsTest, ADetectorsStateDoesNotVouchForOtherTensors) {
  SaveDetector((folder_ / "x").string());
  WriteModel("x/detector.safetensors");
  EXPECT_THAT(Names(Find(folder_)), ElementsAre("x/detector.safetensors (bare)"));
}

TEST_F(FindSubjectsTest, NamesOfAnyBytes) {
  WriteModel("a\nb.safetensors");
  WriteModel("c d.safetensors");
  WriteModel("e\xff.safetensors");
  WriteModel("[f].safetensors");
  EXPECT_THAT(Names(Find(folder_)), ElementsAre("[f].safetensors (bare)", "a\nb.safetensors (bare)",
                                                "c d.safetensors (bare)", "e\xff.safetensors (bare)"));
}

}  // namespace
}  // namespace driftseal::screen
