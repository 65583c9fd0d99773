#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "tests/engine/serve/http_fixture.h"

namespace driftseal::testing {
namespace {

constexpr int kPatienceMs = 20000;

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

}  // namespace

RawClient::RawClient(int port, int receive_buffer) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  if (receive_buffer > 0) setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    throw std::runtime_error("cannot connect");
  }
}

RawClient::~RawClient() { Close(); }

void RawClient::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

void RawClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;  // The answer tells why.
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

bool RawClient::Fill() {
  pollfd asked{fd_, POLLIN, 0};
  if (poll(&asked, 1, kPatienceMs) != 1) throw std::runtime_error("no answer in time");
  char bytes[16384];
  const ssize_t got = recv(fd_, bytes, sizeof(bytes), 0);
  if (got <= 0) return false;
  buffer_.append(bytes, static_cast<size_t>(got));
  return true;
}

std::string RawClient::Line() {
  size_t end;
  while ((end = buffer_.find("\r\n")) == std::string::npos) {
    if (!Fill()) throw std::runtime_error("the connection ended within a line: " + buffer_);
  }
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 2);
  return line;
}

std::string RawClient::Take(size_t bytes) {
  while (buffer_.size() < bytes) {
    if (!Fill()) throw std::runtime_error("the connection ended within a body");
  }
  std::string taken = buffer_.substr(0, bytes);
  buffer_.erase(0, bytes);
  return taken;
}

HttpAnswer RawClient::Read(bool head) {
  HttpAnswer answer;
  const std::string line = Line();
  if (!line.starts_with("HTTP/1.1 ")) throw std::runtime_error("no status line: " + line);
  answer.status = std::stoi(line.substr(9));
  for (std::string header; !(header = Line()).empty();) {
    const size_t colon = header.find(": ");
    answer.headers.emplace(Lower(header.substr(0, colon)), header.substr(colon + 2));
  }
  if (head || answer.status == 204 || answer.status == 100) return answer;
  if (answer.headers.contains("transfer-encoding")) {
    for (size_t size; (size = std::stoul(Line(), nullptr, 16)) > 0; Line()) answer.body += Take(size);
    Line();
  } else if (answer.headers.contains("content-length")) {
    answer.body = Take(std::stoul(answer.headers.at("content-length")));
  } else {
    while (Fill()) {
    }
    answer.body = std::exchange(buffer_, {});
  }
  return answer;
}

std::string RawClient::ReadSome() {
  if (buffer_.empty()) Fill();
  return std::exchange(buffer_, {});
}

bool RawClient::Closed() { return buffer_.empty() && !Fill(); }

std::string Get(std::string_view target, std::string_view headers) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: engine\r\n" + std::string(headers) + "\r\n";
}

std::string Post(std::string_view target, std::string_view body, std::string_view headers) {
  return "POST " + std::string(target) + " HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\n" +
         "Content-Length: " + std::to_string(body.size()) + "\r\n" + std::string(headers) + "\r\n" + std::string(body);
}

}  // namespace driftseal::testing
