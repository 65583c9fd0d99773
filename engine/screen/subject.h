#ifndef DRIFTSEAL_ENGINE_SCREEN_SUBJECT_H_
#define DRIFTSEAL_ENGINE_SCREEN_SUBJECT_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

// What there is to screen: meta files, and model files that have none.
namespace driftseal::screen {

struct Subject {
  std::string path;          ///< Beneath the root, with '/' between its parts.
  bool bare = false;         ///< A model file without a meta file.
  std::string problem = {};  ///< A folder that cannot be searched, and why: silence about it is no pass.
};

struct FindOptions {
  std::string meta_glob = "**/*.meta.json";  ///< See GlobMatches; of paths within the folder that is searched.
  bool bare_files = true;                    ///< Also model files that no meta file names, whether it matches or not.
  std::vector<std::string> folders = {""};   ///< Beneath the root: where to look.
  unsigned threads = 1;                      ///< To read the meta files with.
};

/// Everything to screen in the folders beneath `root`, sorted by path. Folders that are symbolic links are not entered,
/// so that loops end; a link that leads nowhere is a subject, and so is a folder that cannot be read. The tensors of a
/// detector (a folder that Detector::Load accepts) are none. NotFound / PermissionDenied naming the folder of
/// `folders`.
absl::StatusOr<std::vector<Subject>> FindSubjects(const std::string& root, const FindOptions& options);

/// One path given by the user: a meta file by its name's ending, otherwise a model file.
bool IsMetaPath(std::string_view path);

/// '**' as a whole part spans folders; '*', '?' and '[...]' stay within one (fnmatch(3)).
bool GlobMatches(std::string_view glob, std::string_view path);

}  // namespace driftseal::screen

#endif  // DRIFTSEAL_ENGINE_SCREEN_SUBJECT_H_
