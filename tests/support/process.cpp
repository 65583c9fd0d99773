#include "tests/support/process.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <thread>

extern char** environ;

namespace driftseal::testing {
namespace {

constexpr uid_t kNobody = 65534;

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> Environment(const std::map<std::string, std::string>& more) {
  std::vector<std::string> texts;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    // What decides about colour is the test's to say.
    if (!more.contains(text.substr(0, text.find('='))) && !text.starts_with("NO_COLOR=")) texts.push_back(text);
  }
  for (const auto& [name, value] : more) texts.push_back(name + "=" + value);
  return texts;
}

int Memory(const char* name) {
  const int fd = ::memfd_create(name, MFD_CLOEXEC);
  if (fd < 0) throw std::runtime_error("memfd_create failed");
  return fd;
}

// The master's side of a new terminal, and the slave's in `slave`.
int OpenTerminal(int& slave) {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0 || ::grantpt(master) != 0 || ::unlockpt(master) != 0) throw std::runtime_error("no pseudo-terminal");
  slave = ::open(::ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
  winsize size{};
  size.ws_col = 100;
  size.ws_row = 50;
  if (slave < 0 || ::ioctl(slave, TIOCSWINSZ, &size) != 0) throw std::runtime_error("no pseudo-terminal");
  return master;
}

}  // namespace

Process::Process(const std::vector<std::string>& command, const ProcessOptions& options)
    : options_(options), out_(Memory("out")), err_(Memory("err")) {
  int slave = -1;
  if (options.terminal) master_ = OpenTerminal(slave);
  std::vector<std::string> words = command, variables = Environment(options.environment);
  std::vector<char*> arguments = Pointers(words), environment = Pointers(variables);
  const bool drop = options.as_nobody && ::geteuid() == 0;
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork failed");
  if (pid_ == 0) {
    // Between fork and exec: system calls only.
    const int null = ::open("/dev/null", O_RDONLY);
    ::dup2(null, STDIN_FILENO);
    ::dup2(slave >= 0 ? slave : out_, STDOUT_FILENO);
    ::dup2(err_, STDERR_FILENO);
    if (!options.folder.empty() && ::chdir(options.folder.c_str()) != 0) ::_exit(126);
    if (drop && (::setgroups(0, nullptr) != 0 || ::setgid(kNobody) != 0 || ::setuid(kNobody) != 0)) ::_exit(126);
    ::execve(arguments[0], arguments.data(), environment.data());
    ::_exit(127);
  }
  if (slave >= 0) ::close(slave);
}

Process::~Process() {
  if (!ended_) {
    Signal(SIGKILL);
    Reap(true);
  }
  for (const int fd : {out_, err_, master_}) {
    if (fd >= 0) ::close(fd);
  }
}

void Process::Signal(int signal) const {
  if (!ended_) ::kill(pid_, signal);
}

bool Process::Running() {
  Reap(false);
  return !ended_;
}

void Process::Reap(bool block) {
  if (ended_) return;
  int status = 0;
  rusage usage{};
  const pid_t got = ::wait4(pid_, &status, block ? 0 : WNOHANG, &usage);
  if (got != pid_) return;
  ended_ = true;
  result_.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  result_.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  result_.peak_kib = usage.ru_maxrss;
}

std::string Process::Drain(int fd) const {
  std::string text(static_cast<size_t>(::lseek(fd, 0, SEEK_END)), '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t got = ::pread(fd, text.data() + done, text.size() - done, static_cast<off_t>(done));
    if (got <= 0) throw std::runtime_error("the program's output could not be read back");
    done += static_cast<size_t>(got);
  }
  return text;
}

ProcessResult Process::Wait() {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(options_.limit_seconds);
  while (Running()) {
    if (std::chrono::steady_clock::now() > deadline) Signal(SIGKILL);
    if (master_ < 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      continue;
    }
    pollfd ready{master_, POLLIN, 0};
    std::array<char, 4096> buffer;
    if (::poll(&ready, 1, 20) <= 0) continue;
    const ssize_t got = ::read(master_, buffer.data(), buffer.size());
    if (got > 0) result_.out.append(buffer.data(), static_cast<size_t>(got));
  }
  for (std::array<char, 4096> buffer; master_ >= 0;) {
    pollfd ready{master_, POLLIN, 0};
    const ssize_t got = ::poll(&ready, 1, 0) > 0 ? ::read(master_, buffer.data(), buffer.size()) : 0;
    if (got <= 0) break;
    result_.out.append(buffer.data(), static_cast<size_t>(got));
  }
  if (master_ < 0) result_.out = Drain(out_);
  result_.err = Drain(err_);
  return result_;
}

ProcessResult Run(const std::vector<std::string>& command, const ProcessOptions& options) {
  return Process(command, options).Wait();
}

}  // namespace driftseal::testing
