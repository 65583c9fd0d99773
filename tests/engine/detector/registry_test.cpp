#include "engine/detector/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <thread>

#include "fleet.h"

namespace driftseal::detector {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Detector Make(const std::string& name, int version) {
  Fleet fleet(4, static_cast<uint64_t>(version));
  FitOptions options;
  options.members = {"mahalanobis"};
  options.name = name;
  options.version = version;
  auto detector = Detector::Fit(fleet.Schema(), fleet.Samples(30, "a"), options);
  if (!detector.ok()) std::abort();
  return *std::move(detector);
}

std::vector<std::string> Ids(const std::vector<RegisteredDetector>& list) {
  std::vector<std::string> ids;
  for (const RegisteredDetector& one : list) {
    ids.push_back(one.name + "@" + std::to_string(one.version) + (one.active ? "*" : ""));
  }
  return ids;
}

std::vector<std::string> FilesIn(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    files.push_back(entry.path().lexically_relative(folder));
  }
  std::sort(files.begin(), files.end());
  return files;
}

class RegistryTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.state_dir = folder_ / "state";
    options_.model_dir = folder_ / "model";
    Reopen();
  }
  absl::Status TryOpen() {
    registry_.reset();
    auto opened = Registry::Open(options_);
    if (opened.ok()) registry_ = *std::move(opened);
    return opened.status();
  }
  void Reopen() {
    const absl::Status status = TryOpen();
    ASSERT_TRUE(status.ok()) << status;
  }
  void Add(const std::string& name, int version, bool activate = false) {
    const auto added = registry_->Add(Make(name, version), activate);
    ASSERT_TRUE(added.ok()) << added.status();
  }
  int VersionOf(const std::string& id) {
    const auto detector = registry_->Get(id);
    return detector.ok() ? (*detector)->version() : 0;
  }
  std::vector<std::string> List() { return Ids(registry_->List()); }

  TemporaryFolder folder_;
  RegistryOptions options_;
  std::unique_ptr<Registry> registry_;
};

TEST_F(RegistryTest, BeginsWithNothing) {
  EXPECT_THAT(List(), IsEmpty());
  EXPECT_EQ(registry_->Get("").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(registry_->Get("").status().message()), HasSubstr("has no detector"));
  EXPECT_EQ(registry_->NextVersion("a"), 1);
  EXPECT_EQ(registry_->RollBack("a").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(RegistryTest, NamesMeanTheActiveVersion) {
  Add("a", 1);
  EXPECT_EQ(VersionOf(""), 1);  // the only one there is
  Add("a", 3);
  Add("a", 2, true);
  Add("b", 7);
  EXPECT_THAT(List(), ElementsAre("a@1", "a@2*", "a@3", "b@7*"));
  EXPECT_EQ(VersionOf("a"), 2);
  EXPECT_EQ(VersionOf("a@3"), 3);
  EXPECT_EQ(registry_->NextVersion("a"), 4);
  const absl::Status none = registry_->Get("").status();
  EXPECT_THAT(std::string(none.message()), HasSubstr("which detector is meant? There are: a@1, a@2, a@3, b@7"));
  EXPECT_EQ(registry_->Get("c").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(registry_->Get("a@9").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(registry_->Get("a@03").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Ids(registry_->List("b")), ElementsAre("b@7*"));
}

TEST_F(RegistryTest, WhatWasStoredAndActivatedOutlivesARestart) {
  Add("a", 1);
  Add("a", 2, true);
  Add("a", 3);
  ASSERT_TRUE(registry_->Activate("a@3").ok());
  const auto before = registry_->List();
  Reopen();
  EXPECT_THAT(List(), ElementsAre("a@1", "a@2", "a@3*"));
  const auto after = registry_->List();
  for (size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(after[i].sha256, before[i].sha256);
    EXPECT_EQ(after[i].origin, "driftseal");
    EXPECT_EQ(after[i].schema_name, "test");
    EXPECT_TRUE(after[i].stored);
    EXPECT_EQ(after[i].sha256, *DigestOf(folder_ / "state/detectors/a/" + std::to_string(after[i].version)));
  }
  ASSERT_EQ(registry_->RollBack("a")->version, 2);
  Reopen();
  ASSERT_EQ(registry_->RollBack("a")->version, 1);
  const absl::Status none = registry_->RollBack("a").status();
  EXPECT_EQ(none.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(none.message()), HasSubstr("no version of a was active before a@1"));
  EXPECT_EQ(VersionOf("a"), 1);
}

TEST_F(RegistryTest, ActivatingWhatIsActiveIsNoStepToRollBack) {
  Add("a", 1);
  Add("a", 2, true);
  ASSERT_TRUE(registry_->Activate("a@2").ok());
  EXPECT_EQ(registry_->RollBack("a")->version, 1);
  EXPECT_EQ(registry_->Activate("a").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(registry_->Activate("a@5").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(RegistryTest, VersionsAreNeverReplacedAndNamesAreChecked) {
  Add("a", 1);
  const std::string digest = registry_->Find("a@1")->sha256;
  EXPECT_EQ(registry_->Add(Make("a", 1), true).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(*DigestOf(folder_ / "state/detectors/a/1"), digest);
  for (const char* name : {"..", ".", "a/b", "../a", "a b", "~incoming", "\xc3\xa9"}) {
    EXPECT_EQ(registry_->Add(Make(name, 1), true).status().code(), absl::StatusCode::kInvalidArgument) << name;
  }
  EXPECT_EQ(registry_->Add(Make(std::string(65, 'x'), 1), true).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(registry_->Add(Make("b", 0), true).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(List(), ElementsAre("a@1*"));
  EXPECT_THAT(FilesIn(folder_ / "state"),
              ElementsAre("detectors", "detectors.json", "detectors.lock", "detectors/a", "detectors/a/1",
                          "detectors/a/1/detector.safetensors", "detectors/a/1/detector_state.json"));
}

TEST_F(RegistryTest, AFittedFolderIsServedBesideTheStoredOnesAndIsTheDefault) {
  ASSERT_TRUE(Make("m", 1).Save(options_.model_dir).ok());
  Reopen();
  Add("a", 1);
  EXPECT_THAT(List(), ElementsAre("a@1*", "m@1*"));
  EXPECT_EQ((*registry_->Get(""))->name(), "m");
  EXPECT_FALSE(registry_->Find("m")->stored);
  Add("m", 2, true);
  EXPECT_EQ(VersionOf(""), 2);
  EXPECT_EQ(VersionOf("m@1"), 1);
  Reopen();
  EXPECT_EQ(VersionOf("m"), 2);
  EXPECT_EQ(registry_->RollBack("m")->version, 1);
  // Its folder is gone: the version that was active before.
  fs::remove_all(options_.model_dir);
  Reopen();
  EXPECT_THAT(List(), ElementsAre("a@1*", "m@2*"));
  options_.default_name = "a";
  Reopen();
  EXPECT_EQ((*registry_->Get(""))->name(), "a");
  options_.default_name = "absent";
  Reopen();
  EXPECT_THAT(std::string(registry_->Get("").status().message()),
              HasSubstr("the default detector absent is not there"));
}

TEST_F(RegistryTest, TheSameVersionInBothFoldersMustBeTheSame) {
  ASSERT_TRUE(registry_->Add(Make("m", 1), false).ok());
  ASSERT_TRUE(Make("m", 1).Save(options_.model_dir).ok());
  Reopen();
  EXPECT_TRUE(registry_->Find("m")->stored);
  EXPECT_EQ((*registry_->Get(""))->name(), "m");
  Fleet other(4, 77);
  FitOptions options;
  options.name = "m";
  options.members = {"mahalanobis"};
  ASSERT_TRUE(Detector::Fit(other.Schema(), other.Samples(30, "a"), options)->Save(options_.model_dir).ok());
  const absl::Status status = TryOpen();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("both hold m@1, and they differ"));
}

TEST_F(RegistryTest, WhatACrashLeavesHalfWrittenIsNotThere) {
  Add("a", 1);
  registry_.reset();
  const std::string all = folder_ / "state/detectors";
  // While it was saved; after the rename and before the index; a name of which nothing was indexed; a temporary index.
  fs::create_directories(all + "/~incoming");
  WriteAll(all + "/~incoming/detector.safetensors", "half");
  fs::create_directories(all + "/a/2");
  WriteAll(all + "/a/2/detector_state.json", "{\"half\":");
  fs::create_directories(all + "/b/1");
  WriteAll(folder_ / "state/detectors.json.0badc0de.tmp", "{");
  Reopen();
  EXPECT_THAT(List(), ElementsAre("a@1*"));
  EXPECT_FALSE(fs::exists(all + "/~incoming"));
  EXPECT_EQ(registry_->NextVersion("a"), 2);
  Add("a", 2, true);
  Add("b", 1);
  Reopen();
  EXPECT_THAT(List(), ElementsAre("a@1", "a@2*", "b@1*"));
  EXPECT_EQ(VersionOf("a"), 2);
}

TEST_F(RegistryTest, AnIndexThatIsNoneIsRefusedByName) {
  Add("a", 1);
  const std::string index = folder_ / "state/detectors.json", good = ReadAll(index);
  const auto expect = [&](const std::string& text, const std::string& said) {
    WriteAll(index, text);
    const absl::Status status = TryOpen();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()), testing::AllOf(HasSubstr("detectors.json"), HasSubstr(said)));
  };
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  expect("", "is not a JSON object");
  expect(good.substr(0, good.size() / 2), "is not a JSON object");
  expect("{}", "format");
  expect(with("\"a\"", "\"../../a\""), "$.detectors[0].name");
  expect(with("\"version\": 1", "\"version\": \"1\""), "$.detectors[0].versions[0].version");
  expect(with("\"history\": []", "\"history\": [-1]"), "$.detectors[0].history");
  WriteAll(index, good);
  Reopen();
}

TEST_F(RegistryTest, FilesThatWereChangedAreNotServed) {
  Add("a", 1);
  Add("a", 2);
  registry_.reset();
  ASSERT_TRUE(Make("a", 9).Save(folder_ / "state/detectors/a/2").ok());
  Reopen();
  const absl::Status status = registry_->Get("a@2").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("are not those that were stored as a@2"));
  EXPECT_FALSE(registry_->Activate("a@2").ok());
  EXPECT_EQ(VersionOf("a"), 1);
  fs::remove(folder_ / "state/detectors/a/1/detector_state.json");
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kNotFound);
}

TEST_F(RegistryTest, OneProcessAtATime) {
  const auto second = Registry::Open(options_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("another engine"));
}

TEST_F(RegistryTest, AStateFolderThatCannotBeWrittenIsNamed) {
  WriteAll(folder_ / "file", "x");
  options_.state_dir = folder_ / "file/below";
  EXPECT_THAT(std::string(TryOpen().message()), HasSubstr("file/below"));
}

TEST_F(RegistryTest, AFailedAddLeavesNothingBehind) {
  Add("a", 1);
  const std::string index = folder_ / "state/detectors.json";
  const std::string good = ReadAll(index);
  fs::remove(index);
  fs::create_directory(index);  // Writing the index fails now.
  EXPECT_FALSE(registry_->Add(Make("a", 2), true).ok());
  EXPECT_FALSE(registry_->Add(Make("b", 1), true).ok());
  EXPECT_THAT(List(), ElementsAre("a@1*"));
  EXPECT_EQ(VersionOf("a"), 1);
  EXPECT_FALSE(fs::exists(folder_ / "state/detectors/a/2"));
  EXPECT_FALSE(fs::exists(folder_ / "state/detectors/b"));
  fs::remove(index);
  WriteAll(index, good);
  Add("a", 2, true);
  EXPECT_EQ(VersionOf("a"), 2);
}

TEST_F(RegistryTest, OldVersionsAreFreedWithTheirLastUser) {
  Add("a", 1);
  std::shared_ptr<const Detector> held = *registry_->Get("a");
  const std::weak_ptr<const Detector> old = held;
  Add("a", 2, true);
  EXPECT_EQ(*registry_->Get("a@1"), held);  // one in memory serves all; now it counts as one of the last used
  for (int version = 3; version < 9; ++version) Add("a", version);
  for (int version = 3; version < 9; ++version) EXPECT_EQ(VersionOf("a@" + std::to_string(version)), version);
  EXPECT_FALSE(old.expired());
  held.reset();
  EXPECT_TRUE(old.expired());
  EXPECT_EQ(VersionOf("a@1"), 1);  // read again
}

TEST_F(RegistryTest, BackendsByOrigin) {
  BackendOptions simd;
  simd.name = "simd";
  options_.backend = *MakeBackend(simd);
  Reopen();
  Add("a", 1);
  const Detector plain = Make("a", 1);
  Fleet fleet(4, 3);
  const auto row = fleet.Row();
  EXPECT_EQ((*registry_->Get("a"))->ScoreRow(row, "a")->combined, plain.ScoreRow(row, "a")->combined);
  options_.backend_for_models = true;
  Reopen();
  EXPECT_NE((*registry_->Get("a"))->ScoreRow(row, "a")->combined, plain.ScoreRow(row, "a")->combined);
}

TEST_F(RegistryTest, ReadersSeeWholeVersionsWhileTheyChange) {
  Add("a", 1);
  Add("a", 2);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> reads{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 4; ++t) {
    readers.emplace_back([&, t] {
      while (!stop) {
        const auto detector = registry_->Get(t % 2 == 0 ? "a" : "a@1");
        ASSERT_TRUE(detector.ok()) << detector.status();
        ASSERT_TRUE((*detector)->version() == 1 || (t % 2 == 0 && (*detector)->version() == 2));
        ASSERT_EQ(registry_->List().size(), 2u);
        ++reads;
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(registry_->Activate(i % 2 == 0 ? "a@2" : "a@1").ok());
    const uint64_t seen = reads;
    while (reads < seen + 10) std::this_thread::yield();
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace driftseal::detector
