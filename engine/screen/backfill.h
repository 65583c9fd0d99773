#ifndef DRIFTSEAL_ENGINE_SCREEN_BACKFILL_H_
#define DRIFTSEAL_ENGINE_SCREEN_BACKFILL_H_

#include <string>

#include "engine/artifact/source.h"
#include "engine/screen/subject.h"
#include "nlohmann/json.hpp"

// Records digests that meta files lack.
namespace driftseal::screen {

/// What was done to one meta file.
struct Change {
  std::string path;
  std::string outcome;  ///< "written", "complete" (nothing was missing), "mismatch", "skipped" or "error".
  std::string detail;   ///< How many digests, which file differs, or why it failed.
};
/// "file" of docs/schemas/backfill.schema.json and describe.schema.json.
nlohmann::ordered_json ToJson(const Change& change);

struct BackfillOptions {
  bool only_eligible = false;  ///< Pass over models whose promotion.eligible is not true.
  bool overwrite = false;      ///< Also replace digests that are there.
};

/// Records the digests that the meta file `subject` lacks and leaves everything else in it as it was. Where a recorded
/// digest is another one, nothing is written (without `overwrite`). The file is replaced as a whole and stays beneath
/// the root.
Change Backfill(const Subject& subject, const artifact::Root& root, const BackfillOptions& options);

}  // namespace driftseal::screen

#endif  // DRIFTSEAL_ENGINE_SCREEN_BACKFILL_H_
