#include "engine/serve/detector_proto.h"

#include "engine/artifact/text.h"
#include "engine/screen/canary_sets.h"
#include "engine/serve/verdict_proto.h"

namespace driftseal::serve {

v1::Detector ToProto(const detector::RegisteredDetector& registered) {
  v1::Detector out;
  out.set_name(registered.name);
  out.set_version(registered.version);
  out.set_active(registered.active);
  out.set_schema(Utf8(artifact::Cat(registered.schema_name, "/", registered.schema_version)));
  out.set_origin(Utf8(registered.origin));
  out.set_sha256(registered.sha256);
  return out;
}

void AddContents(const detector::Detector& detector, v1::Detector& out) {
  for (const std::string& feature : detector.schema().features) out.add_features(Utf8(feature));
  for (const canary::SetId& id : screen::CanarySetsOf(detector)) {
    v1::CanarySet& to = *out.add_canary_sets();
    to.set_name(Utf8(id.name));
    to.set_sha256(id.sha256);
  }
  for (const auto& family : detector.families()) {
    v1::Family& to = *out.add_families();
    to.set_key(Utf8(family.key));
    to.set_fitted_on(family.fitted_on);
    to.set_calibrated_on(family.calibrated_on);
    to.set_features_used(family.features_used);
    to.set_own_detector(family.own_detector);
  }
}

}  // namespace driftseal::serve
