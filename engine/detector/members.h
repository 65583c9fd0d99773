#ifndef DRIFTSEAL_ENGINE_DETECTOR_MEMBERS_H_
#define DRIFTSEAL_ENGINE_DETECTOR_MEMBERS_H_

#include <bitset>
#include <span>

#include "engine/detector/kernel_backend.h"
#include "engine/detector/state.h"
#include "kernels/rows.h"

namespace driftseal::detector {

using MemberChoice = std::bitset<kernels::ensemble::kMembers>;

/// All chosen members but the autoencoder, which the replay process trains. rows.rows >= 2, finite.
MemberSet FitMembers(kernels::RowsView<double> rows, const MemberChoice& choice, uint64_t seed);

/// One scaled row, in double precision; NaN for members that are not there.
RawScores ScoreScaled(const MemberSet& members, std::span<const double> row);

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_MEMBERS_H_
