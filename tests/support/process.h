#ifndef DRIFTSEAL_TESTS_SUPPORT_PROCESS_H_
#define DRIFTSEAL_TESTS_SUPPORT_PROCESS_H_

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

// Runs a program as a user does, and keeps what it says.
namespace driftseal::testing {

struct ProcessOptions {
  std::string folder = {};                              ///< Where it runs; the test's own folder when empty.
  std::map<std::string, std::string> environment = {};  ///< On top of the test's own.
  bool terminal = false;                                ///< Standard output is a terminal (of 100 columns) and no file.
  bool as_nobody = false;  ///< As a user for whom permissions count, where the test runs as root.
  double limit_seconds = 100;
};

struct ProcessResult {
  int code = -1;    ///< Exit status; -1 when a signal ended it.
  int signal = 0;   ///< That signal; SIGKILL also when it ran past the limit.
  std::string out;  ///< With `terminal`, as the terminal got it: lines end in "\r\n".
  std::string err;
  long peak_kib = 0;  ///< Largest resident set.
};

/// A program that is running. Its output goes to memory, so that it never waits for its reader (but on a terminal).
class Process {
 public:
  Process(const std::vector<std::string>& command, const ProcessOptions& options);
  ~Process();  ///< Kills what still runs.
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void Signal(int signal) const;
  bool Running();
  ProcessResult Wait();

 private:
  void Reap(bool block);
  std::string Drain(int fd) const;
  ProcessOptions options_;
  pid_t pid_ = -1;
  int out_ = -1, err_ = -1, master_ = -1;
  bool ended_ = false;
  ProcessResult result_;
};

ProcessResult Run(const std::vector<std::string>& command, const ProcessOptions& options = {});

}  // namespace driftseal::testing

#endif  // DRIFTSEAL_TESTS_SUPPORT_PROCESS_H_
