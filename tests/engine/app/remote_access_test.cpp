#include <map>
#include <string>
#include <vector>

#include "tests/engine/app/cli.h"
#include "tests/engine/app/live_engine.h"
#include "tests/engine/serve/certificates.h"
#include "tests/support/model_files.h"

// The command line at an engine that asks who is there.
namespace driftseal::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class RemoteAccessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_.Write("root/m.safetensors", Safetensors(SmallMlp(), 1));
    const Certificate authority("authority"), engine("127.0.0.1", &authority), mine("me", &authority);
    folder_.Write("ca.pem", authority.Pem());
    folder_.Write("engine.pem", engine.Pem());
    folder_.Write("engine.key", engine.KeyPem());
    folder_.Write("mine.pem", mine.Pem());
    folder_.Write("mine.key", mine.KeyPem());
  }
  // A token of this scope; it is the last line that the command prints.
  std::string Token(const std::string& scope) const {
    const ProcessResult made =
        Driftseal({"token", scope + "-client", "--scope", scope, "--tokens-file", Path("tokens")});
    EXPECT_EQ(made.code, 0) << made.err;
    const size_t at = made.out.find("ds_");
    EXPECT_NE(at, std::string::npos) << made.out;
    return made.out.substr(at, made.out.find_first_of(" \n", at) - at);
  }
  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  ProcessResult Verify(const LiveEngine& engine, std::vector<std::string> more, const std::string& token) const {
    std::vector<std::string> arguments = {"verify", "m.safetensors", "--engine", engine.address()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    ProcessOptions options;
    options.folder = folder_.string();
    if (!token.empty()) options.environment["DRIFTSEAL_TOKEN"] = token;
    return Driftseal(arguments, options);
  }

  TempFolder folder_;
};

TEST_F(RemoteAccessTest, TokensAndTheirScopesCount) {
  const std::string verify = Token("verify"), score = Token("score");
  const LiveEngine engine(Path("root"), "", {"--tokens-file", Path("tokens")});
  EXPECT_THAT(Verify(engine, {}, verify), ExitsWith(4)) << "integrity alone: inconclusive";
  folder_.Write("token", verify + "\n");
  EXPECT_THAT(Verify(engine, {"--token-file", "token"}, ""), ExitsWith(4));
  const ProcessResult nobody = Verify(engine, {}, ""), wrong = Verify(engine, {}, "ds_wrong"),
                      less = Verify(engine, {}, score);
  EXPECT_THAT(nobody.err, HasSubstr("UNAUTHENTICATED"));
  EXPECT_THAT(wrong.err, AllOf(HasSubstr("UNAUTHENTICATED"), Not(HasSubstr("ds_wrong"))));
  EXPECT_THAT(less.err, HasSubstr("PERMISSION_DENIED"));
  for (const ProcessResult& refused : {nobody, wrong, less}) EXPECT_THAT(refused, ExitsWith(3));
}

TEST_F(RemoteAccessTest, BothSidesShowTheirCertificates) {
  const LiveEngine engine(Path("root"), "",
                          {"--tls-cert", Path("engine.pem"), "--tls-key", Path("engine.key"), "--tls-client-ca",
                           Path("ca.pem"), "--allow-anonymous"});
  EXPECT_THAT(Verify(engine, {"--tls-ca", "ca.pem", "--tls-cert", "mine.pem", "--tls-key", "mine.key"}, ""),
              ExitsWith(4));
  for (const std::vector<std::string>& less :
       std::vector<std::vector<std::string>>{{"--tls-ca", "ca.pem"}, {"--tls"}, {}}) {
    const ProcessResult refused = Verify(engine, less, "");
    EXPECT_THAT(refused, ExitsWith(3));
    EXPECT_THAT(refused.err, HasSubstr("UNAVAILABLE"));
  }
}

}  // namespace
}  // namespace driftseal::testing
