#include "engine/replay/protocol/channel.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/artifact/text.h"
#include "engine/replay/protocol/message.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace driftseal::replay {
namespace {

using artifact::Cat;

constexpr size_t kMostDescriptors = 8;
constexpr int kFixedSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

absl::Status Failed(const char* what) { return absl::ErrnoToStatus(errno, what); }

absl::StatusOr<UniqueFd> NewMemory(const char* name) {
  // Kernels before 6.3 do not know memory that can never be executed.
  UniqueFd memory(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL));
  if (!memory.open() && errno == EINVAL) memory = UniqueFd(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory.open()) return Failed("memfd_create");
  return memory;
}

}  // namespace

absl::StatusOr<std::pair<UniqueFd, UniqueFd>> MakeChannel() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return Failed("socketpair");
  return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

absl::Status SendMessage(int fd, std::string_view message, std::span<const int> descriptors) {
  if (message.size() > kMessageLimit || descriptors.size() > kMostDescriptors) {
    return absl::InvalidArgumentError(Cat("a message of ", message.size(), " bytes; the limit is ", kMessageLimit));
  }
  iovec part{const_cast<char*>(message.data()), message.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMostDescriptors * sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!descriptors.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* first = CMSG_FIRSTHDR(&header);
    first->cmsg_level = SOL_SOCKET;
    first->cmsg_type = SCM_RIGHTS;
    first->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(first), descriptors.data(), descriptors.size_bytes());
  }
  while (sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno == EINTR) continue;
    if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)
      return absl::UnavailableError("the other side is gone");
    if (errno == EAGAIN) return absl::ResourceExhaustedError("the other side does not read");
    return Failed("sendmsg");
  }
  return absl::OkStatus();
}

absl::StatusOr<Received> ReceiveMessage(int fd, size_t most_descriptors, bool wait) {
  char bytes[kMessageLimit];
  iovec part{bytes, sizeof bytes};
  alignas(cmsghdr) char control[CMSG_SPACE(kMostDescriptors * sizeof(int))];
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (most_descriptors > 0) {  // without a place for them, the kernel closes what a hostile side sends
    header.msg_control = control;
    header.msg_controllen = CMSG_LEN(std::min(most_descriptors, kMostDescriptors) * sizeof(int));  // padding is room
  }
  ssize_t got = 0;
  do {
    got = recvmsg(fd, &header, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
  } while (got < 0 && errno == EINTR);
  Received received;
  if (got < 0 && errno == EAGAIN) return received;
  if (got < 0 && errno != ECONNRESET) return Failed("recvmsg");
  received.arrival = got > 0 ? Arrival::kMessage : Arrival::kClosed;
  if (got <= 0) return received;
  received.message.assign(bytes, static_cast<size_t>(got));
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int descriptor;
      std::memcpy(&descriptor, CMSG_DATA(c) + i * sizeof(int), sizeof descriptor);
      received.descriptors.emplace_back(descriptor);
    }
  }
  if ((header.msg_flags & MSG_TRUNC) != 0) {
    return absl::InvalidArgumentError(Cat("a message of more than ", kMessageLimit, " bytes"));
  }
  if ((header.msg_flags & MSG_CTRUNC) != 0) return absl::InvalidArgumentError("a message with too many descriptors");
  return received;
}

absl::StatusOr<UniqueFd> SealedMemory(const char* name, std::span<const std::byte> bytes) {
  absl::StatusOr<UniqueFd> memory = NewMemory(name);
  if (!memory.ok()) return memory;
  while (!bytes.empty()) {
    const ssize_t put = write(memory->get(), bytes.data(), bytes.size());
    if (put >= 0) {
      bytes = bytes.subspan(static_cast<size_t>(put));
    } else if (errno != EINTR) {
      return Failed("writing shared memory");
    }
  }
  if (fcntl(memory->get(), F_ADD_SEALS, kFixedSeals | F_SEAL_WRITE) != 0) return Failed("sealing shared memory");
  return memory;
}

absl::StatusOr<UniqueFd> FixedMemory(const char* name, uint64_t bytes) {
  absl::StatusOr<UniqueFd> memory = NewMemory(name);
  if (!memory.ok()) return memory;
  if (ftruncate(memory->get(), static_cast<off_t>(bytes)) != 0) return Failed("sizing shared memory");
  if (fcntl(memory->get(), F_ADD_SEALS, kFixedSeals) != 0) return Failed("sealing shared memory");
  return memory;
}

absl::StatusOr<std::string> CopyOut(int memory, uint64_t length) {
  std::string bytes(length, '\0');
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t got = pread(memory, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (got == 0) return absl::DataLossError(Cat("shared memory ends after ", done, " of ", length, " bytes"));
    if (got < 0 && errno != EINTR) return Failed("reading shared memory");
    if (got > 0) done += static_cast<size_t>(got);
  }
  return bytes;
}

absl::StatusOr<Mapping> Mapping::Map(int memory, uint64_t length, int seals, bool writable) {
  // Not fstat: libraries make it a call that takes a path, which a worker may not use.
  const off_t size = lseek(memory, 0, SEEK_END);
  if (size < 0) return Failed("measuring shared memory");
  if (static_cast<uint64_t>(size) != length) {
    return absl::InvalidArgumentError(Cat("shared memory of ", size, " bytes, announced as ", length));
  }
  const int has = fcntl(memory, F_GET_SEALS);
  if (has < 0 || (has & seals) != seals) return absl::InvalidArgumentError("shared memory that is not sealed");
  void* data = mmap(nullptr, length, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, memory, 0);
  if (data == MAP_FAILED) return Failed("mapping shared memory");
  return Mapping(static_cast<std::byte*>(data), length);
}

absl::StatusOr<Mapping> Mapping::ReadOnly(int memory, uint64_t length) {
  return Map(memory, length, F_SEAL_WRITE | F_SEAL_SHRINK, false);
}

absl::StatusOr<Mapping> Mapping::Writable(int memory, uint64_t length) {
  return Map(memory, length, F_SEAL_SHRINK, true);
}

Mapping::~Mapping() {
  if (data_ != nullptr) munmap(data_, size_);
}

}  // namespace driftseal::replay
