#include "engine/serve/tls.h"

#include <sys/stat.h>

#include <chrono>

#include "engine/serve/tokens.h"
#include "gmock/gmock.h"
#include "tests/engine/serve/server_fixture.h"
#include "tests/support/process.h"

namespace driftseal::testing {
namespace {

using grpc::StatusCode;
using ::testing::HasSubstr;

// Certificates as somebody makes them who follows the OpenSSL documentation.
class TlsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Openssl({"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
             "-subj", "/CN=test CA"});
    Sign("server", "localhost");
    Sign("client", "registry.example.org");
  }
  void Openssl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"/usr/bin/env", "openssl"});
    ProcessOptions options;
    options.folder = folder_.string();
    const ProcessResult result = driftseal::testing::Run(arguments, options);
    ASSERT_EQ(result.code, 0) << result.err;
  }
  void Sign(const std::string& name, const std::string& common_name) {
    folder_.Write("san", "subjectAltName=DNS:" + common_name);
    Openssl({"req", "-newkey", "rsa:2048", "-nodes", "-keyout", name + ".key", "-out", name + ".csr", "-subj",
             "/CN=" + common_name});
    Openssl({"x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
             "-extfile", "san", "-out", name + ".pem"});
  }
  serve::Options WithTls(bool mutual) const {
    serve::Options options = TestServer::DefaultOptions();
    options.tls_cert = folder_ / "server.pem";
    options.tls_key = folder_ / "server.key";
    if (mutual) options.tls_client_ca = folder_ / "ca.pem";
    return options;
  }
  std::shared_ptr<grpc::ChannelCredentials> Client(const std::string& certificate = "") const {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = folder_.Read("ca.pem");
    if (!certificate.empty()) {
      options.pem_cert_chain = folder_.Read(certificate + ".pem");
      options.pem_private_key = folder_.Read(certificate + ".key");
    }
    return grpc::SslCredentials(options);
  }
  TempFolder folder_;
  const v1::ScoreRequest request_ = RequestOf(SomeRows(1));
};

TEST_F(TlsTest, SpeaksTlsAndNothingElse) {
  TestServer server(WithTls(false));
  const Reply reply = ScoreOn(server.Connect(Client()), request_);
  EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
  EXPECT_EQ(ScoreOn(server.Connect(), request_).status.error_code(), StatusCode::UNAVAILABLE);
}

TEST_F(TlsTest, MutualTlsAsksForACertificate) {
  TestServer server(WithTls(true));
  const Reply reply = ScoreOn(server.Connect(Client("client")), request_);
  EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
  EXPECT_EQ(server.Metric(R"(driftseal_client_requests_total{client="registry.example.org"})"), 1);
  EXPECT_EQ(ScoreOn(server.Connect(Client()), request_).status.error_code(), StatusCode::UNAVAILABLE);
  // The gateway's word about a certificate is believed, silence is not.
  const auto inside = server.server().InProcessChannel();
  EXPECT_EQ(ScoreOn(inside, request_).status.error_code(), StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(ScoreOn(inside, request_, {{"x-driftseal-certificate", "other"}}).status.ok());
}

TEST_F(TlsTest, CertificatesHaveScopesInTheTokensFile) {
  serve::Options options = WithTls(true);
  options.tokens_file = folder_.Write("tokens", "registry score cert:registry.example.org\n" +
                                                    serve::TokenLine("bearer", {"score"}, "secret", {}).value());
  ASSERT_EQ(chmod(options.tokens_file.c_str(), 0600), 0);
  Sign("stranger", "stranger.example.org");
  TestServer server(options);
  const auto channel = server.Connect(Client("client"));
  EXPECT_TRUE(ScoreOn(channel, request_).status.ok());
  EXPECT_EQ(server.Metric(R"(driftseal_client_requests_total{client="registry"})"), 1);
  grpc::ClientContext context;
  v1::Operation operation;
  EXPECT_EQ(v1::Detectors::NewStub(channel)->Fit(&context, {}, &operation).error_code(), StatusCode::PERMISSION_DENIED);
  const auto strange = server.Connect(Client("stranger"));
  EXPECT_EQ(ScoreOn(strange, request_).status.error_code(), StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(ScoreOn(strange, request_, {{"authorization", "Bearer secret"}}).status.ok());
}

TEST_F(TlsTest, FilesThatDoNotFitAreNamed) {
  const auto says = [](const serve::Options& options) {
    const absl::Status checked = serve::Engine::Check(options);
    EXPECT_FALSE(checked.ok());
    return std::string(checked.message());
  };
  serve::Options options = WithTls(true);
  options.artifact_root = folder_.string();
  EXPECT_TRUE(serve::Engine::Check(options).ok()) << serve::Engine::Check(options);
  const serve::Options good = options;
  options.tls_key = "";
  EXPECT_THAT(says(options), HasSubstr("tls_cert: tls_key is missing"));
  options.tls_key = good.tls_key, options.tls_cert = "";
  EXPECT_THAT(says(options), HasSubstr("tls_key: tls_cert is missing"));
  options.tls_key = "";
  EXPECT_THAT(says(options), HasSubstr("tls_client_ca: "));
  options = good;
  options.tls_cert = folder_ / "nothing.pem";
  EXPECT_THAT(says(options), HasSubstr("tls_cert: "));
  options = good;
  options.tls_key = folder_ / "client.key";
  EXPECT_THAT(says(options), HasSubstr("is not the key of the first certificate"));
  options.tls_key = good.tls_cert;
  EXPECT_THAT(says(options), HasSubstr("expected a private key"));
  options = good;
  options.tls_client_ca = good.tls_key;
  EXPECT_THAT(says(options), HasSubstr("tls_client_ca: "));
  EXPECT_THAT(says(options), HasSubstr("expected certificates in PEM"));
  options = good;
  // Asked for at the terminal, a passphrase would stop the engine.
  Openssl({"rsa", "-aes128", "-passout", "pass:x", "-in", "server.key", "-out", "locked.key"});
  options.tls_key = folder_ / "locked.key";
  EXPECT_THAT(says(options), HasSubstr("without a passphrase"));
  // One that is over the moment it is made.
  Openssl({"x509", "-req", "-in", "server.csr", "-signkey", "server.key", "-days", "0", "-out", "old.pem"});
  options.tls_cert = folder_ / "old.pem";
  options.tls_key = good.tls_key;
  EXPECT_THAT(says(options), HasSubstr("has expired"));
}

TEST_F(TlsTest, NewFilesAreTakenOver) {
  TestServer server(WithTls(false));
  ASSERT_TRUE(ScoreOn(server.Connect(Client()), request_).status.ok());
  Openssl({"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
           "-subj", "/CN=new CA"});
  const auto with_new_ca = Client();
  EXPECT_EQ(ScoreOn(server.Connect(with_new_ca), request_).status.error_code(), StatusCode::UNAVAILABLE);
  Sign("server", "localhost");
  EXPECT_TRUE(server.server().ReloadCertificates().ok());
  EXPECT_TRUE(Eventually([&] { return ScoreOn(server.Connect(with_new_ca), request_).status.ok(); }));
  folder_.Write("server.key", folder_.Read("client.key"));
  EXPECT_THAT(std::string(server.server().ReloadCertificates().message()), HasSubstr("is not the key"));
  // For as long as gRPC needs to look at its copies twice.
  for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(3);
       std::chrono::steady_clock::now() < end;) {
    ASSERT_TRUE(ScoreOn(server.Connect(with_new_ca), request_).status.ok()) << "the old key and certificate stay";
  }
}

}  // namespace
}  // namespace driftseal::testing
