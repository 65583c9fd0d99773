#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/serve/pool_writer.h"
#include "engine/serve/scoring_service.h"
#include "engine/serve/subjects.h"
#include "engine/serve/verdict_proto.h"

// driftseal.v1.Scoring.ListArtifacts.
namespace driftseal::serve {
namespace {

class ListCall final : public PoolWriter<v1::Artifact> {
 public:
  ListCall(Engine& engine, const Method& method, grpc::CallbackServerContext* context,
           const v1::ListArtifactsRequest* request)
      : PoolWriter(engine, method, context), request_(*request) {}

 private:
  bool Ready() const override { return subjects_.has_value(); }

  absl::StatusOr<bool> Next(v1::Artifact& artifact) override {
    if (!subjects_) {
      absl::StatusOr<std::vector<screen::Subject>> found =
          SubjectsOf(engine(), "folder", {request_.folder()}, request_.meta_glob());
      if (!found.ok()) return found.status();
      subjects_ = *std::move(found);
    }
    if (at_ == subjects_->size()) return false;
    const screen::Subject& subject = (*subjects_)[at_++];
    // A name that is not UTF-8 cannot be asked for over gRPC: it is listed as what cannot be looked into.
    artifact.set_path(Utf8(subject.path));
    artifact.set_bare(subject.bare);
    artifact.set_problem(Utf8(subject.problem));
    if (artifact.path() != subject.path && subject.problem.empty()) {
      artifact.set_problem("the file's name is not UTF-8 and cannot be asked for; rename the file");
    }
    return true;
  }

  const v1::ListArtifactsRequest request_;
  std::optional<std::vector<screen::Subject>> subjects_;
  size_t at_ = 0;
};

}  // namespace

grpc::ServerWriteReactor<v1::Artifact>* ScoringService::ListArtifacts(grpc::CallbackServerContext* context,
                                                                      const v1::ListArtifactsRequest* request) {
  auto* call = new ListCall(engine_, list_artifacts_, context, request);
  call->Begin();
  return call;
}

}  // namespace driftseal::serve
