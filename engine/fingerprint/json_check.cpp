#include "engine/fingerprint/json_check.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "engine/artifact/text.h"

namespace driftseal::fingerprint {
namespace {

using artifact::Cat;
using Json = nlohmann::json;

// Follows a text event by event up to its first flaw, keeping the path of the field it is in. The parser behind it
// keeps its stack in a bit vector, so that depth costs no recursion.
class FlawFinder : public nlohmann::json_sax<Json> {
 public:
  explicit FlawFinder(int depth_limit) : depth_limit_(static_cast<size_t>(depth_limit)) {}

  bool null() override { return Value(); }
  bool boolean(bool) override { return Value(); }
  bool number_integer(number_integer_t) override { return Value(); }
  bool number_unsigned(number_unsigned_t) override { return Value(); }
  bool number_float(number_float_t, const string_t& token) override {
    // The parser falls back to a double for an integer of more than 64 bits.
    if (token.find_first_of(".eE") == std::string::npos)
      return Fail(Cat("expected a number in the range of 64-bit integers or doubles, found ", token.substr(0, 40)));
    return Value();
  }
  bool string(string_t&) override { return Value(); }
  bool binary(binary_t&) override { return Value(); }
  bool start_object(size_t) override { return Enter(false); }
  bool end_object() override { return Leave(); }
  bool start_array(size_t) override { return Enter(true); }
  bool end_array() override { return Leave(); }
  bool key(string_t& name) override {
    stack_.back().key = name.substr(0, 80);
    return true;
  }
  bool parse_error(size_t position, const std::string& last_token, const nlohmann::detail::exception& error) override {
    position_ = position;
    last_token_ = last_token;
    message_ = error.what();
    return false;
  }

  const std::string& found() const { return found_; }
  const std::string& message() const { return message_; }
  const std::string& last_token() const { return last_token_; }
  size_t position() const { return position_; }
  std::string Path() const {
    std::string path;
    for (const Level& level : stack_) {
      if (level.array) {
        path += Cat("[", level.index, "]");
      } else if (!level.key.empty()) {
        path += Cat(path.empty() ? "" : ".", level.key);
      }
    }
    return path;
  }

 private:
  struct Level {
    bool array = false;
    uint64_t index = 0;
    std::string key;
  };

  bool Value() {
    if (!stack_.empty() && stack_.back().array) ++stack_.back().index;
    return true;
  }
  bool Enter(bool array) {
    if (stack_.size() >= depth_limit_) return Fail(Cat("expected at most ", depth_limit_, " levels, found more"));
    stack_.push_back({array, 0, ""});
    return true;
  }
  bool Leave() {
    stack_.pop_back();
    return Value();
  }
  bool Fail(std::string what) {
    found_ = std::move(what);
    return false;
  }

  size_t depth_limit_;
  std::vector<Level> stack_;
  size_t position_ = 0;
  std::string found_, message_, last_token_;
};

size_t LineOf(std::string_view text, size_t position) {
  return 1 + static_cast<size_t>(std::count(text.begin(), text.begin() + std::min(position, text.size()), '\n'));
}

// The word that starts where the parser stopped: NaN and the infinities, as Python's json module writes them.
std::string_view NonFiniteLiteral(std::string_view json, size_t position) {
  const size_t from = position > 2 ? position - 3 : 0;
  for (size_t at = from; at < std::min(position + 2, json.size()); ++at) {
    for (const std::string_view word : {"NaN", "-Infinity", "Infinity", "nan", "-inf", "inf"}) {
      if (json.substr(at).starts_with(word)) return word;
    }
  }
  return {};
}

// "syntax error while parsing value - unexpected end of input; expected ..." without the parser's own prefix.
std::string_view Reason(std::string_view message) {
  const size_t at = message.find("syntax error");
  return at == std::string_view::npos ? message : message.substr(at);
}

}  // namespace

absl::Status ExplainBadJson(std::string_view json, std::string_view file_name, int depth_limit,
                            std::string_view parser_message) {
  const auto error = [&](std::string_view path, size_t line, std::string_view what) {
    return absl::InvalidArgumentError(
        Cat(file_name, ": ", path, path.empty() ? "" : ": ", line > 0 ? Cat("line ", line, ": ") : "", what));
  };
  if (json.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    return error("", 0, "expected a JSON object, found an empty file");
  }
  if (json.starts_with("\xEF\xBB\xBF")) {
    return error("", 1, "expected JSON in UTF-8 without a byte order mark, found one");
  }
  FlawFinder finder(depth_limit);
  Json::sax_parse(json.begin(), json.end(), &finder);
  if (!finder.found().empty()) return error(finder.Path(), 0, finder.found());
  if (finder.message().empty()) return error("", 0, Cat("expected strict JSON in UTF-8: ", parser_message));
  const size_t line = LineOf(json, finder.position());
  if (const std::string_view word = NonFiniteLiteral(json, finder.position()); !word.empty()) {
    return error(finder.Path(), line,
                 Cat("expected a finite number or null, found ", word,
                     ", which is not JSON (Python's json.dump writes it unless allow_nan=False)"));
  }
  if (finder.message().find("UTF-8") != std::string::npos)
    return error(finder.Path(), line, "expected UTF-8, found other bytes");
  if (finder.position() >= json.size() && finder.message().find("end of input") != std::string::npos) {
    return error(finder.Path(), line, "expected the rest of the JSON text, found the end of the file (truncated?)");
  }
  if (finder.message().find("expected end of input") != std::string::npos) {
    return error("", line, "expected the end of the file after the JSON object, found more bytes");
  }
  return error(finder.Path(), line, Cat("expected strict JSON: ", Reason(finder.message())));
}

}  // namespace driftseal::fingerprint
