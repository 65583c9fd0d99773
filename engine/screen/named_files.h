#ifndef DRIFTSEAL_ENGINE_SCREEN_NAMED_FILES_H_
#define DRIFTSEAL_ENGINE_SCREEN_NAMED_FILES_H_

#include <span>
#include <string>
#include <unordered_set>

namespace driftseal::screen {

/// Those of `candidates` that one of the meta files names as its model, its predictions or its canaries, so that
/// a model is not screened twice, and what belongs to one not at all. All paths are beneath `root`. Related files are
/// not among them: their digests are checked, but one that looks like a model is screened like any other. A meta file
/// that cannot be read names nothing.
std::unordered_set<std::string> NamedFiles(const std::string& root, std::span<const std::string> metas,
                                           std::span<const std::string> candidates, unsigned threads);

}  // namespace driftseal::screen

#endif  // DRIFTSEAL_ENGINE_SCREEN_NAMED_FILES_H_
