#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/app/commands.h"
#include "engine/app/inputs.h"
#include "engine/app/terminal.h"
#include "engine/artifact/text.h"
#include "engine/screen/fleet.h"
#include "engine/store/journal.h"

namespace driftseal::app {
namespace {

using nlohmann::ordered_json;

// With more models than this only those that are no pass are listed, and of these at most as many.
constexpr size_t kListed = 40;

// The lines of the table, of which only a bounded number is kept.
class Listing {
 public:
  explicit Listing(bool all, size_t models) : all_(all || models <= kListed) {}

  // Whether an entry of this verdict is to be added. One that found no room is counted.
  bool Wants(std::string_view verdict) {
    if (all_) return true;
    if (verdict == "pass" || verdict == "skipped") return false;
    const bool room = rows_.size() < kListed;
    hidden_ += !room;
    return room;
  }
  void Add(const ordered_json& entry) {
    rows_.push_back(
        {entry.at("verdict").get<std::string>(), PValue(entry), entry.at("path").get<std::string>(), Why(entry)});
  }

  void Print(const std::string& report) const {
    if (rows_.empty()) return;
    Table table({"VERDICT", "P", "MODEL", "WHY"});
    for (const auto& row : rows_) table.Add(row);
    table.Print(0);
    if (hidden_ > 0) std::printf("… and %zu more, all of them in %s (or --all)\n", hidden_, report.c_str());
    std::printf("\n");
  }

 private:
  static std::string PValue(const ordered_json& entry) {
    if (!entry.contains("score") || !entry["score"]["p_value"].is_number()) return "-";
    return absl::StrFormat("%.3g", entry["score"]["p_value"].get<double>());
  }
  static std::string Why(const ordered_json& entry) {
    const std::string& path = entry.at("path").get_ref<const std::string&>();
    if (entry.contains("error")) return WithoutPath(entry["error"].get<std::string>(), path);
    // The signals that decided, which are the first ones of equal severity.
    std::string why, severity;
    for (const ordered_json& signal : entry.value("signals", ordered_json::array())) {
      if (severity.empty()) severity = signal.at("severity").get<std::string>();
      if (signal.at("severity") != severity) break;
      const std::string text = WithoutPath(signal.at("text").get<std::string>(), path);
      why += artifact::Cat(why.empty() ? "" : "; ", text);
    }
    return why;
  }
  // The line names the model already: "root/path: what is wrong" becomes "what is wrong".
  static std::string WithoutPath(const std::string& text, const std::string& path) {
    const size_t at = text.find(path + ": ");
    const bool leads = at != std::string::npos && (at == 0 || text[at - 1] == '/') && text.find(": ") >= at;
    return leads ? text.substr(at + path.size() + 2) : text;
  }

  bool all_;
  size_t hidden_ = 0;
  std::vector<std::vector<std::string>> rows_;
};

ordered_json Header(const Arguments& arguments, const std::string& command, const std::string& root,
                    const detector::Detector* detector, const std::string& detector_digest) {
  ordered_json header = {{"format", "driftseal-report/1"},
                         {"command", command},
                         {"root", root},
                         {"meta_glob", arguments.meta_glob},
                         {"only_eligible", arguments.only_eligible},
                         {"policy", {{"alpha", arguments.alpha}, {"quarantine_alpha", arguments.quarantine_alpha}}},
                         {"detector", nullptr}};
  if (detector != nullptr) {
    header["detector"] = {{"name", detector->name()},
                          {"version", detector->version()},
                          {"schema", artifact::Cat(detector->schema().name, "/", detector->schema().version)},
                          {"sha256", detector_digest}};
  }
  return header;
}

void PrintSummary(const screen::Tally& tally, const std::string& report, size_t resumed, size_t screened,
                  double seconds) {
  const auto part = [](std::string_view word, size_t count) {
    return Paint(count > 0 ? ColourOf(word) : Colour::kDim, artifact::Cat(count, " ", word));
  };
  std::printf("%zu models: %s, %s, %s, %s", tally.models, part("pass", tally.pass).c_str(),
              part("review", tally.review).c_str(), part("quarantine", tally.quarantine).c_str(),
              part("inconclusive", tally.inconclusive).c_str());
  if (tally.errors > 0) std::printf(", %s", part("error", tally.errors).c_str());
  if (tally.skipped > 0) std::printf(", %zu not eligible", tally.skipped);
  std::printf("\n%s, %.0f models/s", Duration(seconds).c_str(),
              static_cast<double>(screened) / std::max(seconds, 1e-9));
  if (resumed > 0) std::printf(" (%zu taken over from an interrupted run)", resumed);
  std::printf("; report: %s\n", report.c_str());
}

absl::Status CopyToStdout(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::vector<char> buffer(1 << 16);
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || in.gcount() > 0) {
    if (std::fwrite(buffer.data(), 1, static_cast<size_t>(in.gcount()), stdout) != static_cast<size_t>(in.gcount())) {
      return absl::InternalError("standard output could not be written");
    }
  }
  return in.bad() ? absl::InternalError(artifact::Cat(path, ": could not be read back")) : absl::OkStatus();
}

// Runs to the end, or to the first failure of the journal; what was done stays in the journal.
absl::Status Run(screen::FleetRun& run, size_t total, size_t done, const char* what, store::Journal& journal,
                 screen::Tally& tally, Listing& listing) {
  Progress progress(what, total, done);
  auto synced = std::chrono::steady_clock::now();
  while (std::optional<screen::Entry> entry = run.Next()) {
    if (absl::Status status = journal.Append(entry->line); !status.ok()) return status;
    screen::Count(std::string_view(entry->verdict), tally);
    if (listing.Wants(entry->verdict)) listing.Add(ordered_json::parse(entry->line));
    progress.Advance();
    if (std::chrono::steady_clock::now() - synced > std::chrono::seconds(2)) {
      if (absl::Status status = journal.Sync(); !status.ok()) return status;
      synced = std::chrono::steady_clock::now();
    }
  }
  return journal.Sync();
}

absl::Status ListResumed(store::Journal& journal, Listing& listing) {
  absl::StatusOr<store::Journal::Reader> reader = journal.Read();
  if (!reader.ok()) return reader.status();
  while (std::optional<std::string> line = reader->Next()) {
    const ordered_json entry = ordered_json::parse(*line);
    if (listing.Wants(entry.at("verdict").get_ref<const std::string&>())) listing.Add(entry);
  }
  return absl::OkStatus();
}

int ScreenAll(const Arguments& arguments, screen::Mode mode, const std::string& command,
              const std::string& report_name) {
  const auto start = std::chrono::steady_clock::now();
  absl::StatusOr<Inputs> inputs = FindInputs(arguments);
  if (!inputs.ok()) return Fail(inputs.status());
  absl::StatusOr<detector::Detector> detector = LoadDetector(arguments);
  const bool without = absl::IsNotFound(detector.status()) && mode == screen::Mode::kVerify;
  if (!detector.ok() && !without) return Fail(detector.status());
  std::string digest;
  if (!without) {
    if (absl::Status status = detector->CheckSchema(screen::ModelSchemaId()); !status.ok()) return Fail(status);
    if (absl::Status status = ChooseBackendForModels(arguments, *detector); !status.ok()) return Fail(status);
    absl::StatusOr<std::string> computed = DetectorDigest(arguments.model_dir);
    if (!computed.ok()) return Fail(computed.status());
    digest = *std::move(computed);
  }
  const std::string report = ReportPath(arguments, report_name);
  std::error_code error;
  if (std::filesystem::path parent = std::filesystem::path(report).parent_path(); !parent.empty()) {
    std::filesystem::create_directories(parent, error);
  }
  const ordered_json header = Header(arguments, command, inputs->root.path(), without ? nullptr : &*detector, digest);
  const std::string journal_path = artifact::Cat(report, ".journal");
  if (std::filesystem::exists(report, error) && !std::filesystem::is_regular_file(report, error)) {
    return Fail(
        absl::FailedPreconditionError(artifact::Cat(report, ": cannot be the report: expected a regular file")));
  }
  absl::StatusOr<store::Journal> journal = store::Journal::Open(journal_path, screen::Dump(header));
  if (!journal.ok()) return Fail(journal.status());
  // Emptied and not removed: the lock of a run that is still writing it must hold.
  if (arguments.restart) {
    if (absl::Status status = journal->Truncate(0); !status.ok()) return Fail(status);
  }
  screen::Tally tally;
  absl::StatusOr<size_t> done = screen::ResumeFrom(*journal, inputs->subjects, tally);
  if (!done.ok()) return Fail(done.status());
  Listing listing(arguments.show_all, inputs->subjects.size());
  if (absl::Status status = ListResumed(*journal, listing); !status.ok()) return Fail(status);
  const screen::Screener screener(&inputs->root, without ? nullptr : &*detector, mode,
                                  {arguments.alpha, arguments.quarantine_alpha}, arguments.only_eligible);
  {
    screen::FleetRun run(&screener, inputs->subjects, *done, Threads(arguments));
    const absl::Status status = Run(run, inputs->subjects.size(), *done, command.c_str(), *journal, tally, listing);
    if (!status.ok()) return Fail(status);
  }
  if (absl::Status status = screen::WriteReport(report, header, tally, *journal); !status.ok()) return Fail(status);
  if (absl::Status status = journal->Remove(); !status.ok()) return Fail(status);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (arguments.json) {
    if (absl::Status status = CopyToStdout(report); !status.ok()) return Fail(status);
  } else {
    listing.Print(report);
    if (without)
      std::printf("No detector in %s: only the files' integrity was checked.\n", arguments.model_dir.c_str());
    PrintSummary(tally, report, *done, inputs->subjects.size() - *done, seconds);
  }
  return screen::ExitCode(tally);
}

}  // namespace

int ScoreAll(const Arguments& arguments) {
  return ScreenAll(arguments, screen::Mode::kScore, "score_all", "scoring_report.json");
}

int VerifyAll(const Arguments& arguments) {
  return ScreenAll(arguments, screen::Mode::kVerify, "verify_all", "verification_report.json");
}

}  // namespace driftseal::app
