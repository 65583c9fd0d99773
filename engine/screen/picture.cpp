#include "engine/screen/picture.h"

namespace driftseal::screen {

std::string PictureUri(const replay::RawBehaviour::Picture&, const replay::CanarySet&) { return ""; }

}  // namespace driftseal::screen
