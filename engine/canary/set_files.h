#ifndef DRIFTSEAL_ENGINE_CANARY_SET_FILES_H_
#define DRIFTSEAL_ENGINE_CANARY_SET_FILES_H_

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/artifact/source.h"
#include "engine/replay/protocol/behaviour.h"

// Canary sets as files: those that a user names, and the copies that lie with a detector.
namespace driftseal::canary {

/// By which a detector knows its sets.
struct SetId {
  std::string name;    ///< Of the set and of its file.
  std::string sha256;  ///< Of the file, 64 hexadecimal digits.
  bool operator==(const SetId&) const = default;
};

struct SetFile {
  SetId id;
  std::string bytes;  ///< The file, as EncodeCanarySet wrote it.
  replay::CanarySet set;
};

inline constexpr size_t kMostSets = 64;

/// One set. InvalidArgument naming the file: no canary set, or its name cannot be a file's (1 to 64 letters, digits,
/// '-', '_' and '.', not at the start).
absl::StatusOr<SetFile> ReadSet(const artifact::Source& source);
/// `add` to `sets`. AlreadyExists where another one has its name; a set that is there already is passed over.
absl::Status AddSet(SetFile add, std::vector<SetFile>& sets);
/// The sets of files, and of all *.safetensors in folders, in the order given and then by name. NotFound for a folder
/// without one.
absl::StatusOr<std::vector<SetFile>> ReadSets(std::span<const std::string> paths);

/// Where a detector in `folder` has its set `name`: "<folder>/canary/<name>.safetensors".
std::string SetPath(const std::string& folder, const std::string& name);
/// Copies the sets to there, each written beside and renamed. Before the detector, which names their digests, is saved.
absl::Status WriteSets(const std::string& folder, std::span<const SetFile> sets);
/// The sets that a detector in `folder` names. FailedPrecondition naming the file of one that is missing or is not the
/// one that the detector was fitted with. `open`: how files are opened.
using OpenFile = std::function<absl::StatusOr<artifact::Source>(const std::string& path)>;
absl::StatusOr<std::vector<SetFile>> LoadSets(const std::string& folder, std::span<const SetId> ids,
                                              const OpenFile& open = artifact::Source::Open);

std::vector<replay::CanarySet> SetsOf(std::vector<SetFile> sets);

}  // namespace driftseal::canary

#endif  // DRIFTSEAL_ENGINE_CANARY_SET_FILES_H_
