#ifndef DRIFTSEAL_ENGINE_SERVE_FIT_OPERATION_H_
#define DRIFTSEAL_ENGINE_SERVE_FIT_OPERATION_H_

#include "absl/status/statusor.h"
#include "engine/serve/engine.h"
#include "engine/serve/operations.h"

namespace driftseal::serve {

/// What a FitRequest asks for, as an operation: stages "reading models", "fitting", "saving". InvalidArgument naming
/// the field, PermissionDenied, AlreadyExists for a version that is there, at once.
absl::StatusOr<Operations::Work> FitWork(Engine& engine, const v1::FitRequest& request);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_FIT_OPERATION_H_
