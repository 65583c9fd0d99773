#ifndef DRIFTSEAL_ENGINE_SERVE_VERIFIER_H_
#define DRIFTSEAL_ENGINE_SERVE_VERIFIER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "driftseal/v1/scoring.pb.h"
#include "engine/batch/batcher.h"
#include "engine/detector/detector.h"
#include "engine/screen/screen.h"
#include "engine/serve/engine.h"
#include "engine/serve/verify_pool.h"
#include "grpcpp/server_context.h"

// What the calls that verify artifacts share.
namespace driftseal::serve {

/// `path` of the request's field `field`, beneath the artifact root by its text. InvalidArgument naming the field
/// (empty, longer than 4,096 bytes, NUL), PermissionDenied where it leads out.
absl::StatusOr<std::string> CheckPath(const Engine& engine, const char* field, const std::string& path);

/// Whether and how models are run for `detector` (null: none). FailedPrecondition naming a canary set of its that is
/// not the one it was fitted with.
absl::StatusOr<screen::Replaying> ReplayingOf(const Engine& engine, const detector::Detector* detector, bool no_replay);

batch::Priority ToPriority(v1::Priority priority);
/// On the pool's clock.
VerifyPool::Clock::time_point PoolDeadline(const grpc::CallbackServerContext& context);

/// One artifact to verify, with what verifies it. The detector stays the one that it was when this was made.
class Verification {
 public:
  /// May read a detector from disk: on a thread of the pool. Errors are those of a malformed request; what is wrong
  /// with the artifact is a verdict.
  static absl::StatusOr<Verification> Make(const Engine& engine, const v1::VerifyRequest& request);

  screen::Result Read() const { return screener_.Read(subject_); }
  void Judge(screen::Result& result) const { screener_.Judge(result); }
  /// Of a result that was judged; noted in monitor.json.
  v1::Verdict ToProto(const screen::Result& result) const;

 private:
  Verification(const Engine& engine, std::shared_ptr<const detector::Detector> detector, screen::Subject subject,
               const screen::Policy& policy, screen::Replaying replaying, const v1::VerifyRequest& request);
  const Engine* engine_;
  std::shared_ptr<const detector::Detector> detector_;
  screen::Subject subject_;
  screen::Screener screener_;
  bool entry_;
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_VERIFIER_H_
