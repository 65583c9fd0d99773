#ifndef DRIFTSEAL_ENGINE_FINGERPRINT_QUANTILES_H_
#define DRIFTSEAL_ENGINE_FINGERPRINT_QUANTILES_H_

#include <span>
#include <vector>

namespace driftseal::fingerprint {

/// Quantiles of finite values with linear interpolation between order statistics (Hyndman and Fan 1996, definition 7;
/// NumPy's default). `probabilities` lie in [0, 1]; needs at least one value. Linear time: one histogram over the
/// leading bits of the floats, then a selection within the bucket of each quantile.
void Quantiles(std::span<const float> values, std::span<const double> probabilities, std::span<double> out);

struct Moments {
  double mean = 0, variance = 0;  ///< Variance of the population (divided by n).
};
/// In two passes; needs at least one value.
Moments MomentsOf(std::span<const float> values);

/// The median, reordering `values`; needs at least one.
double MedianInPlace(std::span<double> values);

/// How far single values stand out: z = (v − median) / (1.4826·MAD + floor). `ok` is false when the divisor is 0 or
/// there are fewer than 3 values.
struct RobustContrast {
  bool ok = false;
  double z_max = 0, z_min = 0;  ///< z_min is −min z.
  double top_gap = 0;           ///< (largest − second largest) in the same unit.
};
RobustContrast ContrastOf(std::span<const double> values, double floor);

}  // namespace driftseal::fingerprint

#endif  // DRIFTSEAL_ENGINE_FINGERPRINT_QUANTILES_H_
