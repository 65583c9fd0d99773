#include "tests/client/cpp/consumer.h"

#include <filesystem>
#include <stdexcept>

namespace driftseal::testing {

InstalledConsumer::InstalledConsumer() {
  const std::string prefix = (folder_ / "prefix").string();
  Do({DRIFTSEAL_CMAKE, "--install", DRIFTSEAL_BINARY_DIR, "--component", "sdk", "--prefix", prefix});
  std::filesystem::copy(DRIFTSEAL_SOURCE_DIR "/tests/client/cpp/consumer", folder_ / "consumer");
  Do({DRIFTSEAL_CMAKE, "-S", "consumer", "-B", "build", "-DCMAKE_PREFIX_PATH=" + prefix, "-DCMAKE_CXX_STANDARD=17",
      "-DCMAKE_CXX_EXTENSIONS=OFF", "-DCMAKE_CXX_FLAGS=" DRIFTSEAL_SANITIZE_FLAGS " -Wall -Wextra -Werror"});
  Do({DRIFTSEAL_CMAKE, "--build", "build"});
}

ProcessResult InstalledConsumer::Run(const std::string& address, const std::string& folder) const {
  return testing::Run({(folder_ / "build/consumer").string(), address, folder});
}

void InstalledConsumer::Do(const std::vector<std::string>& command) const {
  ProcessOptions options;
  options.folder = folder_.string();
  options.limit_seconds = 280;
  const ProcessResult result = testing::Run(command, options);
  if (result.code != 0) throw std::runtime_error(command[0] + " " + command[1] + "\n" + result.out + result.err);
}

}  // namespace driftseal::testing
