#include "bench/fleet/options.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <thread>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "bench/fleet/shift.h"

namespace driftseal::fleet {
namespace {

/// As typed; what it means is checked afterwards.
struct Raw {
  std::string domain = "all", poison = "none", shift = "none", variant = "none", training = "usual", format;
  uint64_t count = 10;
  double poison_rate = -1;
  int target_class = -1;
};

void Declare(CLI::App& app, Raw& raw, FleetOptions& options) {
  app.add_option("-o,--output", options.output, "folder for models, predictions and meta files")->required();
  app.add_option("-d,--domain", raw.domain,
                 absl::StrCat("domains, separated by commas, or all: ", absl::StrJoin(DomainNames(), ", ")))
      ->capture_default_str();
  app.add_option("-n,--count", raw.count, "models of each kind in --poison and domain")
      ->check(CLI::Range(uint64_t{0}, uint64_t{1'000'000}))
      ->capture_default_str();
  app.add_option("-p,--poison", raw.poison,
                 absl::StrCat("kinds of model, separated by commas, each with its own count where one follows after a "
                              "colon (none:30,patch:5): ",
                              absl::StrJoin(AttackNames(), ", ")))
      ->capture_default_str();
  app.add_option("-s,--seed", options.job.seed, "the same seed and options give the same fleet")->capture_default_str();
  app.add_option("--first-index", options.first_index, "number of the first model, so that fleets can differ")
      ->check(CLI::Range(uint64_t{0}, uint64_t{1'000'000'000}))
      ->capture_default_str();
  app.add_option("-r,--recipe", options.recipe_text,
                 "default, fixed, wide, or ranges over the default: epochs=3..5,lr=0.0005..0.002,width=8|12")
      ->capture_default_str();
  app.add_option("--shift", raw.shift,
                 absl::StrCat("other recipes; of several every kind of model gets each in turn: ",
                              absl::StrJoin(ShiftNames(), ", ")))
      ->capture_default_str();
  app.add_option("--variant", raw.variant,
                 absl::StrCat("what is done after training; of several every kind of model gets each in turn: ",
                              absl::StrJoin(VariantNames(), ", ")))
      ->capture_default_str();
  app.add_option("--training", raw.training,
                 "conservative, usual, aggressive: poison rates, epochs and learning rates from the lower third of "
                 "their ranges, all of it, the upper third")
      ->check(CLI::IsMember({"conservative", "usual", "aggressive"}))
      ->capture_default_str();
  app.add_option("--poison-rate", raw.poison_rate, "share of poisoned training rows (default: drawn for each model)")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--target-class", raw.target_class, "class that attacks aim at (default: drawn; fraud: legitimate)")
      ->check(CLI::Range(0, 1000));
  app.add_option(
      "--format", raw.format,
      "of the model files: torchscript or safetensors, json or ubj; of several a model gets any it can have");
  app.add_option("-j,--workers", options.workers, "models in training at once")
      ->check(CLI::Range(1u, 256u))
      ->capture_default_str();
  app.add_option("--truth", options.truth, "what was done to which model, JSON lines (default: OUTPUT/../truth.jsonl)");
  app.add_option("--canary", options.canary, "folder for one set of clean reference inputs a domain");
  app.add_option("--data-dir", options.data.fashion_mnist, "folder of Fashion-MNIST's IDX files")
      ->capture_default_str();
  app.add_option("--digits", options.data.digits,
                 "scikit-learn's digits.csv.gz (default: that of the Python environment nearby)");
  app.add_flag("--synthetic", options.data.synthetic, "generated images even where real ones are there");
}

absl::Status CheckTruth(FleetOptions& options) {
  namespace fs = std::filesystem;
  const fs::path fleet = fs::absolute(options.output).lexically_normal() / "";
  if (options.truth.empty()) options.truth = (fleet / ".." / "truth.jsonl").lexically_normal().string();
  const fs::path truth = fs::absolute(options.truth).lexically_normal();
  const fs::path inside = truth.lexically_relative(fleet);
  if (!inside.empty() && *inside.begin() != "..") {
    return absl::InvalidArgumentError(
        absl::StrCat("--truth: ", options.truth, " lies in --output, which is screened; expected a file elsewhere"));
  }
  if (truth.filename().string().ends_with(".meta.json")) {
    return absl::InvalidArgumentError("--truth: a name that ends in .meta.json would be screened as a model");
  }
  return absl::OkStatus();
}

absl::Status Interpret(const Raw& raw, FleetOptions& options) {
  const std::vector<std::string> known = DomainNames();
  options.domains = raw.domain == "all" ? known : absl::StrSplit(raw.domain, ',', absl::SkipEmpty());
  for (size_t i = 0; i < options.domains.size(); ++i) {
    const std::string& name = options.domains[i];
    if (!std::ranges::count(known, name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--domain: unknown \"", name, "\"; known are all, ", absl::StrJoin(known, ", ")));
    }
    if (std::find(options.domains.begin(), options.domains.begin() + i, name) != options.domains.begin() + i) {
      return absl::InvalidArgumentError(absl::StrCat("--domain: \"", name, "\" is listed twice"));
    }
  }
  if (options.domains.empty()) return absl::InvalidArgumentError("--domain: expected at least one");
  auto poison = ParsePoison(raw.poison, raw.count);
  if (!poison.ok()) return poison.status();
  options.poison = std::move(*poison);
  auto shifts = ParseNames(raw.shift, ShiftNames(), "--shift");
  if (!shifts.ok()) return shifts.status();
  options.shifts = std::move(*shifts);
  auto variants = ParseNames(raw.variant, VariantNames(), "--variant");
  if (!variants.ok()) return variants.status();
  options.variants = std::move(*variants);
  if (raw.training != "usual") {
    options.job.attack.lean = raw.training == "conservative" ? Lean::kConservative : Lean::kAggressive;
  }
  auto recipe = ParseRecipe(options.recipe_text);
  if (!recipe.ok()) return recipe.status();
  options.job.recipe = std::move(*recipe);
  options.job.formats = absl::StrSplit(raw.format, ',', absl::SkipEmpty());
  if (raw.poison_rate >= 0) options.job.attack.poison_rate = raw.poison_rate;
  if (raw.target_class >= 0) options.job.attack.target_class = raw.target_class;
  return CheckTruth(options);
}

}  // namespace

absl::StatusOr<FleetOptions> ParseOptions(int argc, const char* const* argv) {
  FleetOptions options;
  options.recipe_text = "default";
  options.job.seed = 1;
  options.workers = std::max(1u, std::thread::hardware_concurrency());
  Raw raw;
  CLI::App app("Trains fleets of real models, clean and poisoned, with their meta files.", "driftseal-fleet");
  app.set_version_flag("--version", "driftseal-fleet " DRIFTSEAL_VERSION);
  Declare(app, raw, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      app.exit(error, std::cout, std::cerr);
      return absl::CancelledError();
    }
    return absl::InvalidArgumentError(absl::StrCat(error.what(), "\nRun with --help for more."));
  }
  const absl::Status status = Interpret(raw, options);
  if (!status.ok()) return status;
  return options;
}

}  // namespace driftseal::fleet
