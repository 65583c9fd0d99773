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
#include "engine/artifact/source.h"
#include "engine/artifact/text.h"
#include "engine/fingerprint/meta.h"

namespace driftseal::screen {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMetaEnding = ".meta.json";

// Names that models usually go by. A file like this is screened even when its content is of no known format, so that
// nobody takes silence for a pass.
constexpr std::array<std::string_view, 22> kModelEndings = {
    ".safetensors", ".pt",   ".pth",  ".ckpt",   ".bin",  ".pkl",      ".pickle", ".joblib", ".h5",  ".hdf5", ".keras",
    ".onnx",        ".gguf", ".ggml", ".tflite", ".ubj",  ".xgb",      ".model",  ".npz",    ".mar", ".pb",   ".bst"};

// Whether the first bytes are those of a format that is read here.
bool HeadLooksLikeModel(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return false;
  std::array<char, 64> head{};
  const ssize_t got = ::pread(fd, head.data(), head.size(), 0);
  ::close(fd);
  if (got < 12) return false;
  const std::string_view text(head.data(), static_cast<size_t>(got));
  if (text.starts_with("PK\x03\x04")) return (text.find("data.pkl") != std::string_view::npos) || (text.find("/") != std::string_view::npos);
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

// Files that the meta files name, beneath the root, so that a model is not screened twice.
void AddNamedFiles(const std::string& root, const std::string& meta_path, std::unordered_set<std::string>& named) {
  absl::StatusOr<artifact::Source> source = artifact::Source::Open(artifact::Cat(root, "/", meta_path));
  if (!source.ok()) return;  // It is a subject itself, and will be reported as one.
  absl::StatusOr<fingerprint::ModelMeta> meta = fingerprint::ReadMeta(*source);
  if (!meta.ok()) return;
  const fs::path folder = fs::path(meta_path).parent_path();
  std::vector<std::string> files = meta->related_paths;
  files.push_back(meta->model_path);
  files.push_back(meta->predictions_path);
  for (const std::string& file : files) {
    if (file.empty()) continue;
    // The same order in which the fingerprint looks: beside the meta file, then beneath the root.
    std::string beside = (folder / file).lexically_normal().generic_string();
    std::error_code error;
    const bool there = fs::exists(fs::path(root) / beside, error);
    named.insert(there ? std::move(beside) : fs::path(file).lexically_normal().generic_string());
  }
}

absl::Status WalkError(const std::string& root, const std::error_code& error) {
  const std::string text = artifact::Cat(root, ": ", error.message());
  if (error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory) {
    return absl::NotFoundError(artifact::Cat(text, ", expected a folder"));
  }
  return absl::PermissionDeniedError(text);
}

struct Found {
  std::vector<std::string> metas, models;
};

absl::StatusOr<Found> Walk(const std::string& root, const FindOptions& options) {
  Found found;
  std::error_code error;
  fs::recursive_directory_iterator walk(root, fs::directory_options::skip_permission_denied, error);
  if (error) return WalkError(root, error);
  const size_t skip = fs::path(root).generic_string().size();
  for (; walk != fs::recursive_directory_iterator(); walk.increment(error)) {
    if (error) return WalkError(root, error);
    if (walk->is_directory(error) && fs::exists(walk->path() / "detector_state.json", error)) {
      walk.disable_recursion_pending();  // A detector of ours, whose tensors are no model to screen.
      continue;
    }
    if (!walk->is_regular_file(error)) continue;
    const std::string full = walk->path().generic_string();
    std::string relative = full.substr(skip);
    relative.erase(0, relative.find_first_not_of('/'));
    if (GlobMatches(options.meta_glob, relative)) {
      found.metas.push_back(std::move(relative));
    } else if (options.bare_files && !IsMetaPath(relative) && IsModelCandidate(full)) {
      found.models.push_back(std::move(relative));
    }
  }
  return found;
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

}  // namespace

bool IsMetaPath(std::string_view path) { return path.ends_with(kMetaEnding); }

bool GlobMatches(std::string_view glob, std::string_view path) { return SegmentsMatch(glob, path); }

absl::StatusOr<std::vector<Subject>> FindSubjects(const std::string& root, const FindOptions& options) {
  absl::StatusOr<Found> found = Walk(root, options);
  if (!found.ok()) return found.status();
  if (!found->models.empty() && !found->metas.empty()) {
    std::unordered_set<std::string> named;
    for (const std::string& meta : found->metas) AddNamedFiles(root, meta, named);
    std::erase_if(found->models, [&](const std::string& model) { return named.contains(model); });
  }
  std::vector<Subject> subjects;
  subjects.reserve(found->metas.size() + found->models.size());
  for (std::string& path : found->metas) subjects.push_back({std::move(path), false});
  for (std::string& path : found->models) subjects.push_back({std::move(path), true});
  std::sort(subjects.begin(), subjects.end(), [](const Subject& a, const Subject& b) { return a.path < b.path; });
  return subjects;
}

}  // namespace driftseal::screen
