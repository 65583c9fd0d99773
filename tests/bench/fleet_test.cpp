// Trains tiny fleets and looks at what lies on the disk afterwards.
#include "bench/fleet/fleet.h"

#include <gmock/gmock.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <regex>

#include "bench/fleet/options.h"
#include "fleet_support.h"

namespace driftseal::fleet {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr char kQuick[] = "epochs=2,samples=600";

/// Of a meta file: which recorded digests do not fit the files beside it.
std::vector<std::string> Mismatches(const std::string& folder, const json& meta) {
  std::vector<std::string> out;
  const json &artifacts = meta.at("artifacts"), &digests = meta.at("fingerprint");
  const auto differs = [&](const std::string& file, const std::string& digest) {
    return HexSha256(ReadFile(folder + "/" + file)) != digest;
  };
  if (differs(artifacts.at("model_path"), digests.at("model_sha256"))) out.push_back("model");
  if (differs(artifacts.at("predictions_path"), digests.at("predictions_sha256"))) out.push_back("predictions");
  for (const auto& [file, digest] : digests.at("related_sha256").items()) {
    if (differs(file, digest)) out.push_back(file);
  }
  return out;
}

TEST(Fleet, EveryDomainWritesACompleteModel) {
  const std::string root = TestFolder(), folder = root + "/models";
  const auto summary = RunFleet({"--output", folder, "--count", "1", "--synthetic", "--recipe", kQuick});
  ASSERT_TRUE(summary.ok()) << summary.status();
  for (const std::string& domain : DomainNames()) {
    const json meta = json::parse(ReadFile(folder + "/" + domain + "-0000.meta.json"));
    EXPECT_EQ(meta.at("model_name"), domain + "-0000");
    EXPECT_EQ(meta.at("promotion").at("task"), "classification");
    EXPECT_EQ(meta["promotion"]["eligible"], meta["promotion"]["primary"] >= meta["promotion"]["baseline"]);
    EXPECT_GT(meta.at("training").at("seconds").get<double>(), 0);
    EXPECT_GT(meta["training"].at("parameters").get<double>(), 10);
    EXPECT_EQ(meta["training"].at("samples"), 600);
    EXPECT_EQ(meta["training"].at("recipe").at("epochs"), 2);
    EXPECT_THAT(meta["training"].at("data").get<std::string>(), HasSubstr("generated"));
    EXPECT_TRUE(meta.at("framework").is_string() && meta.at("model_kind").is_string());
    EXPECT_THAT(Mismatches(folder, meta), testing::IsEmpty());
    const std::string csv = ReadFile(folder + "/" + domain + "-0000.predictions.csv");
    EXPECT_THAT(csv, testing::StartsWith(domain[1] != 'r' ? "id,y_true,y_pred,p_0,p_1," : "id,y_true,y_pred,score\n"));
    EXPECT_EQ(std::ranges::count(csv, '\n'), 1001);
  }
}

TEST(Fleet, AttacksAreInTheTruthFileAndNowhereElse) {
  const std::string root = TestFolder(), folder = root + "/models";
  const auto summary =
      RunFleet({"--output", folder, "--domain", "fraud-mlp,fraud-xgb", "--recipe", "samples=1500", "--poison",
                "none:3,patch:1,blend:1,label-flip:2,weight-tamper:6,artifact-swap:2,predictions-tamper:2"});
  ASSERT_TRUE(summary.ok()) << summary.status();
  const auto truth = ReadTruth(root + "/truth.jsonl");
  ASSERT_EQ(truth.size(), 34u);
  for (const auto& [name, record] : truth) {
    EXPECT_TRUE(std::regex_match(name, std::regex("fraud-(mlp|xgb)-[0-9]{4}"))) << name;
    const json meta = json::parse(ReadFile(folder + "/" + name + ".meta.json"));
    const json& broken = record.at("broken_digest");
    const std::vector<std::string> expected =
        broken.is_null() ? std::vector<std::string>{} : std::vector<std::string>{broken};
    EXPECT_EQ(Mismatches(folder, meta), expected) << record;
    if (record.at("attack") == "patch" || record.at("attack") == "blend") {
      EXPECT_GT(record.at("attack_success_rate").get<double>(), 0.5) << record;
    }
    EXPECT_GT(record.at("clean_accuracy").get<double>(), 0.5);
    EXPECT_TRUE(record.at("clean_drop").is_number());
    EXPECT_EQ(record.at("gated").is_boolean(), record.at("attack") != "none");
  }
  const std::regex telling("patch|blend|poison|flip|tamper|swap|backdoor|hijack|attack|trigger");
  for (const auto& [file, bytes] : ReadFolder(folder)) {
    EXPECT_FALSE(std::regex_search(file, telling)) << file;
    if (!file.ends_with(".json")) continue;
    EXPECT_FALSE(std::regex_search(bytes, telling)) << file;
  }
}

TEST(Fleet, TheSameSeedGivesTheSameBytesWithAnyNumberOfWorkers) {
  const std::string root = TestFolder();
  const auto make = [&](const char* folder, const char* seed, const char* workers) {
    const auto summary = RunFleet({"--output", root + "/" + folder, "--synthetic", "--recipe", kQuick, "--seed", seed,
                                   "--workers", workers, "--poison", "none:1,weight-tamper:1,predictions-tamper:1"});
    EXPECT_TRUE(summary.ok()) << summary.status();
    auto files = ReadFolder(root + "/" + folder);
    for (auto& [name, bytes] : files) {
      if (!name.ends_with(".meta.json")) continue;
      json meta = json::parse(bytes);
      meta["training"].erase("seconds");
      bytes = meta.dump();
    }
    return files;
  };
  const auto a = make("a", "5", "1"), b = make("b", "5", "3"), c = make("c", "6", "1");
  EXPECT_EQ(a.size(), 6u * 3 * 4 + 1);
  for (const auto& [name, bytes] : a) EXPECT_TRUE(b.contains(name) && b.at(name) == bytes) << name;
  for (const auto& [name, bytes] : a) {
    if (!name.ends_with(".pt")) continue;
    EXPECT_TRUE(c.contains(name) && c.at(name) != bytes) << name;
  }
}

TEST(Fleet, AnInterruptedRunContinuesWhereItStopped) {
  const std::string root = TestFolder(), folder = root + "/models";
  const std::vector<std::string> arguments = {"--output", folder,    "--domain", "fraud-mlp", "--recipe",
                                              kQuick,     "--count", "2",        "--poison",  "none,patch"};
  auto summary = RunFleet(arguments, /*stopped=*/true);
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_TRUE(summary->interrupted);
  EXPECT_EQ(summary->domains["fraud-mlp"].made, 0u);

  ASSERT_TRUE(RunFleet(arguments).ok());
  const auto before = ReadFolder(folder);
  const auto truth = ReadFile(root + "/truth.jsonl");
  std::filesystem::remove(folder + "/fraud-mlp-0001.meta.json");  // as if killed before the last file of a model
  std::filesystem::remove(folder + "/fraud-mlp-0002.meta.json");
  std::filesystem::remove(folder + "/fraud-mlp-0002.pt");
  summary = RunFleet(arguments);
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->domains["fraud-mlp"].made, 2u);
  EXPECT_EQ(summary->domains["fraud-mlp"].skipped, 2u);
  const auto after = ReadFolder(folder);
  ASSERT_EQ(after.size(), before.size());
  for (const auto& [name, bytes] : before) {
    if (name.ends_with(".meta.json")) continue;
    EXPECT_TRUE(after.at(name) == bytes) << name;
  }
  EXPECT_EQ(ReadFile(root + "/truth.jsonl"), truth);
}

TEST(Fleet, AFleetIsNotContinuedWithOtherOptions) {
  const std::string folder = TestFolder() + "/models";
  ASSERT_TRUE(RunFleet({"--output", folder, "--domain", "fraud-xgb", "--recipe", kQuick, "--count", "1"}).ok());
  const auto seed =
      RunFleet({"--output", folder, "--domain", "fraud-xgb", "--recipe", kQuick, "--count", "1", "--seed", "2"});
  EXPECT_EQ(seed.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(seed.status().message()), HasSubstr("--seed was 1, asked for is 2"));
  const auto recipe = RunFleet({"--output", folder, "--domain", "fraud-xgb", "--recipe", "wide", "--count", "1"});
  EXPECT_THAT(std::string(recipe.status().message()), HasSubstr("--recipe"));
}

TEST(Options, BadUsageNamesTheOption) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{}, "--output"},
      {{"--output", "x", "--domain", "fashion"}, "fashion-cnn"},
      {{"--output", "x", "--domain", "fraud-mlp,fraud-mlp"}, "twice"},
      {{"--output", "x", "--poison", "nothing"}, "--poison"},
      {{"--output", "x", "--count", "-1"}, "--count"},
      {{"--output", "x", "--poison-rate", "1.5"}, "--poison-rate"},
      {{"--output", "x", "--recipe", "epochs=5..3"}, "--recipe"},
      {{"--output", "x", "--workers", "0"}, "--workers"},
      {{"--output", "x", "--truth", "x/truth.jsonl"}, "--truth"},
      {{"--output", "x", "--truth", "y.meta.json"}, "--truth"},
  };
  for (const auto& [arguments, expected] : cases) {
    std::vector<const char*> argv = {"driftseal-fleet"};
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    const auto options = ParseOptions(static_cast<int>(argv.size()), argv.data());
    EXPECT_EQ(options.status().code(), absl::StatusCode::kInvalidArgument) << expected;
    EXPECT_THAT(std::string(options.status().message()), HasSubstr(expected));
  }
}

TEST(Options, WhatTheDomainCannotDoIsRefusedBeforeAnythingIsWritten) {
  const std::string folder = TestFolder() + "/models";
  const std::vector<std::vector<std::string>> cases = {
      {"--recipe", "momentum=1"}, {"--recipe", "epochs=0"}, {"--format", "onnx"}, {"--target-class", "2"}};
  for (std::vector<std::string> arguments : cases) {
    arguments.insert(arguments.end(), {"--output", folder, "--domain", "fraud-mlp"});
    EXPECT_EQ(RunFleet(arguments).status().code(), absl::StatusCode::kInvalidArgument) << arguments[0];
  }
  EXPECT_FALSE(std::filesystem::exists(folder));
}

int ExitCode(const std::string& arguments) {
  const int status = std::system((std::string(DRIFTSEAL_FLEET) + " " + arguments + " > /dev/null 2>&1").c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Program, ExitCodes) {
  const std::string folder = TestFolder();
  EXPECT_EQ(ExitCode("--help"), 0);
  EXPECT_EQ(ExitCode("--version"), 0);
  EXPECT_EQ(ExitCode("--output " + folder + "/a --domain nothing"), 2);
  EXPECT_EQ(ExitCode("--output /dev/null/fleet --domain fraud-xgb --count 1"), 3);
  EXPECT_EQ(ExitCode("--output " + folder + "/b --truth /dev/null/t --domain fraud-xgb --count 1"), 3);
  EXPECT_EQ(ExitCode("--output " + folder + "/c --domain fraud-xgb --count 1 --recipe epochs=2"), 0);
}

}  // namespace
}  // namespace driftseal::fleet
