#ifndef DRIFTSEAL_ENGINE_FINGERPRINT_ROW_H_
#define DRIFTSEAL_ENGINE_FINGERPRINT_ROW_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/fingerprint/fingerprint.h"

namespace driftseal::fingerprint {

/// A fingerprint in the making: every column is either set to a finite number or missing for a reason.
class Row {
 public:
  explicit Row(size_t columns);

  /// A value that float32 cannot hold (NaN, infinite, too large) becomes missing, saying so.
  void Set(size_t column, double value);
  /// Makes [first, first + count) missing.
  void Miss(size_t first, size_t count, std::string_view reason);
  /// Moves the row into `out.values` and `out.missing`, runs of columns with the same reason as one entry.
  void Finish(Fingerprint& out) &&;

 private:
  uint16_t ReasonId(std::string_view reason);

  std::vector<float> values_;
  std::vector<std::string> reasons_;  // Few a model; position is the id.
  std::vector<uint16_t> reason_of_;   // A column's reason, kSet where it has a value.
};

/// A status's message as the reason for missing columns.
inline std::string_view ReasonOf(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

}  // namespace driftseal::fingerprint

#endif  // DRIFTSEAL_ENGINE_FINGERPRINT_ROW_H_
