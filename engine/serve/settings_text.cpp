#include <charconv>

#include "absl/strings/str_format.h"
#include "engine/artifact/text.h"
#include "engine/serve/settings.h"

namespace driftseal::serve {
namespace {

using artifact::Cat;

std::string TomlString(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      absl::StrAppendFormat(&out, "\\u%04x", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string Range(const Setting& setting) {
  if (setting.most == 0) return "";
  const auto shown = [](double number) { return absl::StrFormat("%.12g", number); };
  return Cat(shown(setting.least), " – ", shown(setting.most));
}

// A sentence has '|' nowhere; TOML's comments are not Markdown.
std::string Plain(std::string_view what) {
  std::string out;
  for (const char c : what) {
    if (c != '`') out += c;
  }
  return out;
}

}  // namespace

std::string ValueOf(const Setting& setting, const Options& options) {
  if (const auto* text = std::get_if<std::string Options::*>(&setting.field)) return TomlString(options.**text);
  if (const auto* yes = std::get_if<bool Options::*>(&setting.field)) return options.**yes ? "true" : "false";
  if (const auto* whole = std::get_if<uint64_t Options::*>(&setting.field)) return Cat(options.**whole);
  char digits[32];
  const double number = options.*std::get<double Options::*>(setting.field);
  return std::string(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

std::string SettingsToml(const Options& options) {
  std::string out;
  std::string_view group;
  for (const Setting& setting : Settings()) {
    if (setting.group != group) {
      out += Cat(out.empty() ? "" : "\n", "# ", setting.group, "\n");
      group = setting.group;
    }
    const std::string unit = setting.unit.empty() ? "" : Cat(" [", setting.unit, "]");
    out += Cat("# ", Plain(setting.what), unit, "\n", setting.name, " = ", ValueOf(setting, options), "\n");
  }
  return out;
}

std::string SettingsMarkdown() {
  const Options defaults;
  std::string out;
  std::string_view group;
  for (const Setting& setting : Settings()) {
    if (setting.group != group) {
      out += Cat(out.empty() ? "" : "\n", "### ", setting.group,
                 "\n| Setting | Meaning | Default | Unit | Range |\n|---|---|---|---|---|\n");
      group = setting.group;
    }
    out += Cat("| `", setting.name, "` | ", setting.what, " | `", ValueOf(setting, defaults), "` | ", setting.unit,
               " | ", Range(setting), " |\n");
  }
  return out;
}

}  // namespace driftseal::serve
