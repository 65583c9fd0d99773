#include "hostile_calls.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>

namespace driftseal::testing {
namespace {

long Connect(uint32_t address) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0) return fd;
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(53);
  to.sin_addr.s_addr = htonl(address);
  return connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to);
}

long Open(const char* path, int flags) { return open(path, flags, 0600); }

/// A child that was made must not go on here.
long Forked(long pid) {
  if (pid == 0) _exit(0);
  return pid;
}

long Thread() {
  pthread_t thread;
  const int error = pthread_create(
      &thread, nullptr, [](void*) -> void* { return nullptr; }, nullptr);
  errno = error;
  return error == 0 ? 0 : -1;
}

long LiftLimit() {
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  return setrlimit(RLIMIT_AS, &unlimited);
}

struct Way {
  const char* name;
  std::function<long()> attempt;
};

}  // namespace

std::string TryEverything() {
  char* const arguments[] = {const_cast<char*>("/bin/true"), nullptr};
  const Way ways[] = {
      {"open-read", [] { return Open("/etc/passwd", O_RDONLY); }},
      {"open-self", [] { return Open("/proc/self/maps", O_RDONLY); }},
      {"open-directory", [] { return Open("/", O_RDONLY | O_DIRECTORY); }},
      {"creat", [] { return Open("/tmp/driftseal-hostile", O_WRONLY | O_CREAT); }},
      {"unlink", [] { return unlink("/tmp/driftseal-hostile"); }},
      {"mkdir", [] { return mkdir("/tmp/driftseal-hostile.d", 0700); }},
      {"chdir", [] { return chdir("/"); }},
      {"socket-inet", [] { return socket(AF_INET, SOCK_STREAM, 0); }},
      {"socket-unix", [] { return socket(AF_UNIX, SOCK_STREAM, 0); }},
      {"socket-netlink", [] { return socket(AF_NETLINK, SOCK_RAW, 0); }},
      {"connect-out", [] { return Connect(0x08080808); }},
      {"connect-local", [] { return Connect(INADDR_LOOPBACK); }},
      {"fork", [] { return Forked(fork()); }},
      {"fork-raw", [] { return Forked(syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr)); }},
      {"clone3", [] { return Forked(syscall(SYS_clone3, nullptr, 0)); }},
      {"thread", Thread},
      {"exec", [&] { return execve("/bin/true", arguments, nullptr); }},
      {"kill-service", [] { return kill(1, SIGKILL); }},
      {"kill-all", [] { return kill(-1, SIGKILL); }},
      {"tgkill-service", [] { return syscall(SYS_tgkill, 1, 1, SIGKILL); }},
      {"ptrace", [] { return ptrace(PTRACE_ATTACH, 1, nullptr, nullptr); }},
      {"read-service", [] { return syscall(SYS_process_vm_readv, 1, nullptr, 0, nullptr, 0, 0); }},
      {"mount", [] { return mount("none", "/tmp", "tmpfs", 0, nullptr); }},
      {"chroot", [] { return chroot("/tmp"); }},
      {"unshare", [] { return unshare(CLONE_NEWUSER); }},
      {"setns", [] { return setns(0, 0); }},
      {"setuid", [] { return syscall(SYS_setuid, 0); }},
      {"setrlimit", LiftLimit},
      {"prctl", [] { return prctl(PR_SET_PDEATHSIG, 0); }},
      {"bpf", [] { return syscall(SYS_bpf, 0, nullptr, 0); }},
      {"io-uring", [] { return syscall(SYS_io_uring_setup, 1, nullptr); }},
      {"userfaultfd", [] { return syscall(SYS_userfaultfd, 0); }},
      {"perf", [] { return syscall(SYS_perf_event_open, nullptr, 0, -1, -1, 0); }},
      {"keyctl", [] { return syscall(SYS_keyctl, 0, 0, 0, 0, 0); }},
      {"shmget", [] { return shmget(IPC_PRIVATE, 4096, 0600); }},
      {"memfd", [] { return syscall(SYS_memfd_create, "hidden", 0); }},
      {"unseal", [] { return fcntl(1, F_ADD_SEALS, 0); }},
      {"duplicate", [] { return fcntl(1, F_DUPFD, 10); }},
      {"ioctl", [] { return syscall(SYS_ioctl, 0, 0x5412, "x"); }},  // TIOCSTI: types into a terminal
  };
  std::string lines;
  for (const Way& way : ways) {
    errno = 0;
    const long result = way.attempt();
    lines += std::string(way.name) + " " + (result < 0 || errno != 0 ? strerrorname_np(errno) : "0") + "\n";
  }
  return lines;
}

}  // namespace driftseal::testing
