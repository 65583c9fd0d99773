#ifndef DRIFTSEAL_ENGINE_DETECTOR_STATISTICS_H_
#define DRIFTSEAL_ENGINE_DETECTOR_STATISTICS_H_

#include <span>
#include <vector>

namespace driftseal::detector {

/// Makes a normal distribution's MAD its standard deviation: 1/Φ⁻¹(3/4).
inline constexpr double kMadToSigma = 1.4826;
/// The same for the interquartile range: 1/(2·Φ⁻¹(3/4)).
inline constexpr double kIqrToSigma = 0.7413;

/// Quantile by linear interpolation between order statistics (type 7 of Hyndman, Fan 1996; NumPy's default). `sorted`
/// is ascending and not empty; 0 <= q <= 1.
double Quantile(std::span<const double> sorted, double q);
/// Takes its own copy to sort; not empty.
double Median(std::vector<double> values);
/// Median of |x − centre|.
double MedianDeviation(std::span<const double> values, double centre);
/// With n − 1 in the denominator; 0 for fewer than 2 values.
double StandardDeviation(std::span<const double> values);

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_STATISTICS_H_
