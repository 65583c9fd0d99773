#include "engine/screen/subject.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <unordered_set>

#include "absl/status/status.h"
#include "engine/artifact/text.h"
#include "engine/canary/set_files.h"
#include "engine/detector/detector.h"
#include "engine/screen/canary_sets.h"
#include "engine/screen/named_files.h"

namespace driftseal::screen {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMetaEnding = ".meta.json";

// Names that models usually go by. A file like this is screened even when its content is of no known format, so that
// nobody takes silence for a pass.
constexpr std::array<std::string_view, 22> kModelEndings = {
    ".safetensors", ".pt",   ".pth",  ".ckpt",   ".bin", ".pkl", ".pickle", ".joblib", ".h5",  ".hdf5", ".keras",
    ".onnx",        ".gguf", ".ggml", ".tflite", ".ubj", ".xgb", ".model",  ".npz",    ".mar", ".pb",   ".bst"};

// Whether the first bytes are those of a format that is read here.
bool HeadLooksLikeModel(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return false;
  std::array<char, 64> head{};
  const ssize_t got = ::pread(fd, head.data(), head.size(), 0);
  ::close(fd);
  if (got < 12) return false;
  const std::string_view text(head.data(), static_cast<size_t>(got));
  if (text.starts_with("PK\x03\x04"))
    return (text.find("data.pkl") != std::string_view::npos) || (text.find("/") != std::string_view::npos);
  uint64_t header = 0;
  std::memcpy(&header, text.data(), sizeof header);
  if (text[8] == '{' && header >= 2 && header <= 100'000'000) return true;
  return text[0] == '{' && (text.find("learner") != std::string_view::npos);
}

bool EndsWith(std::string_view path, std::string_view ending) {
  if (path.size() < ending.size()) return false;
  const std::string_view tail = path.substr(path.size() - ending.size());
  return std::equal(tail.begin(), tail.end(), ending.begin(),
                    [](unsigned char a, unsigned char b) { return std::tolower(a) == b; });
}

bool IsModelCandidate(const std::string& path) {
  if (std::any_of(kModelEndings.begin(), kModelEndings.end(),
                  [&](std::string_view ending) { return EndsWith(path, ending); })) {
    return true;
  }
  return HeadLooksLikeModel(path);
}

absl::Status WalkError(const fs::path& folder, const std::error_code& error) {
  const std::string text = artifact::Cat(folder.string(), ": ", error.message());
  if (error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory) {
    return absl::NotFoundError(artifact::Cat(text, ", expected a folder"));
  }
  return absl::PermissionDeniedError(text);
}

struct Found {
  std::vector<std::string> metas, models;
  std::vector<std::string> other_metas;  // Do not match the glob: no subjects, but their models are not bare.
  std::vector<Subject> closed;           // Folders that cannot be searched.
};

// Deeper than any registry is, and far from the number of files that a process may hold open.
constexpr int kMaxDepth = 200;

// Why a folder's contents would be passed over; empty when they can be read.
std::string WhyClosed(const fs::recursive_directory_iterator& walk) {
  if (walk.depth() >= kMaxDepth) return artifact::Cat("a folder ", kMaxDepth, " levels deep: it is not searched");
  if (::access(walk->path().c_str(), R_OK | X_OK) == 0) return "";
  return "a folder that cannot be read: what it holds is not known";
}

// A canary set that the detector of the folder above names, by its digest.
bool IsDetectorsCanarySet(const fs::path& path) {
  const fs::path folder = path.parent_path().parent_path();
  std::error_code error;
  if (path.parent_path().filename() != "canary" || !fs::exists(folder / "detector_state.json", error)) return false;
  const absl::StatusOr<detector::Detector> detector = detector::Detector::Load(folder.string());
  if (!detector.ok()) return false;
  for (const canary::SetId& id : CanarySetsOf(*detector)) {
    if (id.name == path.stem() && canary::LoadSets(folder.string(), {{id}}).ok()) return true;
  }
  return false;
}

// The tensors of a detector of ours and its canary sets are no models to screen. Its state file alone proves nothing:
// anybody can put one into a folder.
bool IsDetectorsOwn(const fs::path& path) {
  std::error_code error;
  if (path.filename() != "detector.safetensors")
    return EndsWith(path.string(), ".safetensors") && IsDetectorsCanarySet(path);
  return fs::exists(path.parent_path() / "detector_state.json", error) &&
         detector::Detector::Load(path.parent_path().string()).ok();
}

// `relative` to the root, `inside` relative to the folder that is searched.
void AddFile(const std::string& full, std::string relative, std::string_view inside, const FindOptions& options,
             Found& found) {
  if (GlobMatches(options.meta_glob, inside)) {
    found.metas.push_back(std::move(relative));
  } else if (IsMetaPath(relative)) {
    found.other_metas.push_back(std::move(relative));
  } else if (options.bare_files && IsModelCandidate(full) && !IsDetectorsOwn(full)) {
    found.models.push_back(std::move(relative));
  }
}

absl::Status Walk(const std::string& root, const std::string& folder, const FindOptions& options, Found& found) {
  std::error_code error;
  const fs::path start = folder.empty() ? fs::path(root) : fs::path(root) / folder;
  fs::recursive_directory_iterator walk(start, error);
  if (error) return WalkError(start, error);
  const auto below = [](const std::string& path, const fs::path& above) {
    const std::string rest = path.substr(above.generic_string().size());
    return rest.substr(std::min(rest.size(), rest.find_first_not_of('/')));
  };
  for (; walk != fs::recursive_directory_iterator(); walk.increment(error)) {
    if (error) return WalkError(start, error);
    const std::string full = walk->path().generic_string();
    std::string relative = below(full, root);
    const bool link = walk->is_symlink(error);
    const fs::file_type type = walk->status(error).type();
    if (type == fs::file_type::directory && !link) {
      std::string why = WhyClosed(walk);
      if (why.empty()) continue;
      walk.disable_recursion_pending();
      found.closed.push_back({std::move(relative), true, std::move(why)});
    } else if (type == fs::file_type::regular || (link && type != fs::file_type::directory)) {
      AddFile(full, std::move(relative), below(full, start), options, found);
    }
  }
  return error ? WalkError(start, error) : absl::OkStatus();
}

bool SegmentsMatch(std::string_view glob, std::string_view path) {
  const size_t slash = glob.find('/');
  const std::string_view segment = glob.substr(0, slash);
  if (segment == "**") {
    if (slash == std::string_view::npos) return true;
    for (std::string_view rest = path;;) {
      if (SegmentsMatch(glob.substr(slash + 1), rest)) return true;
      const size_t next = rest.find('/');
      if (next == std::string_view::npos) return false;
      rest.remove_prefix(next + 1);
    }
  }
  const size_t part = path.find('/');
  if (fnmatch(std::string(segment).c_str(), std::string(path.substr(0, part)).c_str(), 0) != 0) return false;
  if (slash == std::string_view::npos) return part == std::string_view::npos;
  return part != std::string_view::npos && SegmentsMatch(glob.substr(slash + 1), path.substr(part + 1));
}

void RemoveNamed(const std::string& root, unsigned threads, Found& found) {
  if (found.models.empty()) return;
  std::unordered_set<std::string> named = NamedFiles(root, found.metas, found.models, threads);
  named.merge(NamedFiles(root, found.other_metas, found.models, threads));
  std::erase_if(found.models, [&](const std::string& model) { return named.contains(model); });
}

}  // namespace

bool IsMetaPath(std::string_view path) { return path.ends_with(kMetaEnding); }

bool GlobMatches(std::string_view glob, std::string_view path) { return SegmentsMatch(glob, path); }

absl::StatusOr<std::vector<Subject>> FindSubjects(const std::string& root, const FindOptions& options) {
  Found found;
  for (const std::string& folder : options.folders) {
    if (absl::Status status = Walk(root, folder, options, found); !status.ok()) return status;
  }
  RemoveNamed(root, options.threads, found);
  std::vector<Subject> subjects = std::move(found.closed);
  subjects.reserve(subjects.size() + found.metas.size() + found.models.size());
  for (std::string& path : found.metas) subjects.push_back({std::move(path), false});
  for (std::string& path : found.models) subjects.push_back({std::move(path), true});
  std::sort(subjects.begin(), subjects.end(), [](const Subject& a, const Subject& b) { return a.path < b.path; });
  // Folders that overlap give a path twice.
  const auto same = [](const Subject& a, const Subject& b) { return a.path == b.path; };
  subjects.erase(std::unique(subjects.begin(), subjects.end(), same), subjects.end());
  return subjects;
}

}  // namespace driftseal::screen
