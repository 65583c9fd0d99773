#include "engine/app/canary.h"

#include <atomic>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "engine/app/inputs.h"
#include "engine/app/replay.h"
#include "engine/app/terminal.h"
#include "engine/artifact/source.h"
#include "engine/artifact/text.h"
#include "engine/screen/fleet.h"
#include "engine/screen/materialize.h"

namespace driftseal::app {
namespace {

using artifact::Cat;
using nlohmann::ordered_json;
using screen::CanaryChange;

constexpr int kFailure = 3;

struct CanaryFlags {
  DataFlags data;
  std::string input_shape, output;
};

// What references come from, and what inputs are where none fits.
absl::StatusOr<screen::CanaryOptions> OptionsOf(const Arguments& arguments, const CanaryFlags& flags) {
  screen::CanaryOptions options;
  options.only_eligible = arguments.only_eligible;
  options.overwrite = arguments.overwrite;
  absl::StatusOr<std::vector<uint32_t>> shape = SizesOf(flags.input_shape, "--input-shape"),
                                        image = SizesOf(flags.data.image, "--image");
  if (!shape.ok()) return shape.status();
  if (!image.ok()) return image.status();
  options.shape = *std::move(shape);
  options.image = *std::move(image);
  if (options.image.empty() && options.shape.size() == 3 && !flags.data.table) options.image = options.shape;
  for (const std::string& path : arguments.canary) {
    DataFlags set;
    set.data = path;
    absl::StatusOr<canary::References> read = ReadReferences(set);
    if (!read.ok()) return read.status();
    options.sets.push_back(std::move(read->set));
  }
  if (flags.data.data.empty()) return options;
  DataFlags data = flags.data;
  data.shape = flags.input_shape;
  absl::StatusOr<canary::References> read = ReadReferences(data);
  if (!read.ok()) return read.status();
  options.sets.push_back(std::move(read->set));
  return options;
}

int Tell(const Arguments& arguments, const std::vector<CanaryChange>& changes) {
  bool errors = false;
  std::map<std::string, size_t> counts;
  ordered_json entries = ordered_json::array();
  for (const CanaryChange& change : changes) {
    ++counts[change.outcome];
    errors |= change.outcome == "error";
    entries.push_back(screen::ToJson(change));
    if (arguments.json || (change.outcome == "skipped" && changes.size() > 1)) continue;
    std::string detail = change.detail;
    if (change.outcome == "written") {
      detail = Cat(change.canary_path, "  behaviour ", change.behaviour_hash.substr(0, 16), "  ");
      std::string kinds;
      for (const auto& [kind, count] : change.inputs) kinds += Cat(kinds.empty() ? "" : ", ", count, " ", kind);
      detail += kinds;
    }
    std::printf("%s  %s  %s\n", Paint(ColourOf(change.outcome), change.outcome).c_str(), Printable(change.path).c_str(),
                Printable(detail).c_str());
  }
  if (arguments.json) {
    std::printf("%s\n", screen::Dump({{"format", "driftseal-canaries/1"}, {"files", entries}}, 2).c_str());
  } else {
    std::string summary;
    for (const auto& [outcome, count] : counts) summary += Cat(summary.empty() ? "" : ", ", count, " ", outcome);
    std::printf("%zu models%s%s\n", changes.size(), summary.empty() ? "" : ": ", summary.c_str());
  }
  return errors ? kFailure : 0;
}

// Two subjects with one meta file would write the same file at once; Settle has made sure that there are none.
std::vector<CanaryChange> MaterializeAll(const Inputs& inputs, canary::ReplayPool& pool, unsigned threads,
                                         const screen::CanaryOptions& options) {
  std::vector<CanaryChange> changes(inputs.subjects.size());
  Progress progress("canaries", changes.size(), 0);
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::vector<std::jthread> workers;
  for (unsigned i = 0; i < std::min<size_t>(threads, changes.size()); ++i) {
    workers.emplace_back([&] {
      for (size_t at = next++; at < changes.size(); at = next++) {
        changes[at] = screen::MaterializeCanary(inputs.subjects[at], inputs.root, pool, options);
        const std::lock_guard lock(mutex);
        progress.Advance();
      }
    });
  }
  workers.clear();
  return changes;
}

int Materialize(const Arguments& arguments, const CanaryFlags& flags, bool all) {
  const absl::StatusOr<screen::CanaryOptions> options = OptionsOf(arguments, flags);
  if (!options.ok()) return Fail(options.status());
  const absl::StatusOr<Inputs> inputs = all ? FindInputs(arguments) : OneInput(arguments);
  if (!inputs.ok()) return Fail(inputs.status());
  if (!all && inputs->subjects.front().bare) {
    return Fail(absl::InvalidArgumentError(Cat(arguments.paths.front(), ": expected a meta file (*.meta.json), in ",
                                               "which canaries are recorded; `driftseal describe` writes one")));
  }
  const absl::StatusOr<std::shared_ptr<canary::ReplayPool>> pool = StartReplay(arguments);
  if (!pool.ok()) return Fail(pool.status());
  return Tell(arguments, MaterializeAll(*inputs, **pool, Threads(arguments), *options));
}

int MakeSet(const Arguments& arguments, const CanaryFlags& flags) {
  absl::StatusOr<canary::References> read = ReadReferences(flags.data);
  if (!read.ok()) return Fail(read.status());
  const absl::StatusOr<std::string> bytes = replay::EncodeCanarySet(read->set);
  if (!bytes.ok()) return Fail(bytes.status());
  absl::StatusOr<artifact::AtomicFile> file =
      artifact::AtomicFile::Create(flags.output, arguments.overwrite ? artifact::AtomicFile::Existing::kReplace
                                                                     : artifact::AtomicFile::Existing::kKeep);
  absl::Status status = file.status();
  if (status.ok()) status = file->Write(*bytes);
  if (status.ok()) status = file->Commit();
  if (absl::IsAlreadyExists(status)) {
    return Fail(absl::AlreadyExistsError(Cat(flags.output, ": is there already (--overwrite replaces it)")));
  }
  if (!status.ok()) return Fail(status);
  const replay::CanarySet& set = read->set;
  const size_t labels = std::set<int32_t>(set.labels.begin(), set.labels.end()).size();
  if (arguments.json) {
    const ordered_json report = {{"format", "driftseal-canary-set/1"},
                                 {"path", flags.output},
                                 {"name", set.name},
                                 {"domain", set.domain},
                                 {"task", set.task},
                                 {"inputs", set.count()},
                                 {"labels", labels},
                                 {"classes", set.classes},
                                 {"shape", set.shape},
                                 {"image", set.image},
                                 {"low", set.low},
                                 {"high", set.high},
                                 {"passed_over", read->passed_over},
                                 {"twice", read->twice}};
    std::printf("%s\n", screen::Dump(report, 2).c_str());
    return 0;
  }
  std::printf("%s: canary set %s, %zu inputs of %zu labels\n", Printable(flags.output).c_str(),
              Printable(set.name).c_str(), set.count(), labels);
  if (read->passed_over + read->twice > 0) {
    std::printf("passed over: %zu inputs with values that are not finite, %zu that were there twice\n",
                read->passed_over, read->twice);
  }
  std::printf("Next: driftseal fit FOLDER --canary %s\n", Printable(flags.output).c_str());
  return 0;
}

CLI::App* Add(CLI::App& app, Arguments& arguments, const std::string& name, const std::string& what) {
  CLI::App* sub = app.add_subcommand(name, what);
  std::string hyphens = name;
  for (char& c : hyphens) c = c == '_' ? '-' : c;
  sub->alias(hyphens);
  sub->add_option_function<std::string>(
         "--format", [&arguments](const std::string& f) { arguments.json = f == "json"; },
         "Output: text or json [text]")
      ->check(CLI::IsMember({"text", "json"}));
  return sub;
}

void AddData(CLI::App* sub, CanaryFlags& flags) {
  DataFlags& data = flags.data;
  sub->add_option("--labels", data.labels, "Labels of IDX data, IDX too");
  sub->add_option("--label-column", data.label_column,
                  "Column of a CSV that holds the classes [label, class, target, y]");
  sub->add_option("--count", data.count, "Inputs to choose, balanced over the labels [400]")
      ->check(CLI::Range(size_t{1}, replay::kMostCanaryInputs));
  sub->add_option("--image", data.image, "Channels, height, width of inputs that are images [told by the data]");
  sub->add_flag("--table", data.table, "Inputs are no images, whatever their shape");
  sub->add_option("--low", data.low, "Least value of an image [0, or what the data has]");
  sub->add_option("--high", data.high, "Largest value of an image [1, or what the data has]");
}

void AddMaterialize(CLI::App& app, Arguments& arguments, int& code, bool all) {
  auto flags = std::make_shared<CanaryFlags>();
  CLI::App* sub = Add(app, arguments, all ? "materialize_canary_all" : "materialize_canary",
                      all ? "The same for every model of a folder that has a meta file"
                          : "Canary inputs of one model with the answers that are expected of it");
  if (all) {
    sub->add_option("paths", arguments.paths, "Folders or meta files");
    sub->add_option("--meta-glob", arguments.meta_glob, "Which files are meta files [**/*.meta.json]");
    sub->add_flag("--only-eligible", arguments.only_eligible, "Only models whose promotion.eligible is true");
  } else {
    sub->add_option("path", arguments.paths, "A meta file")->required()->expected(1);
  }
  sub->add_option("--root", arguments.root, "Folder that names in meta files cannot leave [the folder given, or .]");
  sub->add_option("--threads", arguments.threads, "Models that run at once [all cores]")->check(CLI::Range(1u, 1024u));
  sub->add_option("--data", flags->data.data,
                  "Clean data to choose references from: safetensors (inputs, labels), IDX, CSV, or a canary set");
  AddData(sub, *flags);
  sub->add_option("--canary", arguments.canary, "A canary set that references come from; may be given several times")
      ->expected(1)
      ->take_all();
  sub->add_option("--input-shape", flags->input_shape,
                  "What one input is, without the batch: 1,28,28 [the data's, or the meta file's `inputs`]");
  sub->add_flag("--overwrite", arguments.overwrite, "Replace canaries that are there");
  sub->add_option("--allow-missing-sandbox", arguments.allow_missing_sandbox,
                  "Run models without this measure of the sandbox (landlock, network-namespace, ...; all), where this "
                  "machine lacks it; may be given several times [none]")
      ->expected(1)
      ->take_all();
  sub->add_option("--replay-timeout", arguments.replay_timeout, "Seconds that one model may run [60]")
      ->check(CLI::Range(0.1, 86400.0));
  sub->callback([&arguments, &code, flags, all] { code = Materialize(arguments, *flags, all); });
}

void AddMakeSet(CLI::App& app, Arguments& arguments, int& code) {
  auto flags = std::make_shared<CanaryFlags>();
  CLI::App* sub = Add(app, arguments, "make_canary_set", "Choose a canary set, for fit, from clean data");
  sub->add_option("--data", flags->data.data, "Clean data: safetensors (inputs, labels), IDX, plain or gzip, or CSV")
      ->required();
  sub->add_option("--output", flags->output, "The canary set, *.safetensors")->required();
  AddData(sub, *flags);
  sub->add_option("--name", flags->data.name, "Name of the set [the data's file]");
  sub->add_option("--domain", flags->data.domain, "Only for models of this domain [any]");
  sub->add_option("--task", flags->data.task, "Only for models of this task [any]");
  sub->add_option("--shape", flags->data.shape, "What one input is as models take it: 784 [the data's]");
  sub->add_flag("--overwrite", arguments.overwrite, "Replace the output");
  sub->callback([&arguments, &code, flags] { code = MakeSet(arguments, *flags); });
}

}  // namespace

void AddCanaryCommands(CLI::App& app, Arguments& arguments, int& code) {
  AddMaterialize(app, arguments, code, false);
  AddMaterialize(app, arguments, code, true);
  AddMakeSet(app, arguments, code);
}

}  // namespace driftseal::app
