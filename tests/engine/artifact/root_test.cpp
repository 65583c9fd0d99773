#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/artifact/posix.h"
#include "fixtures.h"

namespace driftseal::artifact {
namespace {

using absl::StatusCode;
namespace fs = std::filesystem;

class RootTest : public testing::Test {
 protected:
  RootTest() {
    fs::create_directories(dir_ / "root/sub/deep");
    dir_.Write("secret", "secret");
    dir_.Write("root/a", "a");
    dir_.Write("root/sub/b", "b");
    auto root = Root::Open(dir_ / "root");
    EXPECT_THAT(root, IsOk());
    root_ = std::make_unique<Root>(*std::move(root));
  }
  std::string Content(std::string_view name) {
    const absl::StatusOr<Source> source = root_->OpenFile(name);
    EXPECT_THAT(source, IsOk()) << name;
    std::vector<std::byte> scratch;
    return source.ok()
               ? std::string(reinterpret_cast<const char*>(source->ReadAll(100, scratch)->data()), source->size())
               : "";
  }
  const TempDir dir_;
  std::unique_ptr<Root> root_;
};

TEST_F(RootTest, OpensWhatLiesBeneath) {
  EXPECT_EQ(Content("a"), "a");
  EXPECT_EQ(Content("sub/b"), "b");
  EXPECT_EQ(Content("./sub//deep/../b"), "b") << "\"..\" that stays beneath";
  EXPECT_EQ(Content(dir_ / "root/sub/b"), "b") << "absolute";
  EXPECT_EQ(Content(dir_ / "root/./sub/../a"), "a");
  EXPECT_EQ(root_->OpenFile("sub/b")->name(), dir_ / "root/sub/b");
}

TEST_F(RootTest, RefusesEveryWayOut) {
  fs::create_symlink("../secret", dir_ / "root/out");
  fs::create_symlink("..", dir_ / "root/up");
  fs::create_symlink("/", dir_ / "root/slash");
  fs::create_symlink(dir_ / "secret", dir_ / "root/absolute");
  const std::string ways[] = {"../secret",       "sub/../../secret", "out",
                              "up/secret",       "slash/etc/passwd", "absolute",
                              "/etc/passwd",     dir_ / "secret",    dir_ / "root/../secret",
                              dir_ / "rooted/a", "sub/../../root/a"};
  for (const std::string& way : ways) {
    EXPECT_THAT(root_->OpenFile(way), Fails(StatusCode::kPermissionDenied, "leads out of the root")) << way;
  }
}

TEST_F(RootTest, FollowsLinksThatStayInside) {
  fs::create_symlink("../a", dir_ / "root/sub/to_a");
  fs::create_symlink("sub", dir_ / "root/to_sub");
  EXPECT_EQ(Content("sub/to_a"), "a");
  EXPECT_EQ(Content("to_sub/b"), "b");
}

TEST_F(RootTest, NamesOtherErrors) {
  fs::create_symlink("loop2", dir_ / "root/loop1");
  fs::create_symlink("loop1", dir_ / "root/loop2");
  EXPECT_THAT(root_->OpenFile("loop1"), Fails(StatusCode::kFailedPrecondition, "loop of symbolic links"));
  EXPECT_THAT(root_->OpenFile("missing"), Fails(StatusCode::kNotFound, dir_ / "root/missing"));
  EXPECT_THAT(root_->OpenFile("sub"), Fails(StatusCode::kFailedPrecondition, "a directory"));
  EXPECT_THAT(root_->OpenFile("a/b"), Fails(StatusCode::kNotFound, "is a file"));
  EXPECT_THAT(root_->OpenFile(""), Fails(StatusCode::kInvalidArgument, "empty"));
  EXPECT_THAT(root_->OpenFile(std::string_view("a\0b", 3)), Fails(StatusCode::kInvalidArgument, "NUL"));
  ASSERT_EQ(mkfifo((dir_ / "root/pipe").c_str(), 0600), 0);
  EXPECT_THAT(root_->OpenFile("pipe"), Fails(StatusCode::kFailedPrecondition, "a named pipe"));
  EXPECT_THAT(Root::Open(dir_ / "missing"), Fails(StatusCode::kNotFound, dir_ / "missing"));
  EXPECT_THAT(Root::Open(dir_ / "secret"), Fails(StatusCode::kFailedPrecondition, "expected a directory"));
}

TEST_F(RootTest, KnowsItselfByItsNameWithoutLinks) {
  fs::create_directory_symlink(dir_ / "root", dir_ / "alias");
  const absl::StatusOr<Root> alias = Root::Open(dir_ / "alias");
  ASSERT_THAT(alias, IsOk());
  EXPECT_THAT(alias->OpenFile(dir_ / "alias/a"), IsOk());
  EXPECT_THAT(alias->OpenFile(fs::canonical(dir_ / "root").string() + "/a"), IsOk());
  EXPECT_THAT(alias->OpenFile("a"), IsOk());
}

TEST_F(RootTest, CanBeMoved) {
  Root moved = std::move(*root_);
  EXPECT_THAT(moved.OpenFile("a"), IsOk());
  EXPECT_EQ(moved.path(), dir_ / "root");
}

// What is used where the kernel has no openat2.
TEST_F(RootTest, WalkFollowsNothing) {
  fs::create_symlink("a", dir_ / "root/link");
  fs::create_symlink("sub", dir_ / "root/dirlink");
  const UniqueFd root(open((dir_ / "root").c_str(), O_PATH | O_DIRECTORY));
  const auto walk = [&](std::string_view name) {
    const UniqueFd fd(WalkBeneath(root.get(), name, O_RDONLY | O_CLOEXEC));
    return fd.get() >= 0 ? 0 : fd.get();
  };
  EXPECT_EQ(walk("a"), 0);
  EXPECT_EQ(walk("sub/./b"), 0);
  EXPECT_EQ(walk("link"), -ELOOP);
  EXPECT_EQ(walk("dirlink/b"), -ELOOP);
  EXPECT_EQ(walk("../secret"), -EXDEV);
  EXPECT_EQ(walk("sub/../a"), -EXDEV);
  EXPECT_EQ(walk("missing/b"), -ENOENT);
  EXPECT_EQ(walk("a/b"), -ENOTDIR);
}

}  // namespace
}  // namespace driftseal::artifact
