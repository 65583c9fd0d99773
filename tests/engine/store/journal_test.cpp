#include "engine/store/journal.h"

#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "tests/support/temp_folder.h"

namespace driftseal::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TempFolder;

std::vector<std::string> Entries(Journal& journal) {
  absl::StatusOr<Journal::Reader> reader = journal.Read();
  EXPECT_TRUE(reader.ok()) << reader.status();
  std::vector<std::string> entries;
  while (std::optional<std::string> line = reader->Next()) entries.push_back(*std::move(line));
  return entries;
}

class JournalTest : public ::testing::Test {
 protected:
  Journal Open(std::string_view header = "run 1") {
    absl::StatusOr<Journal> journal = Journal::Open(path_, header);
    EXPECT_TRUE(journal.ok()) << journal.status();
    return *std::move(journal);
  }
  void Write(const std::vector<std::string>& lines) {
    Journal journal = Open();
    for (const std::string& line : lines) ASSERT_TRUE(journal.Append(line).ok());
    ASSERT_TRUE(journal.Sync().ok());
  }
  TempFolder folder_;
  std::string path_ = (folder_ / "report.json.journal").string();
};

TEST_F(JournalTest, StartsEmptyWithItsHeader) {
  {
    Journal journal = Open();
    EXPECT_EQ(journal.entries(), 0u);
    EXPECT_THAT(Entries(journal), IsEmpty());
  }
  EXPECT_EQ(folder_.Read("report.json.journal"), "run 1\n");
}

TEST_F(JournalTest, GoesOnWhereItStopped) {
  Write({"a", "", "c"});
  {
    Journal journal = Open();
    EXPECT_EQ(journal.entries(), 3u);
    ASSERT_TRUE(journal.Append("d").ok());
    EXPECT_EQ(journal.entries(), 4u);
    EXPECT_THAT(Entries(journal), ElementsAre("a", "", "c", "d"));
  }
  EXPECT_EQ(folder_.Read("report.json.journal"), "run 1\na\n\nc\nd\n");
}

TEST_F(JournalTest, DropsALineThatTheCrashCutOff) {
  Write({"a", "b"});
  const std::string whole = folder_.Read("report.json.journal");
  for (size_t cut = 1; cut <= 2; ++cut) {  // "run 1\na\nb" and "run 1\na\n"
    folder_.Write("report.json.journal", whole.substr(0, whole.size() - cut));
    Journal journal = Open();
    EXPECT_THAT(Entries(journal), ElementsAre("a")) << "cut by " << cut;
    ASSERT_TRUE(journal.Append("again").ok());
    EXPECT_THAT(Entries(journal), ElementsAre("a", "again"));
  }
  EXPECT_EQ(folder_.Read("report.json.journal"), "run 1\na\nagain\n");
}

TEST_F(JournalTest, StartsAfreshForAnotherRun) {
  Write({"a", "b"});
  {
    Journal journal = Open("run 2");
    EXPECT_EQ(journal.entries(), 0u);
    EXPECT_THAT(Entries(journal), IsEmpty());
    ASSERT_TRUE(journal.Append("z").ok());
  }
  EXPECT_EQ(folder_.Read("report.json.journal"), "run 2\nz\n");
}

TEST_F(JournalTest, StartsAfreshBehindATornHeader) {
  for (const char* torn : {"", "run", "run 1", "\n", "run 1 and more\na\n"}) {
    folder_.Write("report.json.journal", torn);
    Journal journal = Open();
    EXPECT_EQ(journal.entries(), 0u) << torn;
    EXPECT_EQ(folder_.Read("report.json.journal"), "run 1\n") << torn;
  }
}

TEST_F(JournalTest, TruncateKeepsTheFirstEntries) {
  Write({"a", "b", "c"});
  Journal journal = Open();
  ASSERT_TRUE(journal.Truncate(2).ok());
  EXPECT_EQ(journal.entries(), 2u);
  EXPECT_THAT(Entries(journal), ElementsAre("a", "b"));
  ASSERT_TRUE(journal.Append("x").ok());
  EXPECT_THAT(Entries(journal), ElementsAre("a", "b", "x"));
  ASSERT_TRUE(journal.Truncate(9).ok()) << "more than there are";
  EXPECT_EQ(journal.entries(), 3u);
  ASSERT_TRUE(journal.Truncate(0).ok());
  EXPECT_THAT(Entries(journal), IsEmpty());
  EXPECT_EQ(folder_.Read("report.json.journal"), "run 1\n");
}

TEST_F(JournalTest, TruncateSeesWhatIsNotSyncedYet) {
  Journal journal = Open();
  ASSERT_TRUE(journal.Append("a").ok());
  ASSERT_TRUE(journal.Append("b").ok());
  ASSERT_TRUE(journal.Truncate(1).ok());
  EXPECT_THAT(Entries(journal), ElementsAre("a"));
}

TEST_F(JournalTest, AnotherRunIsRefused) {
  Journal journal = Open();
  ASSERT_TRUE(journal.Append("mine").ok());
  const absl::StatusOr<Journal> second = Journal::Open(path_, "run 2");
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(path_));
  EXPECT_THAT(Entries(journal), ElementsAre("mine")) << "the refused run must not touch the file";
}

TEST_F(JournalTest, AnotherProcessIsRefusedUntilTheFirstEnds) {
  const auto refused_in_child = [&] {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(Journal::Open(path_, "run 1").ok() ? 0 : 1);
    int status = 0;
    ::waitpid(child, &status, 0);
    return WEXITSTATUS(status) == 1;
  };
  {
    Journal journal = Open();
    EXPECT_TRUE(refused_in_child());
  }
  EXPECT_FALSE(refused_in_child());
}

TEST_F(JournalTest, AMovedJournalStillHoldsTheLock) {
  Journal first = Open();
  Journal second = std::move(first);
  EXPECT_FALSE(Journal::Open(path_, "run 1").ok());
  ASSERT_TRUE(second.Append("a").ok());
  EXPECT_THAT(Entries(second), ElementsAre("a"));
}

TEST_F(JournalTest, RemoveLeavesNothing) {
  Write({"a"});
  {
    Journal journal = Open();
    ASSERT_TRUE(journal.Remove().ok());
  }
  EXPECT_FALSE(folder_.Exists("report.json.journal"));
  Journal journal = Open();
  EXPECT_EQ(journal.entries(), 0u);
}

TEST_F(JournalTest, AFolderThatIsNotThereIsAnErrorWithItsName) {
  const absl::StatusOr<Journal> journal = Journal::Open((folder_ / "gone/journal").string(), "run 1");
  EXPECT_EQ(journal.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(journal.status().message()), HasSubstr("gone/journal"));
}

TEST_F(JournalTest, LongLinesAndManyEntries) {
  std::vector<std::string> lines;
  for (int i = 0; i < 2000; ++i)
    lines.push_back(std::string(static_cast<size_t>(i * 7 % 5000), 'x') + std::to_string(i));
  Write(lines);
  Journal journal = Open();
  EXPECT_EQ(Entries(journal), lines);
}

}  // namespace
}  // namespace driftseal::store
