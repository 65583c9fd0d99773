#include <string>
#include <vector>

#include "tests/engine/app/cli.h"
#include "tests/support/model_files.h"

// Colour, control characters and names that want to be more than names.
namespace driftseal::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kEscape[] = "\x1b";

class TerminalTest : public ::testing::Test {
 protected:
  ProcessResult VerifyAll(ProcessOptions options = {}) {
    options.folder = folder_.string();
    return Driftseal({"verify_all"}, options);
  }
  TempFolder folder_;
};

TEST_F(TerminalTest, ColourOnATerminalAndNoneInAPipe) {
  folder_.Write("a.safetensors", Safetensors(SmallMlp(), 1));
  const ProcessResult pipe = VerifyAll();
  EXPECT_THAT(pipe.out, AllOf(HasSubstr("inconclusive"), Not(HasSubstr(kEscape))));
  EXPECT_THAT(pipe.err, Not(HasSubstr(kEscape)));
  const ProcessResult terminal = VerifyAll({.terminal = true});
  EXPECT_THAT(terminal.out, AllOf(HasSubstr("\x1b[34m"), HasSubstr("\x1b[0m")));
  EXPECT_THAT(VerifyAll({.environment = {{"NO_COLOR", ""}}, .terminal = true}).out, HasSubstr(kEscape));
  const ProcessResult plain = VerifyAll({.environment = {{"NO_COLOR", "1"}}, .terminal = true});
  EXPECT_THAT(plain.out, AllOf(HasSubstr("inconclusive"), Not(HasSubstr(kEscape))));
}

TEST_F(TerminalTest, TheTableFitsTheTerminalAndIsWholeInAPipe) {
  const std::string name = std::string(60, 'n') + ".onnx";
  folder_.Write(name, "not a model that is understood, at any rate");
  const std::string pipe = VerifyAll().out;
  EXPECT_THAT(pipe, Not(HasSubstr("…")));
  const std::string terminal = VerifyAll({.environment = {{"NO_COLOR", "1"}}, .terminal = true}).out;
  EXPECT_THAT(terminal, HasSubstr("…"));
  EXPECT_THAT(terminal, HasSubstr(name)) << "the name is never cut";
}

struct HostileName {
  std::string name, shown;
};

TEST_F(TerminalTest, ANameCannotMoveTheCursorOrPoseAsAnother) {
  const std::vector<HostileName> names = {
      {"a\x1b[2Jb.safetensors", "a?[2Jb.safetensors"},
      {"c\nd.safetensors", "c?d.safetensors"},
      {"e\rf\tg\x7f.safetensors", "e?f?g?.safetensors"},
      {"h\xc2\x9b"
       "31mi.safetensors",
       "h?31mi.safetensors"},                             // U+009B, the one-character CSI
      {"l\xe2\x80\xaem.safetensors", "l?m.safetensors"},  // U+202E, right to left from here on
      // What is not UTF-8 becomes U+FFFD in the report, which the table is made of.
      {"j\x9b"
       "31mk.safetensors",
       "j\xEF\xBF\xBD"
       "31mk.safetensors"},
      {"n\xff\xfeo.safetensors", "n\xEF\xBF\xBD\xEF\xBF\xBDo.safetensors"},
      {"Ünïcode 模型.safetensors", "Ünïcode 模型.safetensors"},
  };
  for (const HostileName& hostile : names) folder_.Write(hostile.name, Safetensors(SmallMlp(), 1));
  for (const bool terminal : {false, true}) {
    const ProcessResult result = VerifyAll({.environment = {{"NO_COLOR", "1"}}, .terminal = terminal});
    EXPECT_THAT(result, ExitsWith(4));
    for (const HostileName& hostile : names) EXPECT_THAT(result.out, HasSubstr(hostile.shown));
    EXPECT_THAT(result.out, AllOf(Not(HasSubstr(kEscape)), Not(HasSubstr("\xc2\x9b")), Not(HasSubstr("\xff"))));
  }
  ProcessOptions options;
  options.folder = folder_.string();
  const auto report = JsonOf(Driftseal({"verify_all", "--format", "json"}, options), "report");
  EXPECT_EQ(report["models"].size(), names.size()) << "JSON that parses, with every model";
}

TEST_F(TerminalTest, AnErrorsTextIsCleanToo) {
  // A lone continuation byte, an overlong '/', a surrogate, a sequence that is cut off.
  const ProcessResult result =
      Driftseal({"verify", (folder_ / "gone\x1b[2J \x9b \xc0\xaf \xed\xa0\x80 ü \xc3").string()});
  EXPECT_THAT(result, ExitsWith(3));
  EXPECT_THAT(result.err, AllOf(HasSubstr("gone?[2J ? ?? ??? ü ?: no such file"), Not(HasSubstr(kEscape))));
}

// The verdict is shown, and the name that says otherwise is only a name.
TEST_F(TerminalTest, AModelNameOfAMetaFileIsCleanToo) {
  folder_.Write("a.safetensors", Safetensors(SmallMlp(), 1));
  folder_.Write("a.meta.json", Meta("pass\x1b[1A\nx", "a.safetensors").dump());
  ProcessOptions options;
  options.folder = folder_.string();
  const ProcessResult result = Driftseal({"verify", "a.meta.json"}, options);
  EXPECT_THAT(result.out, AllOf(HasSubstr("inconclusive  pass?[1A?x"), Not(HasSubstr(kEscape))));
}

}  // namespace
}  // namespace driftseal::testing
