#include "engine/artifact/source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "engine/artifact/digest.h"
#include "fixtures.h"

namespace driftseal::artifact {
namespace {

using absl::StatusCode;

std::string Read(const Source& source, uint64_t offset, uint64_t length) {
  std::vector<std::byte> scratch;
  const auto bytes = source.Read(offset, length, scratch);
  EXPECT_THAT(bytes, IsOk());
  return bytes.ok() ? std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size()) : "";
}

TEST(Source, ReadsAFile) {
  const TempDir dir;
  const std::string path = dir.Write("a", "hello");
  const absl::StatusOr<Source> source = Source::Open(path);
  ASSERT_THAT(source, IsOk());
  EXPECT_EQ(source->name(), path);
  EXPECT_EQ(source->size(), 5u);
  EXPECT_EQ(Read(*source, 1, 3), "ell");
  EXPECT_EQ(Read(*source, 5, 0), "");
  EXPECT_THAT(source->CheckUnchanged(), IsOk());
  std::vector<std::byte> scratch;
  EXPECT_THAT(source->Read(3, 3, scratch), Fails(StatusCode::kOutOfRange, path));
  EXPECT_THAT(source->Read(~uint64_t{0}, 2, scratch), Fails(StatusCode::kOutOfRange, path));
  EXPECT_THAT(source->Read(2, ~uint64_t{0}, scratch), Fails(StatusCode::kOutOfRange, path));
  EXPECT_THAT(source->ReadAll(4, scratch), Fails(StatusCode::kResourceExhausted, "the limit is 4"));
  EXPECT_THAT(source->ReadAll(5, scratch), IsOk());
}

TEST(Source, SaysWhatIsNoRegularFile) {
  const TempDir dir;
  EXPECT_THAT(Source::Open(dir / "missing"), Fails(StatusCode::kNotFound, dir / "missing"));
  EXPECT_THAT(Source::Open(dir.path()), Fails(StatusCode::kFailedPrecondition, "found a directory"));
  ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(Source::Open(dir / "pipe"), Fails(StatusCode::kFailedPrecondition, "a named pipe"))
      << "and does not hang";
  EXPECT_THAT(Source::Open("/dev/null"), Fails(StatusCode::kFailedPrecondition, "a device"));
  EXPECT_THAT(Source::Open(dir.Write("file", "") + "/x"), Fails(StatusCode::kNotFound, "is a file"));
  EXPECT_THAT(Source::Open(std::string("a\0b", 3)), Fails(StatusCode::kInvalidArgument, "NUL"));
  EXPECT_THAT(Source::Open(std::string(10000, 'a')), Fails(StatusCode::kInvalidArgument, "too long"));
  std::filesystem::create_symlink("loop", dir / "loop");
  EXPECT_THAT(Source::Open(dir / "loop"), Fails(StatusCode::kFailedPrecondition, "loop of symbolic links"));
}

TEST(Source, SaysWhatMayNotBeRead) {
  const TempDir dir;
  const std::string path = dir.Write("secret", "x");
  ASSERT_EQ(chmod(path.c_str(), 0), 0);
  // Root may read everything, so it becomes nobody for the one call.
  const bool root = geteuid() == 0;
  ASSERT_EQ(root ? seteuid(65534) : 0, 0);
  const auto source = Source::Open(path);
  ASSERT_EQ(root ? seteuid(0) : 0, 0);
  EXPECT_THAT(source, Fails(StatusCode::kPermissionDenied, path));
}

TEST(Source, FollowsTheLinksOfACommandLine) {
  const TempDir dir;
  dir.Write("a", "x");
  std::filesystem::create_symlink("a", dir / "link");
  EXPECT_THAT(Source::Open(dir / "link"), IsOk());
}

TEST(Source, NoticesEveryKindOfChange) {
  const TempDir dir;
  const std::string path = dir.Write("a", "hello");
  const auto changed_by = [&](auto change) {
    dir.Write("a", "hello");
    const absl::StatusOr<Source> source = Source::Open(path);
    EXPECT_THAT(source, IsOk());
    EXPECT_THAT(source->CheckUnchanged(), IsOk());
    // The kernel stamps times with the granularity of its clock tick.
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    change();
    EXPECT_THAT(Sha256(*source), Fails(StatusCode::kAborted, path));
    return source->CheckUnchanged();
  };
  EXPECT_THAT(changed_by([&] { dir.Write("a", "jello"); }), Fails(StatusCode::kAborted, path)) << "same size";
  EXPECT_THAT(changed_by([&] { std::filesystem::resize_file(path, 2); }), Fails(StatusCode::kAborted, path));
  EXPECT_THAT(changed_by([&] { std::filesystem::resize_file(path, 9); }), Fails(StatusCode::kAborted, path));
  EXPECT_THAT(changed_by([&] { std::filesystem::rename(dir.Write("b", "hello"), path); }),
              Fails(StatusCode::kAborted, path))
      << "replaced: the open file has lost its name";
  const auto backdated = [&] {
    const auto before = std::filesystem::last_write_time(path);
    dir.Write("a", "jello");
    std::filesystem::last_write_time(path, before);
  };
  EXPECT_THAT(changed_by(backdated), Fails(StatusCode::kAborted, path)) << "the change time cannot be set back";
}

class LargeSource : public testing::Test {
 protected:
  LargeSource() : path_(dir_.Write("large", "start")) { std::filesystem::resize_file(path_, kSize); }
  static constexpr uint64_t kSize = Source::kResidentLimit + 4096;
  const TempDir dir_;
  const std::string path_;
};

TEST_F(LargeSource, IsReadPieceByPiece) {
  const absl::StatusOr<Source> source = Source::Open(path_);
  ASSERT_THAT(source, IsOk());
  EXPECT_EQ(source->size(), kSize);
  EXPECT_EQ(Read(*source, 0, 6), std::string("start\0", 6));
  EXPECT_EQ(Read(*source, kSize - 1, 1), std::string(1, '\0'));
  std::vector<std::byte> scratch;
  EXPECT_THAT(source->Read(kSize - 1, 2, scratch), Fails(StatusCode::kOutOfRange, path_));
}

TEST_F(LargeSource, ThatShrinksWhileItIsReadIsAborted) {
  const absl::StatusOr<Source> source = Source::Open(path_);
  ASSERT_THAT(source, IsOk());
  std::filesystem::resize_file(path_, 10);
  std::vector<std::byte> scratch;
  EXPECT_THAT(source->Read(100, 5, scratch), Fails(StatusCode::kAborted, "shrank"));
  EXPECT_THAT(Sha256(*source), Fails(StatusCode::kAborted, path_));
}

TEST_F(LargeSource, HasTheDigestOfItsBytes) {
  const absl::StatusOr<Source> source = Source::Open(path_);
  ASSERT_THAT(source, IsOk());
  const std::string bytes = ReadFile(path_);
  EXPECT_EQ(Sha256(*source)->Hex(), Sha256(std::as_bytes(std::span(bytes))).Hex());
}

}  // namespace
}  // namespace driftseal::artifact
