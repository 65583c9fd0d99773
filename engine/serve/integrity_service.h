#ifndef DRIFTSEAL_ENGINE_SERVE_INTEGRITY_SERVICE_H_
#define DRIFTSEAL_ENGINE_SERVE_INTEGRITY_SERVICE_H_

#include "driftseal/v1/integrity.grpc.pb.h"
#include "engine/serve/engine.h"

namespace driftseal::serve {

/// driftseal.v1.Integrity.
class IntegrityService final : public v1::Integrity::CallbackService {
 public:
  explicit IntegrityService(Engine& engine);
  grpc::ServerWriteReactor<v1::BackfillEntry>* Backfill(grpc::CallbackServerContext* context,
                                                        const v1::BackfillRequest* request) override;

 private:
  Engine& engine_;
  const Method& backfill_;
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_INTEGRITY_SERVICE_H_
