#include "engine/fingerprint/tensor_features.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "engine/artifact/text.h"
#include "engine/fingerprint/columns.h"
#include "engine/fingerprint/quantiles.h"
#include "engine/fingerprint/spectrum.h"
#include "engine/fingerprint/tensor_order.h"

namespace driftseal::fingerprint {
namespace {

using artifact::Cat;
using artifact::Source;
using artifact::TensorInfo;
using artifact::TensorTable;

constexpr uint64_t kVectorLimit = 4u << 20;  // Elements of all vectors of one kind together.
constexpr double kLeastVariance = 1e-12;

bool IsRunning(std::string_view name) { return name.ends_with("running_mean") || name.ends_with("running_var"); }

void SetQuantiles(std::span<const float> values, size_t first, Row& row) {
  constexpr double kProbabilities[] = {0, 0.25, 0.5, 0.75, 1};
  const Moments moments = MomentsOf(values);
  row.Set(first + kMean, moments.mean);
  row.Set(first + kLogVariance, std::log(std::max(moments.variance, kLeastVariance)));
  std::array<double, std::size(kProbabilities)> quantiles{};
  Quantiles(values, kProbabilities, quantiles);
  for (size_t i = 0; i < quantiles.size(); ++i) row.Set(first + kQ0 + i, quantiles[i]);
}

// One pass over a model's weight matrices, filling the row as it goes.
class WeightPass {
 public:
  WeightPass(const Source& source, const TensorTable& table, Row& row)
      : source_(source), table_(table), row_(row), matrices_(WeightMatrices(table)) {}

  absl::Status Run() {
    MissSlotsWithoutMatrix();
    for (size_t m = 0; m < matrices_.size(); ++m) {
      const std::optional<size_t> slot = SlotOf(m);
      if (slot || IsSampled(m)) Visit(m, slot);
    }
    SetAggregates();
    for (const auto& [kind, ending] :
         {std::pair{kScale, "weight"}, {kRunningMean, "running_mean"}, {kRunningVariance, "running_var"}}) {
      Vectors(kind, ending);
    }
    return status_;
  }

 private:
  // The first three matrices have slots 0-2 and the last three slots 3-5; fewer than six fill from the front.
  std::optional<size_t> SlotOf(size_t matrix) const {
    const size_t n = matrices_.size();
    if (n <= kSlots || matrix < kSlots / 2) return matrix;
    if (matrix + kSlots / 2 >= n) return kSlots - (n - matrix);
    return std::nullopt;
  }
  // Whether a matrix without a slot is one of those evenly spaced that go into the aggregates.
  bool IsSampled(size_t matrix) const {
    const size_t others = matrices_.size() - kSlots, wanted = std::min(others, kSpectraLimit - kSlots);
    const size_t i = matrix - kSlots / 2;
    for (size_t k = (i * wanted) / others; k < wanted && SpacedIndex(k, others, wanted) <= i; ++k) {
      if (SpacedIndex(k, others, wanted) == i) return true;
    }
    return false;
  }

  void MissSlotsWithoutMatrix() {
    const size_t n = matrices_.size();
    if (n >= kSlots) return;
    const std::string reason = n == 0 ? "the model has no weight matrix"
                                      : Cat("the model has only ", n, n == 1 ? " weight matrix" : " weight matrices");
    row_.Miss(SpectralColumn(n, kSigma1), (kSlots - n) * kSpectralStats, reason);
    row_.Miss(QuantileColumn(n, kWeight, kMean), (kSlots - n) * size_t{kSlotParts} * size_t{kQuantileStats}, reason);
    if (n == 0) row_.Miss(kHeadFirst, kTreesFirst - kHeadFirst, reason);
  }

  void Visit(size_t m, std::optional<size_t> slot) {
    const TensorInfo& tensor = *matrices_[m];
    const bool head = m + 1 == matrices_.size();
    absl::Status read = ReadSample(source_, tensor, sample_);
    if (read.ok() && !sample_.finite) read = NotFinite(tensor);
    if (!read.ok()) {
      Keep(read);
      if (slot) row_.Miss(SpectralColumn(*slot, kSigma1), kSpectralStats, ReasonOf(read));
      if (slot) row_.Miss(QuantileColumn(*slot, kWeight, kMean), kQuantileStats, ReasonOf(read));
      if (head) row_.Miss(kHeadFirst, kTreesFirst - kHeadFirst, ReasonOf(read));
      if (slot) BiasPart(*slot, tensor);
      return;
    }
    const auto spectrum = SpectralFeatures(SingularValues(sample_));
    for (size_t s = 0; s < kSpectralStats; ++s) {
      const auto stat = static_cast<SpectralStat>(s);
      if (!std::isnan(spectrum[s])) all_[s].push_back(spectrum[s]);
      if (slot && std::isnan(spectrum[s])) row_.Miss(SpectralColumn(*slot, stat), 1, SpectralReason(stat));
      if (slot && !std::isnan(spectrum[s])) row_.Set(SpectralColumn(*slot, stat), spectrum[s]);
    }
    if (!slot) return;
    SetQuantiles(sample_.values, QuantileColumn(*slot, kWeight, kMean), row_);
    BiasPart(*slot, tensor);
    if (head) FillHeadFeatures(sample_, bias_, row_);
  }

  // Leaves the bias of the slot's matrix in bias_, empty when there is none to use.
  void BiasPart(size_t slot, const TensorInfo& weight) {
    const size_t first = QuantileColumn(slot, kBias, kMean);
    bias_.clear();
    const TensorInfo* bias = BiasOf(table_, weight);
    if (bias == nullptr) return row_.Miss(first, kQuantileStats, "the weight matrix has no bias");
    absl::Status read = ReadTensor(source_, *bias, kVectorLimit, bias_);
    if (read.ok() && !AllFinite(bias_)) read = NotFinite(*bias);
    if (read.ok()) return SetQuantiles(bias_, first, row_);
    Keep(read);
    bias_.clear();
    row_.Miss(first, kQuantileStats, ReasonOf(read));
  }

  void SetAggregates() {
    for (size_t s = 0; s < kSpectralStats; ++s) {
      const auto stat = static_cast<SpectralStat>(s);
      if (all_[s].empty()) {
        row_.Miss(SpectralAggregateColumn(stat, kAggregateMin), kAggregates, "no weight matrix has this value");
        continue;
      }
      const auto [least, most] = std::minmax_element(all_[s].begin(), all_[s].end());
      row_.Set(SpectralAggregateColumn(stat, kAggregateMin), *least);
      row_.Set(SpectralAggregateColumn(stat, kAggregateMax), *most);
      row_.Set(SpectralAggregateColumn(stat, kAggregateMedian), MedianInPlace(all_[s]));
    }
  }

  void Vectors(VectorKind kind, std::string_view ending) {
    const size_t first = VectorColumn(kind, kVectorMean);
    std::vector<float> all, one;
    for (const TensorInfo& tensor : table_.tensors) {
      if (tensor.shape.size() != 1 || !IsFloat(tensor.dtype) || !tensor.name.ends_with(ending)) continue;
      if (tensor.shape[0] > kVectorLimit - all.size()) continue;
      absl::Status read = ReadTensor(source_, tensor, kVectorLimit, one);
      if (read.ok() && !AllFinite(one)) read = NotFinite(tensor);
      if (!read.ok()) {
        Keep(read);
        return row_.Miss(first, kVectorStats, ReasonOf(read));
      }
      all.insert(all.end(), one.begin(), one.end());
    }
    if (all.empty()) return row_.Miss(first, kVectorStats, "the model has no such tensor");
    const Moments moments = MomentsOf(all);
    const auto [least, most] = std::minmax_element(all.begin(), all.end());
    row_.Set(first + kVectorMean, moments.mean);
    row_.Set(first + kVectorStd, std::sqrt(moments.variance));
    row_.Set(first + kVectorMin, *least);
    row_.Set(first + kVectorMax, *most);
  }

  absl::Status NotFinite(const TensorInfo& tensor) const {
    return absl::InvalidArgumentError(Cat(source_.name(), ": tensor \"", tensor.name.substr(0, 80),
                                          "\": expected finite weights, found NaN or an infinity"));
  }
  void Keep(const absl::Status& status) {
    if (status_.ok()) status_ = status;
  }

  const Source& source_;
  const TensorTable& table_;
  Row& row_;
  std::vector<const TensorInfo*> matrices_;
  MatrixSample sample_;
  std::vector<float> bias_;
  std::array<std::vector<double>, kSpectralStats> all_;
  absl::Status status_;
};

}  // namespace

double CountParameters(const TensorTable& table) {
  double count = 0;
  for (const TensorInfo& tensor : table.tensors) {
    if (IsFloat(tensor.dtype) && !IsRunning(tensor.name)) count += static_cast<double>(tensor.Elements());
  }
  return count;
}

absl::Status FillTensorFeatures(const Source& source, const TensorTable& table, Row& row) {
  return WeightPass(source, table, row).Run();
}

}  // namespace driftseal::fingerprint
