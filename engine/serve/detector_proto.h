#ifndef DRIFTSEAL_ENGINE_SERVE_DETECTOR_PROTO_H_
#define DRIFTSEAL_ENGINE_SERVE_DETECTOR_PROTO_H_

#include "driftseal/v1/detectors.pb.h"
#include "engine/detector/registry.h"

namespace driftseal::serve {

/// A version as List tells it.
v1::Detector ToProto(const detector::RegisteredDetector& registered);
/// What Get tells beyond it.
void AddContents(const detector::Detector& detector, v1::Detector& out);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_DETECTOR_PROTO_H_
