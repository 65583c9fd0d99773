#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "fixtures.h"

namespace driftseal::artifact {
namespace {

using absl::StatusCode;
namespace fs = std::filesystem;

size_t Entries(const TempDir& dir) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()));
}

TEST(WriteFileAtomically, CreatesAndReplaces) {
  const TempDir dir;
  EXPECT_THAT(WriteFileAtomically(dir / "a", "one"), IsOk());
  EXPECT_EQ(ReadFile(dir / "a"), "one");
  ASSERT_EQ(chmod((dir / "a").c_str(), 0640), 0);
  EXPECT_THAT(WriteFileAtomically(dir / "a", std::string("t\0wo", 4)), IsOk());
  EXPECT_EQ(ReadFile(dir / "a"), std::string("t\0wo", 4));
  struct stat st;
  ASSERT_EQ(stat((dir / "a").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0640u) << "the mode stays";
  EXPECT_EQ(Entries(dir), 1u) << "nothing is left beside it";
}

TEST(WriteFileAtomically, WritesThroughALink) {
  const TempDir dir;
  dir.Write("target", "old");
  fs::create_symlink("target", dir / "link");
  EXPECT_THAT(WriteFileAtomically(dir / "link", "new"), IsOk());
  EXPECT_EQ(ReadFile(dir / "target"), "new");
  EXPECT_TRUE(fs::is_symlink(dir / "link"));
}

TEST(WriteFileAtomically, AnErrorLeavesTheOldFile) {
  const TempDir dir;
  EXPECT_THAT(WriteFileAtomically(dir / "missing/a", "x"), Fails(StatusCode::kNotFound, dir / "missing/a"));
  EXPECT_THAT(WriteFileAtomically(dir.path(), "x"), Fails(StatusCode::kFailedPrecondition, "expected a regular file"));
  EXPECT_THAT(WriteFileAtomically("/dev/null", "x"), Fails(StatusCode::kFailedPrecondition, "/dev/null"));
  // A disk that fills up, as far as a test can have one: a limit on the size of files.
  const std::string path = dir.Write("a", "old");
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small = {.rlim_cur = 1000, .rlim_max = before.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status = WriteFileAtomically(path, std::string(5000, 'x'));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(status, Fails(StatusCode::kResourceExhausted, path));
  EXPECT_EQ(ReadFile(path), "old");
  EXPECT_EQ(Entries(dir), 1u);
}

}  // namespace
}  // namespace driftseal::artifact
