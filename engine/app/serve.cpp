#include "engine/app/serve.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/app/inputs.h"
#include "engine/app/terminal.h"
#include "engine/artifact/source.h"
#include "engine/serve/settings.h"

namespace driftseal::app {
namespace {

constexpr int kUsage = 2;
constexpr uint64_t kConfigBytes = 1u << 20;

struct ServeFlags {
  CLI::App* sub = nullptr;
  std::string config, host, port;
  bool check = false, print_config = false, print_settings = false;
  std::vector<std::pair<const serve::Setting*, CLI::Option*>> settings;
};

void AddSetting(const serve::Setting& setting, ServeFlags& flags) {
  const std::string unit = setting.unit.empty() ? "" : " (" + std::string(setting.unit) + ")";
  const std::string what = std::string(setting.what) + unit + " [" + serve::ValueOf(setting, serve::Options()) + "]";
  const bool is_flag = std::holds_alternative<bool serve::Options::*>(setting.field);
  const std::string name = serve::FlagOf(setting);
  CLI::Option* option = is_flag ? flags.sub->add_flag(name) : flags.sub->add_option(name);
  option->description(what)->group(std::string(setting.group))->type_name(is_flag ? "" : "VALUE");
  option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  flags.settings.emplace_back(&setting, option);
}

// --host and --port, by which the engine was started before it spoke gRPC, are the parts of http_listen.
void SetHttpAddress(const ServeFlags& flags, serve::Configuration& configuration) {
  if (flags.host.empty() && flags.port.empty()) return;
  auto address = serve::SplitAddress(configuration.options().http_listen).value_or(std::pair("127.0.0.1", 8000));
  const bool six = flags.host.find(':') != std::string::npos && flags.host.front() != '[';
  const std::string host = flags.host.empty() ? address.first : flags.host;
  const std::string bracketed = six || host.find(':') != std::string::npos ? "[" + host + "]" : host;
  const std::string port = flags.port.empty() ? std::to_string(address.second) : flags.port;
  for (const serve::Setting& setting : serve::Settings()) {
    if (setting.name == "http_listen") configuration.Set(setting, bracketed + ":" + port, "--host, --port");
  }
}

absl::Status ReadSources(const ServeFlags& flags, serve::Configuration& configuration) {
  const char* variable = std::getenv("DRIFTSEAL_CONFIG");
  const std::string file = !flags.config.empty() ? flags.config : variable != nullptr ? variable : "";
  if (!file.empty()) {
    const absl::StatusOr<artifact::Source> source = artifact::Source::Open(file);
    if (!source.ok()) return source.status();
    std::vector<std::byte> scratch;
    const auto bytes = source->ReadAll(kConfigBytes, scratch);
    if (!bytes.ok()) return bytes.status();
    configuration.ReadToml(file, {reinterpret_cast<const char*>(bytes->data()), bytes->size()});
  }
  configuration.ReadEnvironment([](const char* name) { return static_cast<const char*>(std::getenv(name)); });
  for (const auto& [setting, option] : flags.settings) {
    if (option->count() > 0) configuration.Set(*setting, option->results().back(), serve::FlagOf(*setting));
  }
  SetHttpAddress(flags, configuration);
  configuration.Finish();
  return absl::OkStatus();
}

int Serve(const ServeFlags& flags) {
  if (flags.print_settings) {
    std::fputs(serve::SettingsMarkdown().c_str(), stdout);
    return 0;
  }
  serve::Configuration configuration;
  if (const absl::Status read = ReadSources(flags, configuration); !read.ok()) return Fail(read);
  for (const std::string& error : configuration.errors()) {
    std::fprintf(stderr, "driftseal: %s\n", Printable(error).c_str());
  }
  if (!configuration.errors().empty()) return kUsage;
  if (flags.print_config) {
    std::fputs(serve::SettingsToml(configuration.options()).c_str(), stdout);
    return 0;
  }
  return flags.check ? CheckEngine(configuration.options()) : RunEngine(configuration.options());
}

}  // namespace

void AddServe(CLI::App& app, int& code) {
  auto flags = std::make_shared<ServeFlags>();
  flags->sub = app.add_subcommand(
      "serve",
      "The engine behind gRPC and HTTP. Each setting is a flag, a key of the TOML file and a variable DRIFTSEAL_NAME;\n"
      "flags win over variables, variables over the file. docs/operations.md");
  flags->sub->add_option("--config", flags->config, "TOML file with settings");
  flags->sub->add_option("--host", flags->host, "Host of http_listen");
  flags->sub->add_option("--port", flags->port, "Port of http_listen");
  flags->sub->add_flag("--check-config", flags->check,
                       "Check settings, certificates, tokens, folders and the detector; say what would run; exit");
  flags->sub->add_flag("--print-config", flags->print_config, "Print the settings in effect as TOML and exit");
  flags->sub->add_flag("--print-settings", flags->print_settings, "Print all settings as Markdown and exit");
  for (const serve::Setting& setting : serve::Settings()) AddSetting(setting, *flags);
  flags->sub->callback([flags, &code] { code = Serve(*flags); });
}

}  // namespace driftseal::app
