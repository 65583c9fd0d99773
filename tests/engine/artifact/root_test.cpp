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

TEST_F(RootTest, MessagesNameItAsAskedFor) {
  const absl::StatusOr<Root> shown = Root::Open(dir_ / "root", ".");
  ASSERT_THAT(shown, IsOk());
  for (const char* name : {"missing", "../secret", "sub", ""}) {
    const std::string message(shown->OpenFile(name).status().message());
    EXPECT_EQ(message.find(dir_.path()), message.npos) << message;
  }
  EXPECT_THAT(shown->OpenFile("missing"), Fails(StatusCode::kNotFound, "./missing: "));
  EXPECT_EQ(shown->path(), dir_ / "root");
}

constexpr auto kReplace = AtomicFile::Existing::kReplace;
constexpr auto kKeep = AtomicFile::Existing::kKeep;

TEST_F(RootTest, WritesBeneath) {
  EXPECT_THAT(root_->WriteFile("new", "1", kKeep), IsOk());
  EXPECT_EQ(Content("new"), "1");
  EXPECT_THAT(root_->WriteFile("sub/deep/../new", "2", kReplace), IsOk());
  EXPECT_EQ(Content("sub/new"), "2");
  EXPECT_THAT(root_->WriteFile(dir_ / "root/a", "3", kReplace), IsOk());
  EXPECT_EQ(Content("a"), "3");
  EXPECT_THAT(root_->WriteFile("a", "4", kKeep), Fails(StatusCode::kAlreadyExists, "a: is there already"));
  EXPECT_EQ(Content("a"), "3");
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_ / "root"), fs::directory_iterator()), 3) << "nothing else";
}

TEST_F(RootTest, AFileThatCameMeanwhileIsKept) {
  absl::StatusOr<AtomicFile> file = root_->CreateFile("late", kKeep);
  ASSERT_THAT(file, IsOk());
  dir_.Write("root/late", "theirs");
  EXPECT_THAT(file->Commit(), Fails(StatusCode::kAlreadyExists, "late"));
  EXPECT_EQ(Content("late"), "theirs");
}

TEST_F(RootTest, WritesFollowLinksThatStayInsideAndNoOthers) {
  fs::create_symlink("sub/b", dir_ / "root/to_b");
  fs::create_symlink("../to_b", dir_ / "root/sub/to_to_b");
  fs::create_symlink("sub/fresh", dir_ / "root/to_fresh");
  EXPECT_THAT(root_->WriteFile("sub/to_to_b", "new", kReplace), IsOk());
  EXPECT_EQ(Content("sub/b"), "new");
  EXPECT_TRUE(fs::is_symlink(dir_ / "root/to_b"));
  EXPECT_THAT(root_->WriteFile("to_fresh", "x", kKeep), IsOk());
  EXPECT_EQ(Content("sub/fresh"), "x");

  fs::create_symlink("../secret", dir_ / "root/out");
  fs::create_symlink("../not_there", dir_ / "root/out_new");
  fs::create_symlink(dir_ / "secret", dir_ / "root/absolute");
  fs::create_symlink("..", dir_ / "root/up");
  fs::create_symlink("/", dir_ / "root/slash");
  fs::create_symlink("out", dir_ / "root/to_out");
  const std::string ways[] = {"../secret", "../x",      "sub/../../x", "out",    "out_new", "absolute",
                              "to_out",    "up/secret", "slash/x",     "/tmp/x", "up/x",    dir_ / "secret"};
  for (const std::string& way : ways) {
    EXPECT_THAT(root_->WriteFile(way, "x", kReplace), Fails(StatusCode::kPermissionDenied, "leads out of the root"))
        << way;
  }
  EXPECT_EQ(ReadFile(dir_ / "secret"), "secret");
  EXPECT_FALSE(fs::exists(dir_ / "not_there"));
  EXPECT_FALSE(fs::exists(dir_ / "x"));
}

TEST_F(RootTest, WhatCannotBeWrittenIsNamed) {
  fs::create_symlink("loop2", dir_ / "root/loop1");
  fs::create_symlink("loop1", dir_ / "root/loop2");
  EXPECT_THAT(root_->WriteFile("loop1", "x", kReplace), Fails(StatusCode::kFailedPrecondition, "loop"));
  EXPECT_THAT(root_->WriteFile("gone/x", "x", kReplace), Fails(StatusCode::kNotFound, "gone/x"));
  EXPECT_THAT(root_->WriteFile("a/x", "x", kReplace), Fails(StatusCode::kNotFound, "is a file"));
  EXPECT_THAT(root_->WriteFile("sub", "x", kReplace), Fails(StatusCode::kFailedPrecondition, "regular file"));
  for (const char* name : {"", ".", "..", "sub/", "sub/..", "/"}) {
    EXPECT_FALSE(root_->WriteFile(name, "x", kReplace).ok()) << name;
  }
  EXPECT_THAT(root_->WriteFile(std::string_view("a\0b", 3), "x", kReplace), Fails(StatusCode::kInvalidArgument, "NUL"));
  EXPECT_THAT(root_->WriteFile(std::string(300, 'n'), "x", kReplace), Fails(StatusCode::kInvalidArgument, "name"));
  EXPECT_THAT(root_->WriteFile(std::string(250, 'n'), "x", kReplace), IsOk()) << "the name beside it is no longer";
}

TEST_F(RootTest, TellsNamesThatLeadOutByTheirText) {
  const auto name = [&](std::string_view given) { return root_->RelativeName(given).value_or("refused"); };
  EXPECT_EQ(name("sub/b"), "sub/b");
  EXPECT_EQ(name("sub/../a"), "sub/../a");
  EXPECT_EQ(name("not/there"), "not/there");
  EXPECT_EQ(name(dir_ / "root/sub/b"), "sub/b");
  for (const std::string& way : {std::string("../root/a"), std::string("sub/../../secret"), std::string("/etc/passwd"),
                                 dir_ / "secret", std::string("..")}) {
    EXPECT_THAT(root_->RelativeName(way), Fails(StatusCode::kPermissionDenied, "leads out of the root")) << way;
  }
  EXPECT_THAT(root_->RelativeName(""), Fails(StatusCode::kInvalidArgument, "empty"));
}

TEST_F(RootTest, ResolvesFolders) {
  fs::create_symlink("sub/deep", dir_ / "root/inside");
  fs::create_symlink("..", dir_ / "root/up");
  const auto folder = [&](std::string_view name) { return root_->ResolveFolder(name).value_or("refused"); };
  EXPECT_EQ(folder(""), "");
  EXPECT_EQ(folder("."), "");
  EXPECT_EQ(folder("sub/.."), "");
  EXPECT_EQ(folder(dir_ / "root"), "");
  EXPECT_EQ(folder("sub//./deep/"), "sub/deep");
  EXPECT_EQ(folder("inside"), "sub/deep");
  EXPECT_EQ(folder(dir_ / "root/sub"), "sub");
  for (const char* way : {"..", "up", "up/root", "/", "sub/../.."}) {
    EXPECT_THAT(root_->ResolveFolder(way), Fails(StatusCode::kPermissionDenied, "leads out of the root")) << way;
  }
  EXPECT_THAT(root_->ResolveFolder("a"), Fails(StatusCode::kNotFound, "a"));
  EXPECT_THAT(root_->ResolveFolder("gone"), Fails(StatusCode::kNotFound, "gone"));
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
