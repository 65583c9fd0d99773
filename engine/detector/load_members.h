#ifndef DRIFTSEAL_ENGINE_DETECTOR_LOAD_MEMBERS_H_
#define DRIFTSEAL_ENGINE_DETECTOR_LOAD_MEMBERS_H_

#include <string>

#include "engine/detector/state.h"
#include "engine/detector/state_reader.h"

namespace driftseal::detector {

/// The members that `json` names, for rows of `cols` values; checked so that the kernels can trust them (indices in
/// range, trees without cycles, shapes that fit). Believe the result only when in.ok().
MemberSet ReadMembers(StateReader& in, const Json& json, const std::string& where, const std::string& prefix,
                      size_t cols);

/// The tensors `prefix`.mean, .directions and .weights, and json.isotropic.
kernels::mahalanobis::Mahalanobis ReadMahalanobis(StateReader& in, const Json& json, const std::string& where,
                                                  const std::string& prefix, size_t cols);

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_LOAD_MEMBERS_H_
