#ifndef DRIFTSEAL_TESTS_ENGINE_REPLAY_SERVICE_HOSTILE_CALLS_H_
#define DRIFTSEAL_TESTS_ENGINE_REPLAY_SERVICE_HOSTILE_CALLS_H_

#include <string>

namespace driftseal::testing {

/// Tries every way out of the sandbox that the table names; one line each, "open-read EPERM", "0" where it worked.
std::string TryEverything();

}  // namespace driftseal::testing

#endif  // DRIFTSEAL_TESTS_ENGINE_REPLAY_SERVICE_HOSTILE_CALLS_H_
