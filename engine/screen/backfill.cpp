#include "engine/screen/backfill.h"

#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "engine/artifact/text.h"
#include "engine/fingerprint/meta.h"
#include "engine/screen/screen.h"

namespace driftseal::screen {
namespace {

using artifact::Cat;

struct Digests {
  std::map<std::string, artifact::Digest> fields, related;
  std::string mismatches, unreadable;
};

// The digests that are to be recorded: those that are missing, or all of them.
Digests ToRecord(const fingerprint::Fingerprint& fingerprint, bool overwrite) {
  Digests digests;
  for (const fingerprint::FileEvidence& file : fingerprint.files) {
    if (!file.actual) {
      digests.unreadable += Cat(digests.unreadable.empty() ? "" : "; ", file.status.message());
      continue;
    }
    if (file.recorded && *file.recorded != *file.actual && !overwrite) {
      digests.mismatches += Cat(digests.mismatches.empty() ? "" : "; ", file.role, " ", file.path, " has SHA-256 ",
                                file.actual->Hex(), ", recorded ", file.recorded->Hex());
    }
    if (file.recorded && (!overwrite || *file.recorded == *file.actual)) continue;
    if (file.role == "related") {
      digests.related.emplace(file.path, *file.actual);
    } else {
      digests.fields.emplace(Cat(file.role, "_sha256"), *file.actual);
    }
  }
  return digests;
}

absl::Status Record(const Subject& subject, const artifact::Root& root, const Digests& digests, bool overwrite) {
  absl::StatusOr<artifact::Source> source = root.OpenFile(subject.path);
  if (!source.ok()) return source.status();
  std::vector<std::byte> scratch;
  absl::StatusOr<std::span<const std::byte>> bytes = source->ReadAll(fingerprint::kMetaLimitBytes, scratch);
  if (!bytes.ok()) return bytes.status();
  const std::string_view text(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  absl::StatusOr<std::string> updated =
      fingerprint::WithRecordedDigests(text, subject.path, digests.fields, digests.related, overwrite);
  if (!updated.ok()) return updated.status();
  return root.WriteFile(subject.path, *updated, artifact::AtomicFile::Existing::kReplace);
}

}  // namespace

nlohmann::ordered_json ToJson(const Change& change) {
  return {{"path", change.path}, {"outcome", change.outcome}, {"detail", change.detail}};
}

Change Backfill(const Subject& subject, const artifact::Root& root, const BackfillOptions& options) {
  const auto came_to = [&](std::string outcome, std::string detail) {
    return Change{subject.path, std::move(outcome), std::move(detail)};
  };
  const absl::StatusOr<Fingerprinted> read = FingerprintOf(subject, root, {});
  if (!read.ok()) return came_to("error", std::string(read.status().message()));
  if (options.only_eligible && !read->eligible) return came_to("skipped", "");
  const Digests digests = ToRecord(read->fingerprint, options.overwrite);
  if (!digests.mismatches.empty()) return came_to("mismatch", digests.mismatches);
  const size_t count = digests.fields.size() + digests.related.size();
  const bool whole = digests.unreadable.empty();
  if (count == 0) return came_to(whole ? "complete" : "error", digests.unreadable);
  if (absl::Status status = Record(subject, root, digests, options.overwrite); !status.ok()) {
    return came_to("error", std::string(status.message()));
  }
  return whole ? came_to("written", Cat(count, " digests")) : came_to("error", digests.unreadable);
}

}  // namespace driftseal::screen
