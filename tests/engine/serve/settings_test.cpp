#include "engine/serve/settings.h"

#include <map>
#include <string>
#include <vector>

#include "gmock/gmock.h"

namespace driftseal::serve {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

const Setting& Named(std::string_view name) {
  for (const Setting& setting : Settings()) {
    if (setting.name == name) return setting;
  }
  ADD_FAILURE() << name;
  return Settings()[0];
}

std::vector<std::string> ErrorsOf(const std::string& toml) {
  Configuration configuration;
  configuration.ReadToml("engine.toml", toml);
  configuration.Finish();
  return configuration.errors();
}

TEST(Settings, HaveNamesAndSentencesAndAreWhatTheOptionsAre) {
  std::map<std::string_view, int> names;
  for (const Setting& setting : Settings()) {
    EXPECT_EQ(++names[setting.name], 1) << setting.name;
    EXPECT_TRUE(setting.what.ends_with('.')) << setting.name;
    EXPECT_EQ(setting.what.find('|'), std::string_view::npos) << setting.name << ": would break the table";
  }
  // A field that is added to Options and not to the table changes its size, and shows here.
  size_t bytes = 0;
  for (const Setting& setting : Settings()) {
    bytes += std::holds_alternative<std::string Options::*>(setting.field) ? sizeof(std::string)
             : std::holds_alternative<bool Options::*>(setting.field)      ? sizeof(bool)
                                                                           : sizeof(uint64_t);
  }
  EXPECT_LE(sizeof(Options) - bytes, alignof(Options)) << "padding alone";
}

TEST(Settings, DefaultsAreWithinTheirOwnRanges) {
  Configuration configuration;
  configuration.ReadToml("defaults", SettingsToml(Options()));
  configuration.Finish();
  EXPECT_THAT(configuration.errors(), IsEmpty());
}

TEST(Settings, WhatIsPrintedIsReadBackForEverySetting) {
  Configuration changed;
  for (const Setting& setting : Settings()) {
    if (std::holds_alternative<bool Options::*>(setting.field)) {
      changed.Set(setting, ValueOf(setting, Options()) == "true" ? "false" : "true", "flag");
    } else if (std::holds_alternative<double Options::*>(setting.field)) {
      changed.Set(setting, setting.name == "alpha" ? "0.3" : "0.12345678901234567", "flag");
      if (setting.least > 0.2) changed.Set(setting, "17.25", "flag");
    } else if (std::holds_alternative<uint64_t Options::*>(setting.field)) {
      changed.Set(setting, setting.name == "queue_rows" ? "77777" : "1025", "flag");
    } else if (setting.check == nullptr) {
      changed.Set(setting, "a \"quoted\" C:\\path\twith\x01 ünïcode", "flag");
    }
  }
  changed.Set(Named("client_burst"), "1e9", "flag");
  changed.Set(Named("score_threads"), "1024", "flag");
  changed.Set(Named("verify_threads"), "3", "flag");
  changed.Set(Named("http_threads"), "3", "flag");
  changed.Set(Named("log_format"), "json", "flag");
  changed.Set(Named("log_level"), "error", "flag");
  changed.Set(Named("replay"), "off", "flag");
  changed.Set(Named("replay_workers"), "3", "flag");
  changed.Set(Named("replay_memory_bytes"), "1073741824", "flag");
  changed.Set(Named("replay_allow_missing"), "landlock,seccomp", "flag");
  changed.Set(Named("grpc_listen"), "[::1]:0", "flag");
  changed.Set(Named("http_listen"), "", "flag");
  Configuration read;
  read.ReadToml("printed", SettingsToml(changed.options()));
  ASSERT_THAT(read.errors(), IsEmpty());
  for (const Setting& setting : Settings()) {
    EXPECT_EQ(ValueOf(setting, read.options()), ValueOf(setting, changed.options()));
    EXPECT_NE(ValueOf(setting, read.options()), ValueOf(setting, Options())) << setting.name << " was not tried";
  }
}

TEST(Settings, ErrorsOfAFileNameLineColumnKeyAndWhatWasExpected) {
  EXPECT_THAT(ErrorsOf("\nbatch_rows = 0\n"),
              ElementsAre("engine.toml:2:1: batch_rows: expected a whole number of rows from 1 to 1048576, found 0"));
  EXPECT_THAT(ErrorsOf("  alpha = \"x\""),
              ElementsAre(AllOf(StartsWith("engine.toml:1:3: alpha: expected a number from"), HasSubstr("\"x\""))));
  EXPECT_THAT(ErrorsOf("artifact_root = 5"), ElementsAre(HasSubstr("artifact_root: expected a string, found 5")));
  EXPECT_THAT(ErrorsOf("allow_anonymous = 1"), ElementsAre(HasSubstr("expected true or false, found 1")));
  EXPECT_THAT(ErrorsOf("bach_rows = 1"), ElementsAre(HasSubstr("did you mean batch_rows?")));
  EXPECT_THAT(ErrorsOf("[tls]\ncert = 1"), ElementsAre(StartsWith("engine.toml:1:2: tls: there is no such setting")));
  EXPECT_THAT(ErrorsOf("batch_rows = 1\nbatch_rows = 2"), ElementsAre(StartsWith("engine.toml:2:")));
  EXPECT_THAT(ErrorsOf("batch_rows = \n"), ElementsAre(StartsWith("engine.toml:1:")));
  EXPECT_THAT(ErrorsOf("alpha = nan"), ElementsAre(HasSubstr("found nan")));
  EXPECT_THAT(ErrorsOf("batch_rows = 1.5"), ElementsAre(HasSubstr("a whole number")));
  EXPECT_THAT(ErrorsOf("batch_rows = -1"), ElementsAre(HasSubstr("found -1")));
  EXPECT_THAT(ErrorsOf("log_format = \"xml\""), ElementsAre(HasSubstr("expected one of text, json, found \"xml\"")));
  EXPECT_THAT(ErrorsOf("grpc_listen = \"nowhere\""), ElementsAre(HasSubstr("expected host:port")));
  EXPECT_THAT(ErrorsOf("model_dir = \"a\\u0000b\""), ElementsAre(HasSubstr("zero byte")));
}

TEST(Settings, AllErrorsAreToldAtOnceInTheOrderOfTheFile) {
  EXPECT_THAT(ErrorsOf("verify_queue = 0\nalpha = 2\nnonsense = 1"),
              ElementsAre(StartsWith("engine.toml:1:"), StartsWith("engine.toml:2:"), StartsWith("engine.toml:3:")));
}

TEST(Settings, FlagsWinOverVariablesAndThoseOverTheFile) {
  const std::map<std::string, std::string> variables = {
      {"DRIFTSEAL_BATCH_ROWS", "20"}, {"DRIFTSEAL_QUEUE_ROWS", "200"}, {"DRIFTSEAL_VERIFY_QUEUE", ""}};
  Configuration configuration;
  configuration.ReadToml("engine.toml", "batch_rows = 10\nqueue_rows = 100\nverify_queue = 5");
  configuration.ReadEnvironment([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
  configuration.Set(Named("queue_rows"), "300", "--queue-rows");
  configuration.Finish();
  EXPECT_THAT(configuration.errors(), IsEmpty());
  EXPECT_EQ(configuration.options().batch_rows, 20u);
  EXPECT_EQ(configuration.options().queue_rows, 300u);
  EXPECT_EQ(configuration.options().verify_queue, 5u);
}

TEST(Settings, TextThatIsNoNumberIsRefusedAndNotTakenOver) {
  for (const char* text : {"", " 5", "5 ", "5x", "0x10", "inf", "1e400", "-0.5"}) {
    Configuration configuration;
    configuration.Set(Named("batch_rows"), text, "--batch-rows");
    EXPECT_THAT(configuration.errors(), ElementsAre(StartsWith("--batch-rows: expected a whole number"))) << text;
    EXPECT_EQ(configuration.options().batch_rows, Options().batch_rows);
  }
}

TEST(Settings, WhatDoesNotFitTogetherIsRefused) {
  EXPECT_THAT(ErrorsOf("tls_cert = \"a\""), ElementsAre(StartsWith("tls_key:")));
  EXPECT_THAT(ErrorsOf("tls_key = \"a\""), ElementsAre(StartsWith("tls_cert:")));
  EXPECT_THAT(ErrorsOf("tls_client_ca = \"a\""), ElementsAre(StartsWith("tls_client_ca:")));
  EXPECT_THAT(ErrorsOf("grpc_listen = \"\"\nhttp_listen = \"\""), ElementsAre(HasSubstr("at least one")));
  EXPECT_THAT(ErrorsOf("queue_rows = 10\nbatch_rows = 11"), ElementsAre(StartsWith("queue_rows:")));
  EXPECT_THAT(ErrorsOf("alpha = 0.01\nquarantine_alpha = 0.02"), ElementsAre(StartsWith("quarantine_alpha:")));
}

TEST(Settings, AQuarantineLevelThatNobodyGaveStaysBelowAlpha) {
  Configuration configuration;
  configuration.ReadToml("engine.toml", "alpha = 0.001");
  configuration.Finish();
  EXPECT_THAT(configuration.errors(), IsEmpty());
  EXPECT_EQ(configuration.options().quarantine_alpha, 0.001);
}

TEST(Settings, Addresses) {
  EXPECT_EQ(SplitAddress("localhost:0"), std::pair(std::string("localhost"), uint16_t{0}));
  EXPECT_EQ(SplitAddress("[::1]:65535"), std::pair(std::string("::1"), uint16_t{65535}));
  EXPECT_EQ(JoinAddress("::1", 8), "[::1]:8");
  EXPECT_EQ(JoinAddress("h", 8), "h:8");
  for (const char* wrong : {"", ":1", "h", "h:", "h:65536", "h:-1", "h:1x", "::1:5", "[]:1", "a b:1", "http://h:1"}) {
    EXPECT_FALSE(SplitAddress(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace driftseal::serve
