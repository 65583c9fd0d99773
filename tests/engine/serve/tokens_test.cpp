#include "engine/serve/tokens.h"

#include <sys/stat.h>

#include "driftseal/v1/options.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_folder.h"

namespace driftseal::serve {
namespace {

using ::testing::HasSubstr;

// sha256("test")
constexpr char kTest[] = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

std::shared_ptr<const Tokens> Parsed(const std::string& text) {
  auto tokens = Tokens::Parse("t", text);
  EXPECT_TRUE(tokens.ok()) << tokens.status();
  return tokens.ok() ? *tokens : *Tokens::Parse("t", "");
}

TEST(Tokens, FindsWhoHasAToken) {
  const auto tokens = Parsed(std::string("# comment\n\n  team-a\tscore  ") + kTest +
                             " # behind\r\nreg.1 verify,score cert:registry.example.org 2031-01-02T03:04:05Z\n");
  EXPECT_EQ(tokens->size(), 2u);
  const Identity* team = tokens->FindToken("test");
  ASSERT_NE(team, nullptr);
  EXPECT_EQ(team->client, "team-a");
  EXPECT_EQ(team->scope, v1::SCOPE_SCORE);
  EXPECT_FALSE(team->expires.has_value());
  EXPECT_EQ(tokens->FindToken("Test"), nullptr);
  EXPECT_EQ(tokens->FindToken(""), nullptr);
  const Identity* registry = tokens->FindCertificate("registry.example.org");
  ASSERT_NE(registry, nullptr);
  EXPECT_EQ(registry->scope, v1::SCOPE_VERIFY);
  EXPECT_EQ(std::chrono::system_clock::to_time_t(registry->expires.value()), 1925089445);
  EXPECT_EQ(tokens->FindCertificate("registry"), nullptr);
  EXPECT_EQ(tokens->FindToken("registry.example.org"), nullptr);
}

TEST(Tokens, ErrorsNameFileAndLine) {
  const std::string good = std::string("a score sha256:") + kTest + "\n";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"a score\n", "t:1: expected: client scopes credential"},
      {good + "b score x y z\n", "t:2: expected: client"},
      {"a/b score " + std::string(kTest), "t:1: client"},
      {"anonymous score " + std::string(kTest), "t:1: client"},
      {std::string(65, 'a') + " score " + kTest, "t:1: client"},
      {"a write " + std::string(kTest), "t:1: scopes"},
      {"a score,, " + std::string(kTest), "t:1: scopes"},
      {"a score sha256:" + std::string(63, 'a'), "t:1: expected sha256:"},
      {"a score sha256:" + std::string(64, 'g'), "t:1: expected sha256:"},
      {"a score secret", "t:1: expected sha256:"},
      {"a score cert:", "t:1: the certificate"},
      {"\n" + good + "b score " + kTest, "t:3: this token was listed before"},
      {"a score cert:x\nb admin cert:x", "t:2: the certificate"},
      {"a score " + std::string(kTest) + " tomorrow", "t:1: expires"},
      {"a score " + std::string(kTest) + " infinite-future", "t:1: expires"},
  };
  for (const auto& [text, says] : cases) {
    const auto tokens = Tokens::Parse("t", text);
    ASSERT_FALSE(tokens.ok()) << text;
    EXPECT_THAT(std::string(tokens.status().message()), HasSubstr(says)) << text;
  }
}

TEST(Tokens, AFileThatEverybodyReadsIsRefused) {
  const driftseal::testing::TempFolder folder;
  const std::string path = folder.Write("tokens", std::string("a score ") + kTest);
  for (const mode_t mode : {0644, 0602, 0604, 0601}) {
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
    const auto tokens = Tokens::Read(path);
    EXPECT_EQ(tokens.status().code(), absl::StatusCode::kPermissionDenied) << std::oct << mode;
    EXPECT_THAT(std::string(tokens.status().message()), HasSubstr(path));
  }
  ASSERT_EQ(chmod(path.c_str(), 0640), 0);
  EXPECT_TRUE(Tokens::Read(path).ok());
  EXPECT_EQ(Tokens::Read(path + ".none").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Tokens::Read(folder.string()).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(Tokens, LinesThatItMakesAreRead) {
  const auto expires = std::chrono::system_clock::from_time_t(1925089445);
  const auto line = TokenLine("team", {"score", "admin"}, "test", expires);
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(*line, std::string("team score,admin sha256:") + kTest + " 2031-01-02T03:04:05Z");
  EXPECT_EQ(Parsed(*line)->FindToken("test")->scope, v1::SCOPE_ADMIN);
  EXPECT_FALSE(TokenLine("a b", {"score"}, "test", {}).ok());
  EXPECT_FALSE(TokenLine("a\nb", {"score"}, "test", {}).ok());
  EXPECT_FALSE(TokenLine("a", {"write"}, "test", {}).ok());
  EXPECT_FALSE(TokenLine("a", {}, "test", {}).ok());
}

}  // namespace
}  // namespace driftseal::serve
