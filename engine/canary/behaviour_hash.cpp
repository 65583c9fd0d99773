#include "engine/canary/behaviour_hash.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>
#include <utility>

#include "engine/artifact/text.h"

namespace driftseal::canary {
namespace {

using artifact::Cat;
using artifact::Digest;

constexpr double kStepsPerScale = 4, kBoundsPerScale = 256;
constexpr double kMostBucket = 1 << 30;
// What double precision itself adds to a distance, relative to the largest logit of the row; far above its rounding.
constexpr double kRounding = 1e-12;

// One row, centred. Returns its largest magnitude before.
double Centre(std::span<const float> row, std::vector<double>& out) {
  double sum = 0, largest = 0;
  for (const float value : row) {
    sum += value;
    largest = std::max(largest, std::abs(static_cast<double>(value)));
  }
  const double mean = sum / static_cast<double>(row.size());
  out.resize(row.size());
  for (size_t c = 0; c < row.size(); ++c) out[c] = row[c] - mean;
  return largest;
}

struct Symbols {
  std::vector<int32_t> values;
  std::vector<uint8_t> mask;  // Where these logits themselves leave it open.
};

size_t OrderOf(const HashParameters& parameters, size_t classes) { return std::min<size_t>(parameters.order, classes); }

// Centring lets an entry move by up to twice the bound: by its own and by the mean's.
void Quantise(std::span<const double> row, double slack, const HashParameters& parameters, Symbols& out) {
  for (const double value : row) {
    const double place = value / parameters.step + 0.5, bucket = std::floor(place);
    const double inside = (place - bucket) * parameters.step;
    out.values.push_back(static_cast<int32_t>(std::clamp(bucket, -kMostBucket, kMostBucket)));
    out.mask.push_back(std::min(inside, parameters.step - inside) <= 2 * parameters.bound + slack);
  }
}

// A rank is sure when the gaps above and below it exceed what both sides may move.
void Rank(std::span<const double> row, double slack, const HashParameters& parameters, Symbols& out) {
  std::vector<int32_t> ranked(row.size());
  std::iota(ranked.begin(), ranked.end(), 0);
  const size_t order = OrderOf(parameters, row.size());
  const auto above = [&](int32_t a, int32_t b) { return row[a] != row[b] ? row[a] > row[b] : a < b; };
  const size_t needed = std::min(order + 1, ranked.size());
  std::partial_sort(ranked.begin(), ranked.begin() + static_cast<std::ptrdiff_t>(needed), ranked.end(), above);
  const auto open = [&](size_t upper) {
    return upper + 1 < ranked.size() && row[ranked[upper]] - row[ranked[upper + 1]] <= 2 * parameters.bound + slack;
  };
  for (size_t k = 0; k < order; ++k) {
    out.values.push_back(ranked[k]);
    out.mask.push_back(open(k) || (k > 0 && open(k - 1)));
  }
}

Symbols SymbolsOf(std::span<const float> logits, size_t classes, const HashParameters& parameters) {
  Symbols symbols, ranks;
  std::vector<double> row;
  for (size_t at = 0; at < logits.size(); at += classes) {
    const double slack = kRounding * Centre(logits.subspan(at, classes), row);
    Quantise(row, slack, parameters, symbols);
    Rank(row, slack, parameters, ranks);
  }
  symbols.values.insert(symbols.values.end(), ranks.values.begin(), ranks.values.end());
  symbols.mask.insert(symbols.mask.end(), ranks.mask.begin(), ranks.mask.end());
  return symbols;
}

void Append(uint64_t value, size_t bytes, std::vector<std::byte>& out) {
  for (size_t i = 0; i < bytes; ++i) out.push_back(static_cast<std::byte>(value >> (8 * i)));
}

Digest HashOf(const EnrolledBehaviour& enrolled, const std::vector<int32_t>& symbols) {
  constexpr std::string_view kName = "driftseal-behaviour-hash/1";
  std::vector<std::byte> bytes;
  bytes.reserve(100 + 5 * symbols.size());
  for (const char c : kName) bytes.push_back(static_cast<std::byte>(c));
  for (const uint8_t b : enrolled.inputs_sha256.bytes) bytes.push_back(static_cast<std::byte>(b));
  Append(enrolled.inputs, 4, bytes);
  Append(enrolled.classes, 4, bytes);
  Append(enrolled.parameters.order, 4, bytes);
  Append(std::bit_cast<uint64_t>(enrolled.parameters.step), 8, bytes);
  Append(std::bit_cast<uint64_t>(enrolled.parameters.bound), 8, bytes);
  for (const uint8_t masked : enrolled.mask) bytes.push_back(static_cast<std::byte>(masked));
  for (size_t i = 0; i < symbols.size(); ++i) {
    Append(enrolled.mask[i] != 0 ? 0 : static_cast<uint32_t>(symbols[i]), 4, bytes);
  }
  return artifact::Sha256(bytes);
}

absl::Status CheckLogits(std::span<const float> logits) {
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!std::isfinite(logits[i])) return absl::InvalidArgumentError(Cat("logits: element ", i, " is not finite"));
  }
  return absl::OkStatus();
}

}  // namespace

HashParameters ParametersOf(std::span<const float> logits, size_t classes) {
  double squares = 0;
  std::vector<double> row;
  for (size_t at = 0; classes > 0 && at + classes <= logits.size(); at += classes) {
    Centre(logits.subspan(at, classes), row);
    for (const double value : row) squares += value * value;
  }
  double scale = logits.empty() ? 0 : std::sqrt(squares / static_cast<double>(logits.size()));
  // A model that says the same about every class has no scale of its own.
  if (!(scale > 1e-30) || !std::isfinite(scale)) scale = 1;
  return {scale / kStepsPerScale, scale / kBoundsPerScale, 3};
}

absl::StatusOr<EnrolledBehaviour> EnrolBehaviour(std::span<const float> logits, size_t classes,
                                                 const HashParameters& parameters, const Digest& inputs_sha256) {
  const auto bad = [](std::string_view what) { return absl::InvalidArgumentError(Cat("behaviour hash: ", what)); };
  if (classes < 2 || logits.empty() || logits.size() % classes != 0) {
    return bad(Cat(logits.size(), " logits are no rows of ", classes, " classes"));
  }
  if (!(parameters.step > 0) || !std::isfinite(parameters.step) || !(parameters.bound >= 0) ||
      !(4 * parameters.bound < parameters.step)) {
    return bad("expected a step above 0 and a bound of at least 0 and below a quarter of the step");
  }
  if (parameters.order == 0 || parameters.order > 16) return bad("order: expected 1 to 16");
  if (absl::Status status = CheckLogits(logits); !status.ok()) return status;
  EnrolledBehaviour enrolled;
  enrolled.inputs = static_cast<uint32_t>(logits.size() / classes);
  enrolled.classes = static_cast<uint32_t>(classes);
  enrolled.parameters = parameters;
  enrolled.inputs_sha256 = inputs_sha256;
  Symbols symbols = SymbolsOf(logits, classes, parameters);
  enrolled.mask = std::move(symbols.mask);
  enrolled.symbols = std::move(symbols.values);
  for (size_t i = 0; i < enrolled.symbols.size(); ++i) {
    if (enrolled.mask[i] != 0) enrolled.symbols[i] = 0;
  }
  enrolled.hash = HashOf(enrolled, enrolled.symbols);
  return enrolled;
}

absl::StatusOr<BehaviourMatch> MatchBehaviour(std::span<const float> logits, const EnrolledBehaviour& enrolled) {
  if (logits.size() != size_t{enrolled.inputs} * enrolled.classes) {
    return absl::InvalidArgumentError(Cat("behaviour hash: ", logits.size(), " logits, expected ", enrolled.inputs,
                                          " x ", enrolled.classes, " as were enrolled"));
  }
  if (absl::Status status = CheckLogits(logits); !status.ok()) return status;
  const Symbols symbols = SymbolsOf(logits, enrolled.classes, enrolled.parameters);
  BehaviourMatch match;
  for (size_t i = 0; i < symbols.values.size(); ++i) {
    if (enrolled.mask[i] != 0) continue;
    ++match.compared;
    match.different += symbols.values[i] != enrolled.symbols[i];
  }
  match.hash = HashOf(enrolled, symbols.values);
  match.equal = match.hash == enrolled.hash;
  return match;
}

}  // namespace driftseal::canary
