#ifndef DRIFTSEAL_ENGINE_APP_COMMANDS_H_
#define DRIFTSEAL_ENGINE_APP_COMMANDS_H_

#include "engine/app/arguments.h"

// One function a command. Each returns the exit code: 0 pass, 1 review or quarantine, 2 usage, 3 input or I/O error,
// 4 inconclusive.
namespace driftseal::app {

int Fit(const Arguments& arguments);
int Score(const Arguments& arguments);
int Verify(const Arguments& arguments);
int ScoreAll(const Arguments& arguments);
int VerifyAll(const Arguments& arguments);
int BackfillHashes(const Arguments& arguments);
int Describe(const Arguments& arguments);
int SanitizePredictions(const Arguments& arguments);
int SelfTest(const Arguments& arguments);
int PrintFingerprints(const Arguments& arguments);
int PrintSchema(const Arguments& arguments);

}  // namespace driftseal::app

#endif  // DRIFTSEAL_ENGINE_APP_COMMANDS_H_
