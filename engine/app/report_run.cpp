#include "engine/app/report_run.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/app/inputs.h"
#include "engine/app/terminal.h"
#include "engine/artifact/text.h"
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

ordered_json Header(const Arguments& arguments, const FleetCommand& command, const FleetSource& source) {
  return {{"format", "driftseal-report/1"},
          {"command", command.name},
          {"root", source.root},
          {"meta_glob", arguments.meta_glob},
          {"only_eligible", arguments.only_eligible},
          {"policy", {{"alpha", arguments.alpha}, {"quarantine_alpha", arguments.quarantine_alpha}}},
          {"detector", source.detector},
          {"replay", source.replay}};
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

// Runs to the end, or to the first failure; what was done stays in the journal.
absl::Status Run(const NextEntry& next, size_t total, size_t done, const std::string& what, store::Journal& journal,
                 screen::Tally& tally, Listing& listing) {
  Progress progress(what, total, done);
  auto synced = std::chrono::steady_clock::now();
  for (;;) {
    absl::StatusOr<std::optional<screen::Entry>> entry = next();
    if (!entry.ok() || !entry->has_value()) {
      const absl::Status written = journal.Sync();
      return entry.ok() ? written : entry.status();
    }
    const auto& [verdict, line] = **entry;
    if (absl::Status status = journal.Append(line); !status.ok()) return status;
    screen::Count(std::string_view(verdict), tally);
    if (listing.Wants(verdict)) listing.Add(ordered_json::parse(line));
    progress.Advance();
    if (std::chrono::steady_clock::now() - synced > std::chrono::seconds(2)) {
      if (absl::Status status = journal.Sync(); !status.ok()) return status;
      synced = std::chrono::steady_clock::now();
    }
  }
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

// Where the report goes; an error where it cannot go there.
absl::StatusOr<std::string> PlaceOf(const Arguments& arguments, const FleetCommand& command) {
  const std::string report = ReportPath(arguments, command.report_name);
  std::error_code error;
  if (std::filesystem::path parent = std::filesystem::path(report).parent_path(); !parent.empty()) {
    std::filesystem::create_directories(parent, error);
  }
  if (std::filesystem::exists(report, error) && !std::filesystem::is_regular_file(report, error)) {
    return absl::FailedPreconditionError(artifact::Cat(report, ": cannot be the report: expected a regular file"));
  }
  return report;
}

}  // namespace

ordered_json DetectorJson(const std::string& name, int version, const std::string& schema, const std::string& sha256) {
  return {{"name", name}, {"version", version}, {"schema", schema}, {"sha256", sha256}};
}

int RunReport(const Arguments& arguments, const FleetCommand& command, const FleetSource& source,
              std::chrono::steady_clock::time_point start) {
  const absl::StatusOr<std::string> report = PlaceOf(arguments, command);
  if (!report.ok()) return Fail(report.status());
  const ordered_json header = Header(arguments, command, source);
  absl::StatusOr<store::Journal> journal =
      store::Journal::Open(artifact::Cat(*report, ".journal"), screen::Dump(header));
  if (!journal.ok()) return Fail(journal.status());
  // Emptied and not removed: the lock of a run that is still writing it must hold.
  if (arguments.restart) {
    if (absl::Status status = journal->Truncate(0); !status.ok()) return Fail(status);
  }
  const size_t models = source.subjects.size();
  screen::Tally tally;
  absl::StatusOr<size_t> done = screen::ResumeFrom(*journal, source.subjects, tally);
  if (!done.ok()) return Fail(done.status());
  Listing listing(arguments.show_all, models);
  if (absl::Status status = ListResumed(*journal, listing); !status.ok()) return Fail(status);
  if (absl::Status status = Run(source.begin(*done), models, *done, command.name, *journal, tally, listing);
      !status.ok()) {
    return Fail(status);
  }
  if (absl::Status status = screen::WriteReport(*report, header, tally, *journal); !status.ok()) return Fail(status);
  if (absl::Status status = journal->Remove(); !status.ok()) return Fail(status);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (arguments.json) {
    if (absl::Status status = CopyToStdout(*report); !status.ok()) return Fail(status);
  } else {
    listing.Print(*report);
    if (source.detector.is_null())
      std::printf("No detector in %s: only the files' integrity was checked.\n", source.where.c_str());
    PrintSummary(tally, *report, *done, models - *done, seconds);
  }
  return screen::ExitCode(tally);
}

}  // namespace driftseal::app
