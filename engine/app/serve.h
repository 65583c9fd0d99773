#ifndef DRIFTSEAL_ENGINE_APP_SERVE_H_
#define DRIFTSEAL_ENGINE_APP_SERVE_H_

#include "CLI/CLI.hpp"
#include "engine/serve/options.h"

// The commands of the engine.
namespace driftseal::app {

/// Add `serve` and `token` with their flags; when one is run, its exit code goes to `code`.
void AddServe(CLI::App& app, int& code);
void AddToken(CLI::App& app, int& code);

/// Runs the engine until a signal ends it. 0: everything that was accepted was answered. 3: it could not start, or had
/// to give up work at the end. 2: settings that cannot be together.
int RunEngine(const serve::Options& options);

/// Says on standard output what would run, or on standard error what is wrong. 0, 2 or 3 as RunEngine.
int CheckEngine(const serve::Options& options);

}  // namespace driftseal::app

#endif  // DRIFTSEAL_ENGINE_APP_SERVE_H_
