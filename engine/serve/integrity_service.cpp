#include "engine/serve/integrity_service.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/screen/backfill.h"
#include "engine/screen/fleet.h"
#include "engine/serve/pool_writer.h"
#include "engine/serve/subjects.h"
#include "engine/serve/verdict_proto.h"

namespace driftseal::serve {
namespace {

v1::BackfillEntry::Outcome OutcomeOf(const std::string& outcome) {
  if (outcome == "written") return v1::BackfillEntry::OUTCOME_WRITTEN;
  if (outcome == "complete") return v1::BackfillEntry::OUTCOME_UNCHANGED;
  if (outcome == "mismatch") return v1::BackfillEntry::OUTCOME_MISMATCH;
  if (outcome == "skipped") return v1::BackfillEntry::OUTCOME_SKIPPED;
  return v1::BackfillEntry::OUTCOME_ERROR;
}

class BackfillCall final : public PoolWriter<v1::BackfillEntry> {
 public:
  BackfillCall(Engine& engine, const Method& method, grpc::CallbackServerContext* context,
               const v1::BackfillRequest* request)
      : PoolWriter(engine, method, context), request_(*request) {}

 private:
  absl::StatusOr<bool> Next(v1::BackfillEntry& entry) override {
    if (!subjects_) {
      absl::StatusOr<std::vector<screen::Subject>> found =
          SubjectsOf(engine(), "path", {request_.path()}, request_.meta_glob());
      if (!found.ok()) return found.status();
      std::erase_if(*found, [](const screen::Subject& subject) { return subject.bare; });
      subjects_ = *std::move(found);
    }
    if (at_ == subjects_->size()) return false;
    const screen::Change change =
        screen::Backfill((*subjects_)[at_++], engine().root, {request_.only_eligible(), request_.overwrite()});
    entry.set_path(Utf8(change.path));
    entry.set_outcome(OutcomeOf(change.outcome));
    const bool failed =
        entry.outcome() == v1::BackfillEntry::OUTCOME_ERROR || entry.outcome() == v1::BackfillEntry::OUTCOME_MISMATCH;
    if (failed) entry.set_error(Utf8(change.detail));
    entry.set_report_entry(screen::Dump(screen::ToJson(change)));
    return true;
  }

  const v1::BackfillRequest request_;
  std::optional<std::vector<screen::Subject>> subjects_;
  size_t at_ = 0;
};

}  // namespace

IntegrityService::IntegrityService(Engine& engine)
    : engine_(engine), backfill_(engine.gate->MethodOf("Integrity", "Backfill")) {}

grpc::ServerWriteReactor<v1::BackfillEntry>* IntegrityService::Backfill(grpc::CallbackServerContext* context,
                                                                        const v1::BackfillRequest* request) {
  auto* call = new BackfillCall(engine_, backfill_, context, request);
  call->Begin();
  return call;
}

}  // namespace driftseal::serve
