#include "engine/artifact/atomic_file.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "gmock/gmock.h"
#include "tests/support/temp_folder.h"

namespace driftseal::artifact {
namespace {

using driftseal::testing::NamesIn;
using driftseal::testing::TempFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

AtomicFile Create(const std::string& path) {
  absl::StatusOr<AtomicFile> file = AtomicFile::Create(path);
  EXPECT_TRUE(file.ok()) << file.status();
  return *std::move(file);
}

TEST(AtomicFile, CommitPutsTheWholeFileInPlace) {
  const TempFolder folder;
  AtomicFile file = Create((folder / "report.json").string());
  ASSERT_TRUE(file.Write("first ").ok());
  ASSERT_TRUE(file.Write("second").ok());
  EXPECT_FALSE(folder.Exists("report.json")) << "nothing is to be seen before Commit";
  ASSERT_TRUE(file.Commit().ok());
  EXPECT_THAT(NamesIn(folder.path()), ElementsAre("report.json"));
  EXPECT_EQ(folder.Read("report.json"), "first second");
}

TEST(AtomicFile, WithoutCommitNoTraceIsLeft) {
  const TempFolder folder;
  {
    AtomicFile file = Create((folder / "report.json").string());
    ASSERT_TRUE(file.Write("half").ok());
    EXPECT_EQ(NamesIn(folder.path()).size(), 1u);
  }
  EXPECT_THAT(NamesIn(folder.path()), IsEmpty());
}

TEST(AtomicFile, TheOldFileStaysUntilCommit) {
  const TempFolder folder;
  const std::string path = folder.Write("report.json", "old");
  {
    AtomicFile file = Create(path);
    ASSERT_TRUE(file.Write("half").ok());
    EXPECT_EQ(folder.Read("report.json"), "old");
  }
  EXPECT_EQ(folder.Read("report.json"), "old");
  AtomicFile file = Create(path);
  ASSERT_TRUE(file.Write("new").ok());
  ASSERT_TRUE(file.Commit().ok());
  EXPECT_EQ(folder.Read("report.json"), "new");
  EXPECT_THAT(NamesIn(folder.path()), ElementsAre("report.json"));
}

TEST(AtomicFile, AMovedFileCommitsOnce) {
  const TempFolder folder;
  AtomicFile first = Create((folder / "a").string());
  AtomicFile second = std::move(first);
  ASSERT_TRUE(second.Write("x").ok());
  ASSERT_TRUE(second.Commit().ok());
  EXPECT_THAT(NamesIn(folder.path()), ElementsAre("a"));
}

TEST(AtomicFile, PermissionsFollowTheUmask) {
  for (const mode_t mask : {mode_t{022}, mode_t{077}, mode_t{0}}) {
    const TempFolder folder;
    const std::string path = (folder / "report.json").string();
    const mode_t before = ::umask(mask);
    AtomicFile file = Create(path);
    const bool committed = file.Commit().ok();
    EXPECT_EQ(::umask(before), mask) << "the umask is left as it was";
    ASSERT_TRUE(committed);
    struct stat status;
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0666 & ~mask);
  }
}

TEST(AtomicFile, AFolderThatIsNotThereIsAnErrorWithItsName) {
  const TempFolder folder;
  const absl::Status status = AtomicFile::Create((folder / "gone/report.json").string()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("gone/report.json"));
}

// In a child, since root writes everywhere.
TEST(AtomicFile, AFolderThatCannotBeWrittenIsAnError) {
  const TempFolder folder;
  folder.Write("closed/report.json", "old");
  std::filesystem::permissions(folder / "closed", std::filesystem::perms(0555));
  const pid_t child = ::fork();
  if (child == 0) {
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(9);
    const absl::Status status = AtomicFile::Create((folder / "closed/report.json").string()).status();
    ::_exit(status.code() == absl::StatusCode::kPermissionDenied ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(folder.Read("closed/report.json"), "old");
}

TEST(AtomicFile, WhatIsNoFileIsNotReplaced) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "report.json");
  EXPECT_EQ(AtomicFile::Create((folder / "report.json").string()).status().code(),
            absl::StatusCode::kFailedPrecondition);
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  const absl::Status status = AtomicFile::Create((folder / "pipe").string()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("regular file"));
  EXPECT_THAT(NamesIn(folder.path()), ElementsAre("pipe", "report.json"));
}

// The path turned into a folder meanwhile: nothing is left beside it.
TEST(AtomicFile, AFailedCommitLeavesNoTrace) {
  const TempFolder folder;
  {
    AtomicFile file = Create((folder / "report.json").string());
    ASSERT_TRUE(file.Write("x").ok());
    folder.Write("report.json/inside", "y");
    EXPECT_FALSE(file.Commit().ok());
  }
  EXPECT_THAT(NamesIn(folder.path()), ElementsAre("report.json"));
}

}  // namespace
}  // namespace driftseal::artifact
