#ifndef DRIFTSEAL_ENGINE_SCREEN_CANARY_SETS_H_
#define DRIFTSEAL_ENGINE_SCREEN_CANARY_SETS_H_

#include <string>
#include <vector>

#include "engine/canary/set_files.h"
#include "engine/detector/detector.h"

// Canary sets between the detector, which knows them by digest, and the files that hold them.
namespace driftseal::screen {

inline std::vector<canary::SetId> CanarySetsOf(const detector::Detector& detector) {
  std::vector<canary::SetId> ids;
  for (const detector::CanarySetId& set : detector.canary_sets()) ids.push_back({set.name, set.sha256});
  return ids;
}

/// For detector::FitOptions::canary_sets.
inline std::vector<detector::CanarySetId> ForDetector(const std::vector<canary::SetFile>& sets) {
  std::vector<detector::CanarySetId> ids;
  for (const canary::SetFile& file : sets) ids.push_back({file.id.name, file.id.sha256});
  return ids;
}

}  // namespace driftseal::screen

#endif  // DRIFTSEAL_ENGINE_SCREEN_CANARY_SETS_H_
