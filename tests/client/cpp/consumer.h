#ifndef DRIFTSEAL_TESTS_CLIENT_CPP_CONSUMER_H_
#define DRIFTSEAL_TESTS_CLIENT_CPP_CONSUMER_H_

#include <string>
#include <vector>

#include "tests/support/process.h"
#include "tests/support/temp_folder.h"

namespace driftseal::testing {

/// The program of consumer/, built against the library as it is installed, far from the source tree and in C++17.
class InstalledConsumer {
 public:
  InstalledConsumer();  ///< Throws with what the tools said where it cannot be built.
  ProcessResult Run(const std::string& address, const std::string& folder) const;

 private:
  void Do(const std::vector<std::string>& command) const;
  TempFolder folder_;
};

}  // namespace driftseal::testing

#endif  // DRIFTSEAL_TESTS_CLIENT_CPP_CONSUMER_H_
