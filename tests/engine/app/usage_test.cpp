#include <string>
#include <vector>

#include "tests/engine/app/cli.h"
#include "tests/support/model_files.h"

namespace driftseal::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::vector<std::string> kCommands = {"fit",
                                            "score",
                                            "score_all",
                                            "verify",
                                            "verify_all",
                                            "backfill_hashes",
                                            "describe",
                                            "sanitize_predictions",
                                            "schema",
                                            "serve",
                                            "token",
                                            "materialize_canary",
                                            "selftest",
                                            "materialize_canary_all",
                                            "make_canary_set"};

TEST(Usage, HelpNamesEveryCommandAndTheExitCodes) {
  const ProcessResult help = Driftseal({"--help"});
  EXPECT_THAT(help, ExitsWith(0));
  EXPECT_THAT(help.err, IsEmpty());
  for (const std::string& command : kCommands) EXPECT_THAT(help.out, HasSubstr(command));
  EXPECT_THAT(help.out, AllOf(HasSubstr("0 pass"), HasSubstr("4 inconclusive"), HasSubstr("driftseal fit")));
  EXPECT_THAT(Driftseal({"--version"}).out, HasSubstr("driftseal "));
}

TEST(Usage, EveryCommandHasHelpUnderBothSpellings) {
  for (const std::string& command : kCommands) {
    std::string hyphens = command;
    for (char& c : hyphens) c = c == '_' ? '-' : c;
    for (const std::string& name : {command, hyphens}) {
      const ProcessResult help = Driftseal({name, "--help"});
      EXPECT_THAT(help, ExitsWith(0)) << name;
      EXPECT_THAT(help.out, HasSubstr("--help")) << name;
    }
  }
}

struct WrongUse {
  std::vector<std::string> arguments;
  std::string said;
};

TEST(Usage, MistakesEndWithTwoAndSayWhatIsWrong) {
  const std::vector<WrongUse> cases = {
      {{}, "subcommand"},
      {{"frobnicate"}, "frobnicate"},
      {{"verify"}, "path"},
      {{"score"}, "path"},
      {{"verify", "a", "b"}, "b"},
      {{"verify_all", "--no-such-flag"}, "--no-such-flag"},
      {{"verify_all", "--format", "xml"}, "xml"},
      {{"verify_all", "--alpha", "0"}, "--alpha"},
      {{"verify_all", "--alpha", "0.9"}, "--alpha"},
      {{"verify_all", "--alpha", "nan"}, "--alpha"},
      {{"verify_all", "--alpha", "many"}, "--alpha"},
      {{"verify_all", "--alpha", "0.01", "--quarantine-alpha", "0.05"}, "--quarantine-alpha"},
      {{"verify_all", "--threads", "-1"}, "--threads"},
      {{"verify_all", "--threads", "0"}, "--threads"},
      {{"verify_all", "--threads", "1000000"}, "--threads"},
      {{"verify_all", "--root"}, "--root"},
      {{"verify_all", "--backend", "abacus"}, "reference simd"},
      {{"score", "a.csv", "--crossover-rows", "many"}, "--crossover-rows"},
      {{"fit", "--seed", "x"}, "--seed"},
      {{"serve", "--no-such-setting", "1"}, "--no-such-setting"},
      {{"serve", "--batch-rows", "0"}, "--batch-rows: expected a whole number of rows"},
      {{"serve", "--port", "http"}, "--host, --port: expected host:port"},
      {{"token", "a", "--scope", "score"}, "--tokens-file"},
      {{"token", "a", "--scope", "root", "--tokens-file", "/nowhere/tokens"}, "root"},
      {{"materialize_canary"}, "path"},
      {{"materialize_canary", "a.meta.json", "--count", "0"}, "--count"},
      {{"materialize_canary_all", "--count", "5000"}, "--count"},
      {{"make_canary_set", "--output", "a"}, "--data"},
      {{"make_canary_set", "--data", "a"}, "--output"},
      {{"fit", "--calibration-share", "1"}, "--calibration-share"},
      {{"fit", "--detector-version", "0"}, "--detector-version"},
      {{"sanitize_predictions", "a.csv", "--contamination", "0.7"}, "--contamination"},
      {{"sanitize_predictions", "a.csv", "--contamination", "nan"}, "--contamination"},
  };
  for (const WrongUse& use : cases) {
    const ProcessResult result = Driftseal(use.arguments);
    EXPECT_THAT(result, ExitsWith(2)) << ::testing::PrintToString(use.arguments);
    EXPECT_THAT(result.err, HasSubstr(use.said));
    EXPECT_THAT(result.out, IsEmpty()) << ::testing::PrintToString(use.arguments);
  }
}

TEST(Usage, HyphensAndUnderscoresAreTheSameCommand) {
  const TempFolder folder;
  folder.Write("a.safetensors", Safetensors(SmallMlp(), 1));
  const std::string under = DriftsealIn(folder, {"verify_all", "--format", "json"}).out;
  EXPECT_FALSE(under.empty());
  EXPECT_EQ(DriftsealIn(folder, {"verify-all", "--format", "json"}).out, under);
}

TEST(Usage, WithoutADetectorTheErrorTellsHowToMakeOne) {
  const TempFolder folder;
  folder.Write("a.safetensors", Safetensors(SmallMlp(), 1));
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"score", "a.safetensors"}, std::vector<std::string>{"score_all", "."},
        std::vector<std::string>{"score", "rows.csv"}}) {
    const ProcessResult result = DriftsealIn(folder, arguments);
    EXPECT_THAT(result, ExitsWith(3));
    EXPECT_THAT(result.err, AllOf(HasSubstr("driftseal fit"), HasSubstr("driftseal_detector")));
  }
  const ProcessResult other = DriftsealIn(folder, {"score_all", ".", "--model-dir", "elsewhere"});
  EXPECT_THAT(other.err, HasSubstr("--model-dir elsewhere"));
}

// Integrity can be checked before anybody has fitted anything, and is no pass.
TEST(Usage, VerifyWithoutADetectorChecksIntegrityAlone) {
  const TempFolder folder;
  const std::string bytes = Safetensors(SmallMlp(), 1);
  folder.Write("a.safetensors", bytes);
  nlohmann::ordered_json meta = Meta("a", "a.safetensors");
  meta["fingerprint"]["model_sha256"] = Sha256Hex(bytes);
  folder.Write("a.meta.json", meta.dump());
  const ProcessResult good = DriftsealIn(folder, {"verify_all"});
  EXPECT_THAT(good, ExitsWith(4));
  EXPECT_THAT(good.out, HasSubstr("only the files' integrity was checked"));
  EXPECT_THAT(DriftsealIn(folder, {"verify", "a.meta.json"}), ExitsWith(4));
  folder.Write("a.safetensors", Safetensors(SmallMlp(), 2));
  EXPECT_THAT(DriftsealIn(folder, {"verify_all"}), ExitsWith(1));
  EXPECT_THAT(DriftsealIn(folder, {"verify", "a.meta.json"}).out, HasSubstr("digest-mismatch"));
}

TEST(Usage, AnEmptyFolderAndAMissingOneAreErrors) {
  const TempFolder folder;
  for (const std::string command : {"fit", "score_all", "verify_all", "backfill_hashes", "describe"}) {
    const ProcessResult empty = Driftseal({command, folder.string()});
    EXPECT_THAT(empty, ExitsWith(3)) << command;
    EXPECT_THAT(empty.err, AllOf(HasSubstr(folder.string()), HasSubstr("*.meta.json"), HasSubstr("safetensors")));
    const ProcessResult missing = Driftseal({command, (folder / "gone").string()});
    EXPECT_THAT(missing, ExitsWith(3)) << command;
    EXPECT_THAT(missing.err, HasSubstr("gone: no such file or folder")) << command;
  }
}

TEST(Usage, AFolderWhereAFileIsExpected) {
  const TempFolder folder;
  const ProcessResult result = Driftseal({"verify", folder.string()});
  EXPECT_THAT(result, ExitsWith(3));
  EXPECT_THAT(result.err, AllOf(HasSubstr("is a folder"), HasSubstr("verify_all")));
}

TEST(Usage, TheSchemaIsPrintedAsMarkdownAndJson) {
  const ProcessResult markdown = Driftseal({"schema"});
  EXPECT_THAT(markdown, ExitsWith(0));
  EXPECT_THAT(markdown.out, HasSubstr("|"));
  const nlohmann::json json = nlohmann::json::parse(Driftseal({"schema", "--format", "json"}).out);
  EXPECT_GT(json["features"].size(), 50u);
  for (const nlohmann::json& feature : json["features"]) {
    for (const char* field : {"name", "group", "unit", "definition"})
      EXPECT_FALSE(feature[field].get<std::string>().empty());
    EXPECT_THAT(markdown.out, HasSubstr(feature["name"].get<std::string>()));
  }
}

}  // namespace
}  // namespace driftseal::testing
