#include "engine/serve/settings.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <numeric>

#include "engine/artifact/text.h"

#define TOML_EXCEPTIONS 0
#include "toml++/toml.h"

namespace driftseal::serve {
namespace {

using artifact::Cat;

std::string Upper(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::toupper(c); });
  return out;
}

std::string Number(double number) {
  char digits[32];
  const auto end = std::abs(number) < 1e15 && number == std::floor(number)
                       ? std::to_chars(digits, digits + sizeof digits, static_cast<int64_t>(number))
                       : std::to_chars(digits, digits + sizeof digits, number);
  return std::string(digits, end.ptr);
}

bool IsWhole(const Setting& setting) { return std::holds_alternative<uint64_t Options::*>(setting.field); }

std::string Expectation(const Setting& setting) {
  if (std::holds_alternative<bool Options::*>(setting.field)) return "true or false";
  if (std::holds_alternative<std::string Options::*>(setting.field)) return "a string";
  return Cat(IsWhole(setting) ? "a whole number" : "a number", setting.unit.empty() ? "" : " of ", setting.unit,
             " from ", Number(setting.least), " to ", Number(setting.most));
}

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, replaced});
    }
  }
  return row.back();
}

std::string NoSuchSetting(std::string_view name) {
  const Setting* nearest = nullptr;
  size_t best = 4;
  for (const Setting& setting : Settings()) {
    const size_t distance = EditDistance(name.substr(0, 64), setting.name);
    if (distance < best) best = distance, nearest = &setting;
  }
  return nearest == nullptr ? "there is no such setting"
                            : Cat("there is no such setting; did you mean ", nearest->name, "?");
}

std::string Shown(const toml::node& node) {
  if (const auto* text = node.as_string()) return artifact::Quoted(text->get());
  if (const auto* number = node.as_integer()) return Cat(number->get());
  if (const auto* number = node.as_floating_point()) return Number(number->get());
  if (const auto* yes = node.as_boolean()) return yes->get() ? "true" : "false";
  return node.is_table() ? "a table" : node.is_array() ? "an array" : "a date or time";
}

}  // namespace

std::string FlagOf(const Setting& setting) {
  std::string flag = Cat("--", setting.name);
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

std::string VariableOf(const Setting& setting) { return "DRIFTSEAL_" + Upper(setting.name); }

std::optional<std::pair<std::string, uint16_t>> SplitAddress(std::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  std::string_view host = address.substr(0, colon);
  const std::string_view digits = address.substr(colon + 1);
  const bool bracketed = host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (host.empty() || (!bracketed && host.find(':') != std::string_view::npos)) return std::nullopt;
  if (host.find_first_of(" /[]") != std::string_view::npos) return std::nullopt;
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return std::pair(std::string(host), port);
}

bool IsLoopback(const std::string& listen) {
  const std::string host = listen.substr(0, listen.rfind(':'));
  return listen.empty() || host == "localhost" || host == "[::1]" || host.starts_with("127.");
}

std::string JoinAddress(std::string_view host, uint16_t port) {
  const bool six = host.find(':') != std::string_view::npos;
  return Cat(six ? "[" : "", host, six ? "]:" : ":", port);
}

void Configuration::Refuse(const std::string& source, std::string_view expected) {
  errors_.push_back(Cat(source, ": ", expected));
}

void Configuration::Store(const Setting& setting, double number, const std::string& source) {
  if (!(number >= setting.least && number <= setting.most) || (IsWhole(setting) && number != std::floor(number))) {
    return Refuse(source, Cat("expected ", Expectation(setting), ", found ", Number(number)));
  }
  if (IsWhole(setting)) {
    options_.*std::get<uint64_t Options::*>(setting.field) = static_cast<uint64_t>(number);
  } else {
    options_.*std::get<double Options::*>(setting.field) = number;
  }
  given_.insert(setting.name);
}

void Configuration::Store(const Setting& setting, const std::string& text, const std::string& source) {
  std::string expected = setting.check == nullptr ? "" : setting.check(text);
  if (text.find('\0') != std::string::npos) expected = "text without a zero byte";
  if (!expected.empty()) return Refuse(source, Cat("expected ", expected, ", found ", artifact::Quoted(text)));
  options_.*std::get<std::string Options::*>(setting.field) = text;
  given_.insert(setting.name);
}

void Configuration::Set(const Setting& setting, const std::string& text, const std::string& source) {
  if (std::holds_alternative<std::string Options::*>(setting.field)) return Store(setting, text, source);
  if (const auto* flag = std::get_if<bool Options::*>(&setting.field)) {
    const bool yes = text == "true" || text == "1";
    if (!yes && text != "false" && text != "0") {
      return Refuse(source, Cat("expected true or false, found ", artifact::Quoted(text)));
    }
    options_.** flag = yes;
    given_.insert(setting.name);
    return;
  }
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    return Refuse(source, Cat("expected ", Expectation(setting), ", found ", artifact::Quoted(text)));
  }
  Store(setting, number, source);
}

void Configuration::ReadToml(const std::string& name, std::string_view text) {
  const auto where = [&](const toml::source_region& region) {
    return Cat(name, ":", region.begin.line, ":", region.begin.column);
  };
  const toml::parse_result result = toml::parse(text);
  if (!result) return Refuse(where(result.error().source()), result.error().description());
  // In the order of the file, so that errors are too.
  std::map<toml::source_position, std::pair<const toml::key*, const toml::node*>> entries;
  for (const auto& [key, node] : result.table()) entries[key.source().begin] = {&key, &node};
  for (const auto& [position, entry] : entries) {
    const toml::key& key = *entry.first;
    const toml::node& node = *entry.second;
    const std::string source = Cat(where(key.source()), ": ", key.str());
    const auto found = std::find_if(Settings().begin(), Settings().end(),
                                    [&, k = key.str()](const Setting& setting) { return setting.name == k; });
    if (found == Settings().end()) {
      Refuse(source, NoSuchSetting(key.str()));
      continue;
    }
    const bool text_wanted = std::holds_alternative<std::string Options::*>(found->field);
    const bool flag_wanted = std::holds_alternative<bool Options::*>(found->field);
    if (const auto* string = node.as_string(); string != nullptr && text_wanted) {
      Store(*found, string->get(), source);
    } else if (const auto* yes = node.as_boolean(); yes != nullptr && flag_wanted) {
      Set(*found, yes->get() ? "true" : "false", source);
    } else if (const auto* whole = node.as_integer(); whole != nullptr && !text_wanted && !flag_wanted) {
      Store(*found, static_cast<double>(whole->get()), source);
    } else if (const auto* number = node.as_floating_point(); number != nullptr && !text_wanted && !flag_wanted) {
      Store(*found, number->get(), source);
    } else {
      Refuse(source, Cat("expected ", Expectation(*found), ", found ", Shown(node)));
    }
  }
}

void Configuration::ReadEnvironment(const std::function<const char*(const char*)>& variable) {
  for (const Setting& setting : Settings()) {
    const std::string name = VariableOf(setting);
    const char* value = variable(name.c_str());
    if (value != nullptr && *value != '\0') Set(setting, value, name);
  }
}

void Configuration::Finish() {
  Options& o = options_;
  if (o.grpc_listen.empty() && o.http_listen.empty()) Refuse("grpc_listen, http_listen", "expected at least one");
  if (o.tls_cert.empty() != o.tls_key.empty()) {
    Refuse(o.tls_cert.empty() ? "tls_cert" : "tls_key",
           Cat("expected a file: ", o.tls_cert.empty() ? "tls_key" : "tls_cert", " is set"));
  }
  if (!o.tls_client_ca.empty() && o.tls_cert.empty()) {
    Refuse("tls_client_ca", "expected tls_cert and tls_key with it: certificates of clients need TLS");
  }
  if (o.batch_rows > o.queue_rows) {
    Refuse("queue_rows", Cat("expected at least batch_rows, ", o.batch_rows, ", found ", o.queue_rows));
  }
  // As the commands do: what p > alpha lets pass is not quarantined, so a default above alpha gives way.
  if (o.quarantine_alpha > o.alpha && given_.contains("quarantine_alpha")) {
    Refuse("quarantine_alpha",
           Cat("expected no more than alpha, ", Number(o.alpha), ", found ", Number(o.quarantine_alpha)));
  }
  o.quarantine_alpha = std::min(o.quarantine_alpha, o.alpha);
}

}  // namespace driftseal::serve
