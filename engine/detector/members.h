#ifndef DRIFTSEAL_ENGINE_DETECTOR_MEMBERS_H_
#define DRIFTSEAL_ENGINE_DETECTOR_MEMBERS_H_

#include <array>
#include <bitset>
#include <span>

#include "engine/detector/state.h"
#include "kernels/rows.h"

namespace driftseal::detector {

using MemberChoice = std::bitset<kernels::ensemble::kMembers>;
using RawScores = std::array<double, kernels::ensemble::kMembers>;

/// All chosen members but the autoencoder, which the replay process trains. rows.rows >= 2, finite.
MemberSet FitMembers(kernels::RowsView<double> rows, const MemberChoice& choice, uint64_t seed);

/// One scaled row; NaN for members that are not there.
RawScores ScoreScaled(const MemberSet& members, std::span<const double> row);

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_MEMBERS_H_
