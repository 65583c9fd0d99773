#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "engine/replay/service/sandbox.h"

namespace driftseal::replay {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "the system call filter knows x86-64 and aarch64"
#endif

constexpr uint32_t kDeny = SECCOMP_RET_ERRNO | EPERM, kUnknown = SECCOMP_RET_ERRNO | ENOSYS;
constexpr uint32_t kForeignNumbers = 0x40000000;  ///< The x32 calls of x86-64: the same kernel by other numbers.
constexpr uint32_t kNewNamespaces =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

// What a computation needs: memory, time, its own signals, and the descriptors that it has.
constexpr uint32_t kComputing[] = {
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_close,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_ppoll,
    SYS_lseek,
    SYS_fstat,
#ifdef SYS_poll
    SYS_poll,
#endif
    SYS_mmap,
    SYS_munmap,
    SYS_mprotect,
    SYS_mremap,
    SYS_madvise,
    SYS_brk,
    SYS_futex,
    SYS_membarrier,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sigaltstack,
    SYS_restart_syscall,
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
#ifdef SYS_time
    SYS_time,
#endif
    SYS_getrandom,
    SYS_getpid,
    SYS_gettid,
    SYS_getppid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getrusage,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_getcpu,
    SYS_sysinfo,
    SYS_exit,
    SYS_exit_group,
};

// What the service itself needs besides, to fork, limit and end workers.
constexpr uint32_t kServing[] = {
    SYS_wait4,       SYS_kill,  SYS_prctl,           SYS_seccomp,         SYS_prlimit64, SYS_dup3,
#ifdef SYS_dup2
    SYS_dup2,
#endif
#ifdef SYS_close_range
    SYS_close_range,
#endif
    SYS_pread64,     SYS_fcntl, SYS_set_robust_list, SYS_set_tid_address, SYS_tgkill,
};

class Program {
 public:
  Program() {
    Load(offsetof(seccomp_data, arch));
    Jump(BPF_JEQ, kArchitecture, 1, 0);
    Return(SECCOMP_RET_KILL_PROCESS);
    LoadNumber();
#ifdef __x86_64__
    Jump(BPF_JGE, kForeignNumbers, 0, 1);
    Return(SECCOMP_RET_KILL_PROCESS);
#endif
  }
  void Answer(uint32_t number, uint32_t action) {
    Jump(BPF_JEQ, number, 0, 1);
    Return(action);
  }
  /// Allowed when the low word of an argument, masked, is `value`.
  void AllowWhere(uint32_t number, unsigned argument, uint32_t mask, uint32_t value) {
    Jump(BPF_JEQ, number, 0, 5);
    Load(static_cast<uint32_t>(offsetof(seccomp_data, args) + argument * sizeof(uint64_t)));
    code_.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask));
    Jump(BPF_JEQ, value, 0, 1);
    Return(SECCOMP_RET_ALLOW);
    Return(kDeny);
  }
  absl::Status Install() {
    Return(kDeny);
    sock_fprog program{static_cast<uint16_t>(code_.size()), code_.data()};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
      return errno == EINVAL ? absl::UnimplementedError("the kernel has no seccomp filters")
                             : absl::ErrnoToStatus(errno, "seccomp");
    }
    return absl::OkStatus();
  }

 private:
  void Load(size_t offset) { code_.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset))); }
  void LoadNumber() { Load(offsetof(seccomp_data, nr)); }
  void Jump(uint16_t test, uint32_t value, uint8_t yes, uint8_t no) {
    code_.push_back(BPF_JUMP(static_cast<uint16_t>(BPF_JMP | test | BPF_K), value, yes, no));
  }
  void Return(uint32_t action) { code_.push_back(BPF_STMT(BPF_RET | BPF_K, action)); }
  std::vector<sock_filter> code_;
};

}  // namespace

absl::Status FilterSystemCalls(bool may_fork) {
  Program program;
  for (const uint32_t number : kComputing) program.Answer(number, SECCOMP_RET_ALLOW);
  if (may_fork) {
    for (const uint32_t number : kServing) program.Answer(number, SECCOMP_RET_ALLOW);
    program.AllowWhere(SYS_clone, 0, kNewNamespaces, 0);
    // Its flags lie in memory, which a filter does not see; "no such call" makes libraries use clone.
    program.Answer(SYS_clone3, kUnknown);
  } else {
    // Ending oneself by a signal (abort), and nobody else.
    program.AllowWhere(SYS_tgkill, 0, ~0U, static_cast<uint32_t>(getpid()));
    program.AllowWhere(SYS_fcntl, 1, ~0U, F_GET_SEALS);
  }
  return program.Install();
}

}  // namespace driftseal::replay
