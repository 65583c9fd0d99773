#include "engine/store/verdict_store.h"

#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "tests/support/temp_folder.h"

namespace driftseal::store {
namespace {

using ::testing::HasSubstr;
using testing::TempFolder;

std::unique_ptr<VerdictStore> Open(const std::string& path) {
  absl::StatusOr<std::unique_ptr<VerdictStore>> store = VerdictStore::Open(path);
  EXPECT_TRUE(store.ok()) << store.status();
  return store.ok() ? *std::move(store) : nullptr;
}

absl::StatusOr<VerdictStore::Put> Put(VerdictStore& store, const std::string& run, const std::string& id,
                                      const std::string& verdict, const std::string& request = "r") {
  std::promise<absl::StatusOr<VerdictStore::Put>> done;
  store.Store(run, id, {request, verdict}, [&](absl::StatusOr<VerdictStore::Put> put) { done.set_value(put); });
  return done.get_future().get();
}

std::string Got(VerdictStore& store, const std::string& run, const std::string& id) {
  const absl::StatusOr<std::optional<StoredVerdict>> got = store.Get(run, id);
  EXPECT_TRUE(got.ok()) << got.status();
  return got.ok() && *got ? (*got)->verdict : "nothing";
}

TEST(VerdictStore, KeepsWhatWasPut) {
  const TempFolder folder;
  const std::string zeros("a\0b", 3), bytes("\xff\x00\x01", 3);
  {
    const auto store = Open(folder / "v.sqlite");
    ASSERT_TRUE(store);
    EXPECT_EQ(Got(*store, "run", "a"), "nothing");
    const auto put = Put(*store, "run", "a", bytes, "request");
    ASSERT_TRUE(put.ok()) << put.status();
    EXPECT_FALSE(put->before);
    EXPECT_EQ(put->stored.verdict, bytes);
    ASSERT_TRUE(Put(*store, "run", zeros, "").ok());
    ASSERT_TRUE(Put(*store, "other", "a", "of another run").ok());
    EXPECT_EQ(Got(*store, "run", "a"), bytes);
  }
  const auto again = Open(folder / "v.sqlite");
  ASSERT_TRUE(again);
  EXPECT_EQ(Got(*again, "run", "a"), bytes);
  EXPECT_EQ((**again->Get("run", "a")).request, "request");
  EXPECT_EQ(Got(*again, "run", zeros), "");
  EXPECT_EQ(Got(*again, "run", "a\0"), bytes) << "the literal ends at its NUL";
  EXPECT_EQ(Got(*again, "other", "a"), "of another run");
  EXPECT_EQ(Got(*again, "run", "b"), "nothing");
  EXPECT_EQ(Got(*again, "ru", "na"), "nothing");
}

TEST(VerdictStore, TheFirstPutStays) {
  const TempFolder folder;
  const auto store = Open(folder / "v.sqlite");
  ASSERT_TRUE(store);
  ASSERT_TRUE(Put(*store, "run", "a", "first", "asked").ok());
  const auto second = Put(*store, "run", "a", "second", "asked otherwise");
  ASSERT_TRUE(second.ok());
  EXPECT_TRUE(second->before);
  EXPECT_EQ(second->stored.verdict, "first");
  EXPECT_EQ(second->stored.request, "asked");
  EXPECT_EQ(Got(*store, "run", "a"), "first");
  EXPECT_EQ(store->counts().stored, 1u);
}

TEST(VerdictStore, ManyPutsShareATransaction) {
  const TempFolder folder;
  constexpr int kThreads = 4, kEach = 2000;
  std::atomic<int> done{0}, failed{0}, before{0};
  {
    const auto store = Open(folder / "v.sqlite");
    ASSERT_TRUE(store);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kEach; ++i) {
          // Two threads put the same ids: one of each pair is the first.
          const std::string id = std::to_string(t / 2 * kEach + i);
          store->Store("run", id, {"r", "verdict of " + id}, [&](absl::StatusOr<VerdictStore::Put> put) {
            ++done;
            failed += !put.ok();
            before += put.ok() && put->before;
          });
          EXPECT_TRUE(store->Get("run", id).ok()) << "reading goes on meanwhile";
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(done, kThreads * kEach) << "closing stores what was put";
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(before, kThreads * kEach / 2);
  const auto again = Open(folder / "v.sqlite");
  ASSERT_TRUE(again);
  for (int i = 0; i < kThreads / 2 * kEach; ++i) {
    const std::string id = std::to_string(i);
    ASSERT_EQ(Got(*again, "run", id), "verdict of " + id);
  }
}

TEST(VerdictStore, OneEngineAtATime) {
  const TempFolder folder;
  auto store = Open(folder / "v.sqlite");
  ASSERT_TRUE(store);
  const absl::Status second = VerdictStore::Open(folder / "v.sqlite").status();
  EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.message()), HasSubstr("another engine"));
  store.reset();
  EXPECT_TRUE(Open(folder / "v.sqlite"));
}

// The child tells each id through a pipe once it was stored, and is killed amid it.
TEST(VerdictStore, NothingThatWasStoredIsLostByAKill) {
  const TempFolder folder;
  const std::string path = folder / "v.sqlite";
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(pipe[0]);
    absl::StatusOr<std::unique_ptr<VerdictStore>> store = VerdictStore::Open(path);
    if (!store.ok()) ::_exit(1);
    std::atomic<uint32_t> waiting{0};
    for (uint32_t i = 0;; ++i) {
      while (waiting > 500) std::this_thread::yield();
      ++waiting;
      (*store)->Store("run", std::to_string(i), {"r", "verdict " + std::to_string(i)},
                      [&, i](absl::StatusOr<VerdictStore::Put> put) {
                        if (!put.ok() || ::write(pipe[1], &i, sizeof i) != sizeof i) ::_exit(2);
                        --waiting;
                      });
    }
  }
  ::close(pipe[1]);
  std::vector<uint32_t> told;
  uint32_t id = 0;
  while (told.size() < 3000 && ::read(pipe[0], &id, sizeof id) == sizeof id) told.push_back(id);
  ::kill(child, SIGKILL);
  while (::read(pipe[0], &id, sizeof id) == sizeof id) told.push_back(id);
  int status = 0;
  ::waitpid(child, &status, 0);
  ::close(pipe[0]);
  ASSERT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
  ASSERT_GE(told.size(), 3000u);
  const auto store = Open(path);
  ASSERT_TRUE(store);
  for (const uint32_t one : told) {
    ASSERT_EQ(Got(*store, "run", std::to_string(one)), "verdict " + std::to_string(one));
  }
}

TEST(VerdictStore, ADamagedOrForeignFileIsAClearError) {
  const TempFolder folder;
  const auto refused = [&](const std::string& name, const char* said) {
    const absl::Status status = VerdictStore::Open(folder / name).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_THAT(std::string(status.message()), ::testing::AllOf(HasSubstr(name), HasSubstr(said)));
  };
  folder.Write("text", std::string(5000, 'x'));
  refused("text", "not a database");

  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open((folder / "other").c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "CREATE TABLE mine (a)", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(other);
  refused("other", "no verdict store");
  EXPECT_FALSE(folder.Exists("other-wal")) << "what is not ours is left as it was";

  {
    const auto store = Open(folder / "v");
    ASSERT_TRUE(store);
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(Put(*store, "run", std::to_string(i), std::string(500, 'v')).ok());
  }
  std::string bytes = folder.Read("v");
  ASSERT_GT(bytes.size(), 40'000u);
  for (size_t i = 20'000; i < 36'000; ++i) bytes[i] = static_cast<char>(i * 31);
  folder.Write("v", bytes);
  refused("v", "damaged");
  folder.Write("cut", folder.Read("v").substr(0, 10'000));
  refused("cut", "move the file away");
}

TEST(VerdictStore, ANewerVersionAndAMissingFolderAreClearErrors) {
  const TempFolder folder;
  ASSERT_TRUE(Open(folder / "v"));
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open((folder / "v").c_str(), &database), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(database, "PRAGMA user_version = 2", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(database);
  const absl::Status newer = VerdictStore::Open(folder / "v").status();
  EXPECT_EQ(newer.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(newer.message()), HasSubstr("version 2"));
  EXPECT_EQ(VerdictStore::Open(folder / "gone/v").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace driftseal::store
