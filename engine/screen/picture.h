#ifndef DRIFTSEAL_ENGINE_SCREEN_PICTURE_H_
#define DRIFTSEAL_ENGINE_SCREEN_PICTURE_H_

#include <string>

#include "engine/replay/protocol/behaviour.h"

namespace driftseal::screen {

/// One input without and with the trigger, side by side, as a data URI of a PNG; empty where no picture can be made of
/// it (neither grey nor RGB).
std::string PictureUri(const replay::RawBehaviour::Picture& picture, const replay::CanarySet& set);

}  // namespace driftseal::screen

#endif  // DRIFTSEAL_ENGINE_SCREEN_PICTURE_H_
