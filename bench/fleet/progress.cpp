#include "bench/fleet/progress.h"

#include <unistd.h>

#include <cstdio>

#include "absl/strings/str_format.h"

namespace driftseal::fleet {
namespace {

constexpr double kLineSeconds = 10, kTerminalSeconds = 0.1;

std::string Clock(double seconds) {
  const int whole = static_cast<int>(seconds + 0.5);
  return absl::StrFormat("%d:%02d", whole / 60, whole % 60);
}

}  // namespace

Progress::Progress(size_t total)
    : total_(total), terminal_(isatty(STDERR_FILENO) != 0), start_(std::chrono::steady_clock::now()), last_(start_) {}

void Progress::Say(absl::string_view line) {
  const std::lock_guard lock(mutex_);
  absl::FPrintF(stderr, "%s\n", line);
}

void Progress::Done(absl::string_view domain) {
  const std::lock_guard lock(mutex_);
  ++done_;
  const auto now = std::chrono::steady_clock::now();
  const double since = std::chrono::duration<double>(now - last_).count();
  if (done_ != total_ && since < (terminal_ ? kTerminalSeconds : kLineSeconds)) return;
  last_ = now;
  Show(domain);
}

void Progress::Show(absl::string_view domain) {
  const double seconds = std::chrono::duration<double>(last_ - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(done_) / seconds : 0;
  const std::string eta = rate > 0 ? Clock(static_cast<double>(total_ - done_) / rate) : "?";
  absl::FPrintF(stderr, "%sfleet %d/%d  %.2f models/s  ETA %s  %s%s", terminal_ ? "\r\x1b[K" : "", done_, total_, rate,
                eta, domain, terminal_ ? "" : "\n");
  std::fflush(stderr);
  shown_ = true;
}

void Progress::Finish() {
  const std::lock_guard lock(mutex_);
  if (terminal_ && shown_) absl::FPrintF(stderr, "\n");
}

}  // namespace driftseal::fleet
