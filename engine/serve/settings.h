#ifndef DRIFTSEAL_ENGINE_SERVE_SETTINGS_H_
#define DRIFTSEAL_ENGINE_SERVE_SETTINGS_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "engine/serve/options.h"

// The settings of the engine by name. One table gives each its name, unit and sentence; flags, environment, TOML file
// and documentation are made from it.
namespace driftseal::serve {

struct Setting {
  using Field = std::variant<std::string Options::*, bool Options::*, uint64_t Options::*, double Options::*>;

  std::string_view group;  ///< Heading it stands under.
  std::string_view name;   ///< "batch_rows": the key of the file, --batch-rows, DRIFTSEAL_BATCH_ROWS.
  std::string_view unit;   ///< "rows"; empty where it has none.
  std::string_view what;   ///< One sentence, which may be Markdown.
  Field field;
  double least = 0, most = 0;  ///< Of a number, both allowed.
  /// Of a string: empty where it may be set to this, otherwise what was expected.
  std::string (*check)(const std::string&) = nullptr;
};

/// All settings, those of a group together.
std::span<const Setting> Settings();
/// "--batch-rows", "DRIFTSEAL_BATCH_ROWS".
std::string FlagOf(const Setting& setting);
std::string VariableOf(const Setting& setting);
/// The value as TOML writes it.
std::string ValueOf(const Setting& setting, const Options& options);

/// "host:port" or "[host]:port" in its parts, without brackets; nothing for anything else. Port 0 to 65535.
std::optional<std::pair<std::string, uint16_t>> SplitAddress(std::string_view address);
/// Whether nobody from outside reaches an address to listen on: loopback, or none at all.
bool IsLoopback(const std::string& listen);
std::string JoinAddress(std::string_view host, uint16_t port);

/// Collects the settings of all sources, the weakest first: file, environment, flags. Nothing that is wrong is taken
/// over; errors are kept, so that a user sees all of them at once.
class Configuration {
 public:
  /// Keys of a TOML file at its top level. Errors are "NAME:LINE:COLUMN: key: ...".
  void ReadToml(const std::string& name, std::string_view text);
  /// `variable` is as std::getenv. A variable set to nothing counts as not set.
  void ReadEnvironment(const std::function<const char*(const char*)>& variable);
  /// `source` names it in an error: "--batch-rows".
  void Set(const Setting& setting, const std::string& text, const std::string& source);
  /// Last: what must fit together.
  void Finish();

  const Options& options() const { return options_; }
  const std::vector<std::string>& errors() const { return errors_; }

 private:
  void Store(const Setting& setting, double number, const std::string& source);
  void Store(const Setting& setting, const std::string& text, const std::string& source);
  void Refuse(const std::string& source, std::string_view expected);
  Options options_;
  std::set<std::string_view> given_;
  std::vector<std::string> errors_;
};

/// The settings as a TOML file that ReadToml takes, each behind its sentence.
std::string SettingsToml(const Options& options);
/// The settings with their defaults as Markdown tables.
std::string SettingsMarkdown();

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_SETTINGS_H_
