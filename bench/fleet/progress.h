#ifndef DRIFTSEAL_BENCH_FLEET_PROGRESS_H_
#define DRIFTSEAL_BENCH_FLEET_PROGRESS_H_

#include <chrono>
#include <cstddef>
#include <mutex>
#include <string>

#include "absl/strings/string_view.h"

namespace driftseal::fleet {

/// Progress on standard error: one line that is written over on a terminal, a line every ten seconds elsewhere.
class Progress {
 public:
  explicit Progress(size_t total);
  void Say(absl::string_view line);
  void Done(absl::string_view domain);  ///< One more model of that domain; from any thread.
  void Finish();

 private:
  void Show(absl::string_view domain);
  std::mutex mutex_;
  size_t total_, done_ = 0;
  bool terminal_, shown_ = false;
  std::chrono::steady_clock::time_point start_, last_;
};

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_PROGRESS_H_
