#include "engine/screen/entry_line.h"

#include <simdjson.h>

#include <limits>
#include <string_view>

#include "engine/artifact/text.h"
#include "nlohmann/json.hpp"

namespace driftseal::screen {
namespace {

absl::Status NoEntry(simdjson::error_code error) {
  return absl::DataLossError(
      artifact::Cat("the journal of this run holds a line that is no entry: ", simdjson::error_message(error)));
}

}  // namespace

struct EntryLines::Parser {
  simdjson::ondemand::parser json;

  // The parser reads a little beyond the end of its text.
  simdjson::simdjson_result<simdjson::ondemand::document> Start(std::string& line) {
    line.reserve(line.size() + simdjson::SIMDJSON_PADDING);
    return json.iterate(line);
  }
};

EntryLines::EntryLines() : parser_(std::make_unique<Parser>()) {}
EntryLines::~EntryLines() = default;

absl::StatusOr<double> EntryLines::PValue(std::string& line) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  simdjson::ondemand::document entry;
  if (auto error = parser_->Start(line).get(entry)) return NoEntry(error);
  simdjson::ondemand::object score;
  if (auto error = entry["score"].get_object().get(score)) {
    return error == simdjson::NO_SUCH_FIELD ? absl::StatusOr<double>(kNone) : NoEntry(error);
  }
  simdjson::ondemand::value value;
  if (auto error = score["p_value"].get(value)) return NoEntry(error);
  if (value.is_null()) return kNone;
  double p = kNone;
  if (auto error = value.get_double().get(p)) return NoEntry(error);
  return p;
}

absl::Status EntryLines::AddQValue(double q, std::string& line) {
  simdjson::ondemand::document entry;
  if (auto error = parser_->Start(line).get(entry)) return NoEntry(error);
  simdjson::ondemand::object score;
  if (auto error = entry["score"].get_object().get(score)) return NoEntry(error);
  std::string_view text;
  if (auto error = score.raw_json().get(text)) return NoEntry(error);
  const size_t end = static_cast<size_t>(text.data() - line.data()) + text.rfind('}');
  // nlohmann-json spells the number, as it does the others of the line.
  line.insert(end, artifact::Cat(",\"q_value\":", nlohmann::json(q).dump()));
  return absl::OkStatus();
}

}  // namespace driftseal::screen
