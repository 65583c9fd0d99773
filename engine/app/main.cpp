#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_format.h"
#include "engine/app/canary.h"
#include "engine/app/commands.h"
#include "engine/app/inputs.h"
#include "engine/app/serve.h"

namespace driftseal::app {
namespace {

constexpr int kUsage = 2, kFailure = 3;

// A number in [least, most], which CLI::Range is not: it lets NaN through.
CLI::Validator Between(double least, double most) {
  const auto check = [least, most](const std::string& text) -> std::string {
    double value = 0;
    if (CLI::detail::lexical_cast(text, value) && value >= least && value <= most) return "";
    return absl::StrFormat("expected a number from %g to %g, found %s", least, most, text);
  };
  return CLI::Validator(check, absl::StrFormat("%g..%g", least, most));
}

// A quarantine level above alpha would never be reached: what p > alpha lets pass is not quarantined.
void SettleLevels(const CLI::App& sub, Arguments& arguments) {
  const CLI::Option* option = sub.get_option_no_throw("--quarantine-alpha");
  if (option == nullptr || arguments.quarantine_alpha <= arguments.alpha) return;
  if (option->count() > 0) throw CLI::ValidationError("--quarantine-alpha", "expected no more than --alpha");
  arguments.quarantine_alpha = arguments.alpha;
}

// One command and the flags it takes. Names are written with '_' as the seed has them; '-' works too.
class Command {
 public:
  Command(CLI::App& app, Arguments& arguments, int& code, const std::string& name, const std::string& what,
          int (*function)(const Arguments&))
      : arguments_(arguments), sub_(app.add_subcommand(name, what)) {
    std::string hyphens = name;
    for (char& c : hyphens) c = c == '_' ? '-' : c;
    if (hyphens != name) sub_->alias(hyphens);
    sub_->callback([this_sub = sub_, &arguments, &code, function] {
      SettleLevels(*this_sub, arguments);
      code = function(arguments);
    });
    sub_->add_option_function<std::string>(
            "--format", [&arguments](const std::string& f) { arguments.json = f == "json"; },
            "Output: text or json [text]")
        ->check(CLI::IsMember({"text", "json"}));
  }

  Command& Paths(const std::string& what) { return sub_->add_option("paths", arguments_.paths, what), *this; }
  Command& OnePath(const std::string& what) {
    sub_->add_option("path", arguments_.paths, what)->required()->expected(1);
    return *this;
  }
  Command& Root() {
    sub_->add_option("--root", arguments_.root,
                     "Folder that names in meta files cannot leave [the folder given, or .]");
    return *this;
  }
  Command& Many() {
    Root();
    sub_->add_option("--meta-glob", arguments_.meta_glob, "Which files are meta files [**/*.meta.json]");
    sub_->add_flag("--only-eligible", arguments_.only_eligible, "Only models whose promotion.eligible is true");
    sub_->add_option("--threads", arguments_.threads, "Threads [all cores]")->check(Between(1, 1024));
    return *this;
  }
  Command& ModelDir() {
    sub_->add_option("--model-dir", arguments_.model_dir, "Folder of the detector [driftseal_detector]");
    return *this;
  }
  Command& Backend(const std::string& usual) {
    sub_->add_option("--backend", arguments_.backend,
                     "What computes scores: reference (double precision), simd, one instruction set (avx3, avx2, ...), "
                     "cuda, or auto [" +
                         usual + "]")
        ->check([](const std::string& name) { return IsBackend(name); });
    sub_->add_option("--crossover-rows", arguments_.crossover_rows,
                     "With auto and a GPU: batches of so many rows go there [measured]");
    return *this;
  }
  Command& OutputPath(const std::string& what) {
    return sub_->add_option("--output-path", arguments_.output_path, what), *this;
  }
  Command& Picture() {
    sub_->add_option("--picture", arguments_.picture,
                     "Where the picture of the triggered input goes when the verdict is no pass "
                     "[MODEL_DIR/pictures/MODEL.png]");
    return *this;
  }
  Command& Overwrite(const std::string& what) {
    return sub_->add_flag("--overwrite", arguments_.overwrite, what), *this;
  }
  Command& Levels() {
    sub_->add_option("--alpha", arguments_.alpha,
                     "Review at p <= alpha: the share of clean models that is flagged [0.05]")
        ->check(Between(1e-6, 0.5));
    sub_->add_option("--quarantine-alpha", arguments_.quarantine_alpha,
                     "Quarantine at p <= this [0.01, or --alpha where that is less]")
        ->check(Between(1e-6, 0.5));
    return *this;
  }
  /// For commands that run models.
  Command& Sandbox() {
    sub_->add_option("--allow-missing-sandbox", arguments_.allow_missing_sandbox,
                     "Run models without this measure of the sandbox (landlock, network-namespace, ...; all), where "
                     "this machine lacks it; may be given several times [none]")
        ->expected(1)
        ->take_all();
    sub_->add_option("--replay-timeout", arguments_.replay_timeout, "Seconds that one model may run [60]")
        ->check(Between(0.1, 86400));
    return *this;
  }
  /// For commands that run models where the detector was fitted with canary sets.
  Command& Replay() {
    Sandbox();
    sub_->add_flag("--no-replay", arguments_.no_replay, "Read the models' files and run none of them");
    return *this;
  }
  /// A running engine may do the work. Call it last: what is the engine's own affair cannot be told to it.
  Command& Engine(const std::vector<std::string>& not_with) {
    constexpr const char* kGroup = "With an engine";
    CLI::Option* engine = sub_->add_option("--engine", arguments_.engine,
                                           "host:port of a running engine that does the work; paths are beneath its "
                                           "artifact root")
                              ->group(kGroup);
    const auto text = [&](const std::string& name, std::string& value, const std::string& what) {
      sub_->add_option(name, value, what)->needs(engine)->group(kGroup);
    };
    text("--token-file", arguments_.token_file, "File with the bearer token [the variable DRIFTSEAL_TOKEN]");
    sub_->add_flag("--tls", arguments_.tls, "TLS, with the system's authorities")->needs(engine)->group(kGroup);
    text("--tls-ca", arguments_.tls_ca, "TLS: PEM file of who signed the engine's certificate");
    text("--tls-cert", arguments_.tls_cert, "Mutual TLS: PEM file of the certificate to show");
    text("--tls-key", arguments_.tls_key, "Mutual TLS: PEM file of its key");
    sub_->add_flag("--plaintext-token", arguments_.plaintext_token,
                   "Send the token without TLS to another machine all the same")
        ->needs(engine)
        ->group(kGroup);
    for (const std::string& name : not_with) engine->excludes(sub_->get_option(name));
    return *this;
  }
  Command& Detector() {
    sub_->add_option("--detector", arguments_.detector, "NAME or NAME@VERSION [the engine's default]")
        ->needs(sub_->get_option("--engine"))
        ->group("With an engine");
    return *this;
  }
  Command& Fleet() {
    Many().ModelDir().Backend("reference").Levels().Replay().OutputPath("The report [in --model-dir]");
    sub_->add_flag("--all", arguments_.show_all, "List every model, also those that pass");
    sub_->add_flag("--restart", arguments_.restart, "Do not go on with an interrupted run");
    return Engine(
               {"--root", "--threads", "--backend", "--crossover-rows", "--allow-missing-sandbox", "--replay-timeout"})
        .Detector();
  }
  CLI::App* operator->() { return sub_; }

 private:
  Arguments& arguments_;
  CLI::App* sub_;
};

void AddFit(CLI::App& app, Arguments& a, int& code) {
  Command fit(app, a, code, "fit", "Learn what a family of models looks like, from models that are trusted", Fit);
  fit.Paths("Folders or files: meta files, or model files that have none").Many().ModelDir();
  fit->add_option("--name", a.name, "Name of the detector [driftseal]");
  fit->add_option("--detector-version", a.version, "Version of the detector [1; of an engine the next one]")
      ->check(CLI::PositiveNumber);
  fit->add_option("--seed", a.seed, "The same seed and models give the same detector, byte for byte [1]");
  fit->add_option("--calibration-share", a.calibration_share, "Share of each family that calibrates [0.5]")
      ->check(Between(0.05, 0.95));
  fit->add_option("--family-minimum", a.family_minimum, "Smaller families share the global detector [20]");
  fit->add_option("--alpha", a.alpha, "Level whose promise is shown [0.05]")->check(Between(1e-6, 0.5));
  fit->add_option("--delta", a.delta, "1 - confidence of the promise [0.05]")->check(Between(1e-6, 0.5));
  fit->add_option("--canary", a.canary,
                  "Canary set (a file, or a folder of them) that models are run on to learn what they do; may be given "
                  "several times [none: files alone]")
      ->expected(1)
      ->take_all();
  fit.Sandbox().Engine({"--root", "--threads", "--model-dir", "--allow-missing-sandbox", "--replay-timeout"});
  fit->add_flag("--activate", a.activate, "Make it the version that requests for its name come to")
      ->needs("--engine")
      ->group("With an engine");
}

void AddCommands(CLI::App& app, Arguments& a, int& code) {
  AddFit(app, a, code);
  Command(app, a, code, "score",
          "How far one model lies from its family (or each row of a CSV, for an imported detector)", Score)
      .OnePath("A meta file, a model file, or a .csv of rows")
      .Root()
      .ModelDir()
      .Backend("reference; auto for rows")
      .Levels()
      .Replay()
      .OutputPath("Also write the result as JSON")
      .Engine({"--root", "--model-dir", "--backend", "--crossover-rows", "--allow-missing-sandbox", "--replay-timeout"})
      .Detector();
  Command(app, a, code, "score_all", "The same for every model of a folder, with a report", ScoreAll)
      .Paths("Folders or files")
      .Fleet();
  Command(app, a, code, "verify", "Score, integrity and predictions of one model: a verdict with its evidence", Verify)
      .OnePath("A meta file or a model file")
      .Root()
      .ModelDir()
      .Backend("reference")
      .Levels()
      .Replay()
      .OutputPath("Also write the result as JSON")
      .Picture()
      .Engine({"--root", "--model-dir", "--backend", "--crossover-rows", "--allow-missing-sandbox", "--replay-timeout"})
      .Detector();
  Command(app, a, code, "verify_all", "The same for every model of a folder, with a report", VerifyAll)
      .Paths("Folders or files")
      .Fleet();
  Command(app, a, code, "backfill_hashes", "Record the SHA-256 of files whose meta file lacks it", BackfillHashes)
      .Paths("Folders or meta files")
      .Many()
      .Overwrite("Also replace digests that are there")
      .Engine({"--root", "--threads"});
  Command(app, a, code, "describe", "Write meta files for model files that have none", Describe)
      .Paths("Folders or model files")
      .Many()
      .Overwrite("Replace meta files that are there");
  Command sanitize(app, a, code, "sanitize_predictions", "Drop the rows of a predictions CSV that stand out most",
                   SanitizePredictions);
  sanitize.OnePath("The CSV")
      .OutputPath("The cleaned CSV [NAME.sanitized.csv]")
      .Overwrite("Replace the output")
      .Engine({});
  sanitize->add_option("--contamination", a.contamination, "Share of the rows to drop [0.05]")
      ->check(Between(0.0, 0.5));
  Command(app, a, code, "selftest", "Check this installation, and fitting and scoring on the models of a folder",
          SelfTest)
      .Paths("A folder of models")
      .Many();
  Command(app, a, code, "fingerprint", "The fingerprint of one model as a table, of many as CSV (JSON: a line a model)",
          PrintFingerprints)
      .Paths("Folders or files")
      .Many()
      .ModelDir()
      .Replay();
  Command(app, a, code, "schema", "The fingerprint's columns: name, group, unit, definition (Markdown or JSON)",
          PrintSchema);
  AddServe(app, code);
  AddToken(app, code);
  AddCanaryCommands(app, a, code);
}

bool IsCommand(const CLI::App& app, const std::string& name) {
  const auto commands = app.get_subcommands([&](const CLI::App* command) { return command->check_name(name); });
  return !commands.empty();
}

int Main(int argc, char** argv) {
  CLI::App app(
      "DriftSeal screens fleets of machine-learning models: what was poisoned, swapped or altered.\n"
      "  driftseal fit trusted-models/       learn what normal looks like\n"
      "  driftseal verify_all new-models/    a verdict for each model, with its evidence\n"
      "Exit codes: 0 pass, 1 review or quarantine, 2 usage, 3 input or I/O error, 4 inconclusive.");
  app.set_version_flag("--version", std::string("driftseal " DRIFTSEAL_VERSION));
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);
  Arguments arguments;
  int code = 0;
  AddCommands(app, arguments, code);
  if (argc > 1 && argv[1][0] != '-' && !IsCommand(app, argv[1])) {
    std::fprintf(stderr, "driftseal: there is no command %s; driftseal --help lists them\n", argv[1]);
    return kUsage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  } catch (const std::exception& error) {  // Out of memory, or no more threads.
    std::fprintf(stderr, "driftseal: %s\n", error.what());
    return kFailure;
  }
  return code;
}

}  // namespace
}  // namespace driftseal::app

int main(int argc, char** argv) { return driftseal::app::Main(argc, argv); }
