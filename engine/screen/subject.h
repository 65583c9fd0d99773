#ifndef DRIFTSEAL_ENGINE_SCREEN_SUBJECT_H_
#define DRIFTSEAL_ENGINE_SCREEN_SUBJECT_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

// What there is to screen: meta files, and model files that have none.
namespace driftseal::screen {

struct Subject {
  std::string path;   ///< Beneath the root, with '/' between its parts.
  bool bare = false;  ///< A model file without a meta file.
};

struct FindOptions {
  std::string meta_glob = "**/*.meta.json";  ///< '**' spans folders, '*' and '?' do not.
  bool bare_files = true;                    ///< Also model files that no meta file names.
};

/// Everything to screen beneath `root`, sorted by path. Folders that are symbolic links are not entered, so that loops end.
/// NotFound / PermissionDenied naming the folder.
absl::StatusOr<std::vector<Subject>> FindSubjects(const std::string& root, const FindOptions& options);

/// One path given by the user: a meta file by its name's ending, otherwise a model file.
bool IsMetaPath(std::string_view path);

/// '**' spans folders, '*' and '?' stay within one, everything else stands for itself.
bool GlobMatches(std::string_view glob, std::string_view path);

}  // namespace driftseal::screen

#endif  // DRIFTSEAL_ENGINE_SCREEN_SUBJECT_H_
