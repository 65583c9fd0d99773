#ifndef DRIFTSEAL_ENGINE_SERVE_REPLAY_PROGRAM_H_
#define DRIFTSEAL_ENGINE_SERVE_REPLAY_PROGRAM_H_

#include <string>

namespace driftseal::serve {

/// driftseal-replay: beside this program, or where an installation or the build has it.
std::string ReplayProgram();

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_REPLAY_PROGRAM_H_
