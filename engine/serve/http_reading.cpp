#include "engine/serve/http_reading.h"

#include <openssl/x509.h>

#include <algorithm>
#include <memory>

#include "boost/beast/http/field.hpp"
#include "engine/serve/request_id.h"

namespace driftseal::serve {
namespace {

std::string_view View(boost::beast::string_view text) { return {text.data(), text.size()}; }

bool SameName(std::string_view a, std::string_view b) {
  return boost::beast::iequals({a.data(), a.size()}, {b.data(), b.size()});
}

// A header that may come once.
void Take(std::string_view value, std::string_view& place, HttpRequest& request) {
  request.repeated_header = request.repeated_header || place.data() != nullptr;
  place = value;
}

}  // namespace

HttpHead ReadHead(const HttpParser::value_type& message, std::string_view peer, std::string_view certificate) {
  HttpHead head;
  HttpRequest& request = head.request;
  request.method = View(message.method_string());
  request.target = View(message.target());
  request.peer = peer;
  request.certificate = certificate;
  std::string_view host, expect, encoding;
  for (const auto& field : message) {
    const std::string_view value = View(field.value());
    switch (field.name()) {
      case http::field::authorization:
        Take(value, request.authorization, request);
        break;
      case http::field::content_type:
        Take(value, request.content_type, request);
        break;
      case http::field::content_encoding:
        Take(value, request.content_encoding, request);
        break;
      case http::field::host:
        Take(value, host, request);
        break;
      case http::field::expect:
        Take(value, expect, request);
        break;
      case http::field::transfer_encoding:
        Take(value, encoding, request);
        break;
      case http::field::unknown: {
        const std::string_view name = View(field.name_string());
        if (SameName(name, "x-request-id")) Take(value, request.request_id, request);
        if (SameName(name, "traceparent")) Take(value, request.traceparent, request);
        if (SameName(name, "grpc-timeout")) Take(value, request.grpc_timeout, request);
        break;
      }
      default:
        break;
    }
  }
  if (!IsSaneRequestId(request.request_id)) request.request_id = {};  // Replaced by one of ours.
  const auto refuse = [&](int status, const char* why) {
    if (!head.error.empty()) return;
    head.status = status;
    head.error = why;
  };
  if (request.repeated_header) refuse(400, "a header that may stand once stands twice");
  if (message.version() == 11 && host.data() == nullptr) refuse(400, "header Host is missing");
  if (!encoding.empty() && !SameName(encoding, "chunked")) refuse(501, "Transfer-Encoding: only chunked is taken");
  if (!encoding.empty() && message.version() != 11) refuse(400, "Transfer-Encoding needs HTTP/1.1");
  head.expects_continue = SameName(expect, "100-continue");
  if (!expect.empty() && !head.expects_continue) refuse(417, "Expect: only 100-continue is known");
  return head;
}

std::string CommonName(SSL* ssl) {
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(ssl), X509_free);
  if (certificate == nullptr || SSL_get_verify_result(ssl) != X509_V_OK) return "";
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return "";
  unsigned char* bytes = nullptr;
  const int size = ASN1_STRING_to_UTF8(&bytes, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (size < 0) return "";
  const std::string name(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
  OPENSSL_free(bytes);
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= 0x20 && c < 0x7f; }) ? name : "";
}

}  // namespace driftseal::serve
