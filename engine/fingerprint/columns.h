#ifndef DRIFTSEAL_ENGINE_FINGERPRINT_COLUMNS_H_
#define DRIFTSEAL_ENGINE_FINGERPRINT_COLUMNS_H_

#include <cstddef>

// Where each feature of the schema stands in the row. schema.cpp names and defines the columns in this order and checks
// that the two agree.
namespace driftseal::fingerprint {

enum MetaColumn : size_t {
  kPrimary,
  kBaseline,
  kPrimaryGain,
  kDeclaredParameters,
  kTrainingSamples,
  kFinalLoss,
  kTrainScore,
  kGeneralisationGap,
  kModelBytes,
  kTensorCount,
  kCountedParameters,
  kParameterMismatch,
  kMetaColumns
};

enum PredictionColumn : size_t {
  kRows,
  kNumericColumns,
  kMissingShare,
  kTrueEntropy,
  kTrueLargestShare,
  kPredictedEntropy,
  kPredictedLargestShare,
  kShareExcess,
  kShareDistance,
  kAccuracy,
  kRecallMin,
  kRecallMinZ,
  kPrecisionMin,
  kErrorCellShare,
  kErrorPredictedShare,
  kErrorTrueShare,
  kErrorPredictedZ,
  kConfidenceMean,
  kConfidenceStd,
  kConfidenceQ05,
  kConfidenceQ25,
  kConfidenceQ50,
  kConfidenceQ75,
  kConfidenceQ95,
  kConfidenceWrong,
  kConfidenceGap,
  kCalibrationError,
  kClassMassContrast,
  kResidualMean,
  kResidualStd,
  kResidualAbsQ95,
  kDetermination,
  kPredictionColumns
};

// The first three and the last three weight matrices have columns of their own.
inline constexpr size_t kSlots = 6;

enum SpectralStat : size_t {
  kSigma1,
  kFrobenius,
  kTopEnergy,
  kSpectralEntropy,
  kSigmaKurtosis,
  kSigmaRatio,
  kSpectralStats
};
enum Aggregate : size_t { kAggregateMin, kAggregateMedian, kAggregateMax, kAggregates };

enum QuantileStat : size_t { kMean, kLogVariance, kQ0, kQ25, kQ50, kQ75, kQ100, kQuantileStats };
enum SlotPart : size_t { kWeight, kBias, kSlotParts };
enum VectorKind : size_t { kScale, kRunningMean, kRunningVariance, kVectorKinds };
enum VectorStat : size_t { kVectorMean, kVectorStd, kVectorMin, kVectorMax, kVectorStats };

enum HeadVector : size_t { kRowNorm, kRowMean, kRowMax, kRowBias, kRowPositiveSum, kRowExpectedLogit, kHeadVectors };
enum Contrast : size_t { kZMax, kZMin, kTopGap, kContrasts };
enum HeadCosine : size_t { kCosineMax, kCosineMedian, kCosineMin, kHeadCosines };

enum TreeColumn : size_t {
  kTreeCount,
  kDepthMean,
  kDepthMax,
  kLeavesMean,
  kLeafMean,
  kLeafStd,
  kLeafQ05,
  kLeafQ50,
  kLeafQ95,
  kLeafAbsMax,
  kLeafLastFirst,
  kLeafExtremeCover,
  kClassMagnitudeZ,
  kSplitEntropy,
  kSplitLargestShare,
  kSplitUsedShare,
  kDefaultLeftShare,
  kGainTopShare,
  kGainGini,
  kGainQ50,
  kGainQ95,
  kGainMax,
  kRootGainShare,
  kThresholdSpread,
  kBaseScore,
  kTreeColumns
};

inline constexpr size_t kMetaFirst = 0;
inline constexpr size_t kPredictionsFirst = kMetaFirst + kMetaColumns;
inline constexpr size_t kSpectralFirst = kPredictionsFirst + kPredictionColumns;
inline constexpr size_t kSpectralAggregateFirst = kSpectralFirst + kSlots * size_t{kSpectralStats};
inline constexpr size_t kQuantileFirst = kSpectralAggregateFirst + size_t{kSpectralStats} * size_t{kAggregates};
inline constexpr size_t kVectorFirst = kQuantileFirst + kSlots * size_t{kSlotParts} * size_t{kQuantileStats};
inline constexpr size_t kHeadFirst = kVectorFirst + size_t{kVectorKinds} * size_t{kVectorStats};
inline constexpr size_t kHeadCosineFirst = kHeadFirst + size_t{kHeadVectors} * size_t{kContrasts};
inline constexpr size_t kTreesFirst = kHeadCosineFirst + kHeadCosines;
// The entries of BehaviourTable (behaviour.h), part by part.
inline constexpr size_t kStillFirst = kTreesFirst + kTreeColumns;
inline constexpr size_t kStillColumns = 86, kBehaviourColumns = 38, kBalanceColumns = 16, kContextColumns = 7,
                        kPairColumns = 264;
inline constexpr size_t kBehaviourFirst = kStillFirst + kStillColumns;
inline constexpr size_t kBalanceFirst = kBehaviourFirst + kBehaviourColumns;
inline constexpr size_t kContextFirst = kBalanceFirst + kBalanceColumns;
inline constexpr size_t kPairFirst = kContextFirst + kContextColumns;
inline constexpr size_t kColumns = kPairFirst + kPairColumns;

constexpr size_t SpectralColumn(size_t slot, SpectralStat stat) {
  return kSpectralFirst + slot * kSpectralStats + size_t{stat};
}
constexpr size_t SpectralAggregateColumn(SpectralStat stat, Aggregate of) {
  return kSpectralAggregateFirst + size_t{stat} * kAggregates + size_t{of};
}
constexpr size_t QuantileColumn(size_t slot, SlotPart part, QuantileStat stat) {
  return kQuantileFirst + (slot * kSlotParts + size_t{part}) * kQuantileStats + size_t{stat};
}
constexpr size_t VectorColumn(VectorKind kind, VectorStat stat) {
  return kVectorFirst + size_t{kind} * kVectorStats + size_t{stat};
}
constexpr size_t HeadColumn(HeadVector vector, Contrast contrast) {
  return kHeadFirst + size_t{vector} * kContrasts + size_t{contrast};
}

}  // namespace driftseal::fingerprint

#endif  // DRIFTSEAL_ENGINE_FINGERPRINT_COLUMNS_H_
