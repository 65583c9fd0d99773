#ifndef DRIFTSEAL_ENGINE_SERVE_FIT_CANARY_H_
#define DRIFTSEAL_ENGINE_SERVE_FIT_CANARY_H_

#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "driftseal/v1/detectors.pb.h"
#include "engine/canary/set_files.h"
#include "engine/detector/detector.h"
#include "engine/detector/registry.h"
#include "engine/serve/engine.h"

// Canary sets of the detectors that an engine stores.
namespace driftseal::serve {

/// What of a FitRequest's canary sets can be told at once. InvalidArgument, PermissionDenied or NotFound naming the
/// field.
absl::Status CheckCanarySets(const Engine& engine, const v1::FitRequest& request);
/// The sets that it names: files beneath the artifact root, and those of another detector. Errors name the field.
absl::StatusOr<std::vector<canary::SetFile>> CanarySetsOf(const Engine& engine, const v1::FitRequest& request);
/// The sets that a detector names, in a folder beneath the artifact root. Errors as canary::LoadSets.
absl::StatusOr<std::vector<canary::SetFile>> CanarySetsOf(const Engine& engine, const detector::Detector& detector,
                                                          const std::string& folder);
/// As they are stored with a detector; views into `sets`.
std::vector<detector::BesideFile> Beside(std::span<const canary::SetFile> sets);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_FIT_CANARY_H_
