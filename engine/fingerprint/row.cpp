#include "engine/fingerprint/row.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

namespace driftseal::fingerprint {
namespace {

constexpr uint16_t kSet = 0xFFFF;

}  // namespace

Row::Row(size_t columns)
    : values_(columns, std::numeric_limits<float>::quiet_NaN()), reasons_{"not computed"}, reason_of_(columns, 0) {}

void Row::Set(size_t column, double value) {
  assert(column < values_.size());
  if (!(std::fabs(value) <= std::numeric_limits<float>::max())) {
    return Miss(column, 1, std::isnan(value) ? "not a number for this model" : "out of the range of float32");
  }
  values_[column] = static_cast<float>(value);
  reason_of_[column] = kSet;
}

void Row::Miss(size_t first, size_t count, std::string_view reason) {
  assert(first + count <= values_.size());
  const uint16_t id = ReasonId(reason);
  for (size_t c = first; c < first + count; ++c) {
    values_[c] = std::numeric_limits<float>::quiet_NaN();
    reason_of_[c] = id;
  }
}

uint16_t Row::ReasonId(std::string_view reason) {
  const auto known = std::find(reasons_.begin(), reasons_.end(), reason);
  if (known != reasons_.end()) return static_cast<uint16_t>(known - reasons_.begin());
  reasons_.emplace_back(reason);
  return static_cast<uint16_t>(reasons_.size() - 1);
}

void Row::Finish(Fingerprint& out) && {
  for (size_t c = 0; c < values_.size();) {
    size_t end = c + 1;
    while (end < values_.size() && reason_of_[end] == reason_of_[c]) ++end;
    if (reason_of_[c] != kSet) out.missing.push_back({c, end - c, reasons_[reason_of_[c]]});
    c = end;
  }
  out.values = std::move(values_);
}

}  // namespace driftseal::fingerprint
