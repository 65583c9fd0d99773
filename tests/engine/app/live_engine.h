#ifndef DRIFTSEAL_TESTS_ENGINE_APP_LIVE_ENGINE_H_
#define DRIFTSEAL_TESTS_ENGINE_APP_LIVE_ENGINE_H_

#include <memory>
#include <string>
#include <vector>

#include "tests/support/process.h"
#include "tests/support/temp_folder.h"

namespace driftseal::testing {

/// `driftseal serve` as a user starts it, on a port of its own, which it keeps when it is started again.
class LiveEngine {
 public:
  /// Serves `artifact_root` with the detector of `model_dir` (empty: without one). Throws when it does not come up.
  LiveEngine(const std::string& artifact_root, const std::string& model_dir, std::vector<std::string> more = {});
  ~LiveEngine();

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  /// kill -9.
  void Kill();
  void Start();
  /// SIGTERM, and how it ended.
  ProcessResult Stop();

 private:
  TempFolder folder_;
  std::vector<std::string> arguments_;
  int port_ = 0;
  std::unique_ptr<Process> process_;
};

}  // namespace driftseal::testing

#endif  // DRIFTSEAL_TESTS_ENGINE_APP_LIVE_ENGINE_H_
