#include "engine/serve/subjects.h"

#include <algorithm>
#include <utility>

#include "engine/artifact/text.h"
#include "engine/serve/verifier.h"

namespace driftseal::serve {
namespace {

using artifact::Cat;

constexpr size_t kGlobBytes = 1024;
constexpr size_t kGlobSpans = 8;  // "**" parts: each is tried at every depth.

absl::Status CheckGlob(const std::string& glob) {
  if (glob.size() > kGlobBytes || glob.find('\0') != glob.npos) {
    return absl::InvalidArgumentError(Cat("meta_glob: expected at most ", kGlobBytes, " bytes and no NUL"));
  }
  size_t spans = 0;
  for (size_t at = glob.find("**"); at != glob.npos; at = glob.find("**", at + 2)) ++spans;
  if (spans <= kGlobSpans) return absl::OkStatus();
  return absl::InvalidArgumentError(Cat("meta_glob: expected at most ", kGlobSpans, " times **"));
}

}  // namespace

absl::StatusOr<std::vector<screen::Subject>> SubjectsOf(const Engine& engine, const char* field,
                                                        const std::vector<std::string>& paths,
                                                        const std::string& meta_glob) {
  screen::FindOptions options;
  if (!meta_glob.empty()) options.meta_glob = meta_glob;
  if (absl::Status status = CheckGlob(options.meta_glob); !status.ok()) return status;
  options.folders.clear();
  std::vector<screen::Subject> subjects;
  for (const std::string& path : paths) {
    absl::StatusOr<std::string> name = path.empty() ? absl::StatusOr<std::string>("") : CheckPath(engine, field, path);
    if (name.ok() && !name->empty() && engine.root.OpenFile(*name).ok()) {
      const bool bare = !screen::IsMetaPath(*name);
      subjects.push_back({*std::move(name), bare});
      continue;
    }
    absl::StatusOr<std::string> folder = engine.root.ResolveFolder(path);
    // The root's own absolute name lies not beneath it, and is a folder all the same.
    if (!folder.ok() && !name.ok()) return name.status();
    if (!folder.ok()) return absl::Status(folder.status().code(), Cat(field, ": ", folder.status().message()));
    options.folders.push_back(*std::move(folder));
  }
  absl::StatusOr<std::vector<screen::Subject>> found = screen::FindSubjects(engine.root.path(), options);
  // The message would tell where the root lies on this machine.
  if (!found.ok()) return absl::Status(found.status().code(), Cat(field, ": a folder cannot be searched"));
  subjects.insert(subjects.end(), std::make_move_iterator(found->begin()), std::make_move_iterator(found->end()));
  std::sort(subjects.begin(), subjects.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  const auto same = [](const auto& a, const auto& b) { return a.path == b.path; };
  subjects.erase(std::unique(subjects.begin(), subjects.end(), same), subjects.end());
  return subjects;
}

}  // namespace driftseal::serve
