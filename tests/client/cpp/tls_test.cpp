#include <chrono>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "tests/client/cpp/fake_engine.h"
#include "tests/engine/serve/certificates.h"

// Who is who: the engine's certificate, the client's, and the token.
namespace driftseal::testing {
namespace {

using namespace std::chrono_literals;

class TlsTest : public ::testing::Test {
 protected:
  std::shared_ptr<grpc::ServerCredentials> Server(bool mutual) const {
    grpc::SslServerCredentialsOptions options(mutual ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                                     : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
    options.pem_key_cert_pairs.push_back({engine_.KeyPem(), engine_.Pem()});
    options.pem_root_certs = authority_.Pem();
    return grpc::SslServerCredentials(options);
  }
  ClientOptions Options(FakeEngine& engine) {
    engine.score = [this](grpc::ServerContext& context, const v1::ScoreRequest&, v1::ScoreResponse&) {
      token_ = MetadataOf(context, "authorization");
      peers_ = context.auth_context()->GetPeerIdentity().size();
      return grpc::Status::OK;
    };
    ClientOptions options = QuickOptions(engine);
    options.tls.enabled = true;
    options.tls.ca = authority_.Pem();
    options.retry.max_attempts = 1;
    return options;
  }

  const Certificate authority_{"authority"}, other_{"another authority"};
  const Certificate engine_{"localhost", &authority_}, mine_{"me", &authority_}, foreign_{"me", &other_};
  std::string token_;
  size_t peers_ = 0;
};

TEST_F(TlsTest, AnEngineOfTheAuthorityIsTrustedWithTheToken) {
  FakeEngine engine(Server(false));
  ClientOptions options = Options(engine);
  options.token = "ds_secret";
  const Status status = ClientOf(options).Score({}).status();
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(token_, "Bearer ds_secret");
}

TEST_F(TlsTest, AnotherAuthoritysEngineIsNot) {
  FakeEngine engine(Server(false));
  ClientOptions options = Options(engine);
  options.token = "ds_secret";
  options.tls.ca = other_.Pem();
  EXPECT_EQ(ClientOf(options).Score({}).status().code, Code::kUnavailable);
  options.tls.ca = authority_.Pem();
  options.tls.server_name = "somebody.else";
  EXPECT_EQ(ClientOf(options).Score({}).status().code, Code::kUnavailable);
  options.tls.enabled = false;
  EXPECT_EQ(ClientOf(options).Score({}).status().code, Code::kUnavailable) << "nor is TLS left out";
  EXPECT_EQ(token_, "");
}

TEST_F(TlsTest, TheEngineKnowsAClientByItsCertificate) {
  FakeEngine engine(Server(true));
  ClientOptions options = Options(engine);
  EXPECT_EQ(ClientOf(options).Score({}).status().code, Code::kUnavailable) << "it shows none";
  options.tls.certificate = foreign_.Pem();
  options.tls.key = foreign_.KeyPem();
  EXPECT_EQ(ClientOf(options).Score({}).status().code, Code::kUnavailable) << "another authority's";
  options.tls.certificate = mine_.Pem();
  options.tls.key = mine_.KeyPem();
  const Status status = ClientOf(options).Score({}).status();
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_GT(peers_, 0u);
}

}  // namespace
}  // namespace driftseal::testing
