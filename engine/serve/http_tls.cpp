#include "engine/serve/http_tls.h"

#include <openssl/ssl.h>

#include "engine/artifact/text.h"

namespace driftseal::serve {
namespace {

namespace ssl = boost::asio::ssl;

// HTTP/1.1 for whoever asks; a client that offers other protocols alone is told so in the handshake.
int ChooseProtocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                   unsigned int in_size, void*) {
  static constexpr unsigned char kOffered[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  const int result = SSL_select_next_proto(&chosen, out_size, kOffered, sizeof(kOffered) - 1, in, in_size);
  *out = chosen;
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

}  // namespace

absl::StatusOr<std::shared_ptr<ssl::context>> MakeHttpTls(const Options& options) {
  if (options.tls_cert.empty()) return std::shared_ptr<ssl::context>();
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  boost::system::error_code error;
  const auto fail = [&](const char* setting, const std::string& file) {
    return absl::InvalidArgumentError(artifact::Cat(setting, ": ", file, ": ", error.message()));
  };
  context->set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1 |
                           ssl::context::no_compression,
                       error);
  if (error) return fail("tls_cert", options.tls_cert);
  SSL_CTX_set_options(context->native_handle(), SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context->native_handle(), SSL_MODE_RELEASE_BUFFERS);  // Idle connections hold no buffers.
  if (context->use_certificate_chain_file(options.tls_cert, error)) return fail("tls_cert", options.tls_cert);
  if (context->use_private_key_file(options.tls_key, ssl::context::pem, error)) return fail("tls_key", options.tls_key);
  if (!options.tls_client_ca.empty()) {
    if (context->load_verify_file(options.tls_client_ca, error)) return fail("tls_client_ca", options.tls_client_ca);
    context->set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert, error);
    if (error) return fail("tls_client_ca", options.tls_client_ca);
    // Without a context of its own OpenSSL refuses to resume sessions of verified clients.
    static constexpr unsigned char kSessions[] = "driftseal";
    SSL_CTX_set_session_id_context(context->native_handle(), kSessions, sizeof(kSessions) - 1);
  }
  SSL_CTX_set_alpn_select_cb(context->native_handle(), ChooseProtocol, nullptr);
  return context;
}

}  // namespace driftseal::serve
