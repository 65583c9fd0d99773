#include "bench/fleet/truth.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/artifact/source.h"

namespace driftseal::fleet {
namespace {

using nlohmann::ordered_json;
using Records = std::map<std::string, ordered_json>;

/// The truth file, open and locked. Complete() replaces the file, so the lock may be on one that is no longer there:
/// then it is taken again.
class LockedFile {
 public:
  static absl::StatusOr<LockedFile> Open(const std::string& path) {
    while (true) {
      LockedFile file(open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
      struct stat here {
      }, there{};
      if (file.fd_ < 0 || flock(file.fd_, LOCK_EX) != 0 || fstat(file.fd_, &here) != 0) {
        return absl::ErrnoToStatus(errno, absl::StrCat("cannot open the truth file ", path));
      }
      if (stat(path.c_str(), &there) == 0 && here.st_ino == there.st_ino && here.st_dev == there.st_dev) return file;
    }
  }
  LockedFile(LockedFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  LockedFile& operator=(LockedFile&&) = delete;
  ~LockedFile() {
    if (fd_ >= 0) close(fd_);
  }
  int fd() const { return fd_; }

 private:
  explicit LockedFile(int fd) : fd_(fd) {}
  int fd_;
};

absl::StatusOr<Records> ReadRecords(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  Records records;
  std::string line;
  for (size_t number = 1; std::getline(text, line); ++number) {
    if (text.eof()) break;  // no line feed at its end: half a line
    if (line.empty()) continue;
    ordered_json record = ordered_json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!record.is_object() || !record.contains("meta") || !record["meta"].is_string()) {
      return absl::InvalidArgumentError(absl::StrCat(path, ":", number, ": expected a JSON object with \"meta\""));
    }
    const std::string key = record["meta"];
    records[key] = std::move(record);
  }
  return records;
}

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

/// What `clean_drop` is measured in: the primary metric, or for class-to-class flips, which are meant to ruin one
/// class, the mean recall of the other classes.
double Value(const ordered_json& record, const ordered_json& source_class) {
  if (source_class.is_null()) return record.at("clean_primary");
  const std::vector<double> recall = record.at("class_recall");
  double sum = 0;
  for (size_t c = 0; c < recall.size(); ++c) sum += c == source_class.get<size_t>() ? 0 : recall[c];
  return sum / static_cast<double>(recall.size() - 1);
}

bool Gated(const ordered_json& record, double drop) {
  if (!record.at("broken_digest").is_null()) return true;  // the bytes differ from what was recorded, whatever they do
  const ordered_json& success = record.at("attack_success_rate");
  return (success.is_null() || success.get<double>() >= kGateSuccess) && drop <= kGateDrop;
}

}  // namespace

void JudgeRecords(Records& records) {
  // Attacked models of another recipe are compared with clean ones of that recipe, where there are any.
  std::map<std::string, std::vector<const ordered_json*>> clean;
  const auto treatment = [](const ordered_json& record) {
    return absl::StrCat("/", record.value("shift", "none"), "/", record.value("variant", "none"));
  };
  for (const auto& [key, record] : records) {
    if (record.at("attack") != "none") continue;
    clean[record.at("family").get<std::string>() + treatment(record)].push_back(&record);
  }
  for (auto& [key, record] : records) {
    record["clean_drop"] = nullptr;
    record["gated"] = nullptr;
    const std::string family_name = record.at("family");
    auto family = clean.find(family_name + treatment(record));
    if (family == clean.end()) family = clean.find(family_name + "/none/none");
    if (family != clean.end()) {
      // Flips alone are meant to ruin a class; a source class with a trigger is left as it is without one.
      const ordered_json ruined = record.at("attack") == "label-flip" ? record.at("source_class") : ordered_json();
      std::vector<double> values;
      for (const ordered_json* other : family->second) values.push_back(Value(*other, ruined));
      record["clean_drop"] = Median(values) - Value(record, ruined);
    }
    if (record.at("attack") == "none") continue;
    if (!record["broken_digest"].is_null()) {
      record["gated"] = true;
    } else if (!record["clean_drop"].is_null()) {
      record["gated"] = Gated(record, record["clean_drop"]);
    }
  }
}

absl::StatusOr<TruthFile> TruthFile::Open(const std::string& path, const std::string& fleet) {
  const std::filesystem::path folder = std::filesystem::absolute(path).lexically_normal().parent_path();
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot make the folder ", folder.string()));
  const auto relative = std::filesystem::absolute(fleet).lexically_normal().lexically_relative(folder);
  TruthFile file(path, (relative / "").lexically_normal().string());
  const auto locked = LockedFile::Open(path);
  if (!locked.ok()) return locked.status();
  const auto records = ReadRecords(path);
  if (!records.ok()) return records.status();
  // A half line, as a killed process leaves it, would swallow the next record.
  struct stat state {};
  char last = '\n';
  if (fstat(locked->fd(), &state) == 0 && state.st_size > 0 && pread(locked->fd(), &last, 1, state.st_size - 1) == 1 &&
      last != '\n') {
    std::string text;
    for (const auto& [key, record] : *records) text += record.dump() + "\n";
    const absl::Status status = artifact::WriteFileAtomically(path, text);
    if (!status.ok()) return status;
  }
  return file;
}

absl::Status TruthFile::Append(const std::string& model_name, ordered_json record) const {
  ordered_json line = {{"meta", prefix_ + model_name + ".meta.json"}};
  line.update(record);
  const std::string text = line.dump() + "\n";
  const auto locked = LockedFile::Open(path_);
  if (!locked.ok()) return locked.status();
  if (write(locked->fd(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write the truth file ", path_));
  }
  return absl::OkStatus();
}

absl::Status TruthFile::Complete() const {
  const auto locked = LockedFile::Open(path_);
  if (!locked.ok()) return locked.status();
  auto records = ReadRecords(path_);
  if (!records.ok()) return records.status();
  std::string text;
  try {
    JudgeRecords(*records);
    for (const auto& [key, record] : *records) text += record.dump() + "\n";
  } catch (const nlohmann::json::exception& problem) {
    return absl::InvalidArgumentError(absl::StrCat(path_, ": not a truth file: ", problem.what()));
  }
  return artifact::WriteFileAtomically(path_, text);
}

}  // namespace driftseal::fleet
