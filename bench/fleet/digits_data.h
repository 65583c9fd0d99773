#ifndef DRIFTSEAL_BENCH_FLEET_DIGITS_DATA_H_
#define DRIFTSEAL_BENCH_FLEET_DIGITS_DATA_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "bench/fleet/domain.h"

namespace driftseal::fleet {

inline constexpr int kDigitSide = 8;
inline constexpr int kDigitClasses = 10;

/// 1,797 handwritten digits of 8 × 8 pixels (Alpaydin and Kaynak 1998, UCI; the copy in scikit-learn's package), pixels
/// scaled to 0..1, or where the file is missing a seeded generator of the same shape. The originals are divided class
/// by class: canaries (40 of each), probe (30), test (20), pool (the rest). There are few, so all but the canaries are
/// joined by variants of their own originals only: moved by part of a pixel, turned, scaled, a little noise. Loaded
/// once. DataLoss when the file is not what it should be, NotFound when the one that was named is not there.
absl::StatusOr<std::shared_ptr<const Data>> LoadDigits(const DataOptions& options);

/// Reads a file of 65 columns (64 pixels 0..16, the digit), plain or compressed with gzip. DataLoss naming the line.
absl::StatusOr<Rows> ReadDigits(const std::string& path);

/// Ten classes of strokes drawn with a shaking hand.
Rows GenerateDigits(size_t count, uint64_t seed);

/// Where scikit-learn's copy lies: in build/venv or venv of the folders above the program or the current one, or in the
/// Python installation that stands first on PATH. Empty where there is none.
std::string FindDigits();

/// Divides and multiplies originals as LoadDigits says. The same rows for the same originals.
absl::StatusOr<Data> DivideDigits(const Rows& originals, std::string source);

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_DIGITS_DATA_H_
