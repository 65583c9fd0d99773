#ifndef DRIFTSEAL_BENCH_FLEET_TORCH_DOMAIN_H_
#define DRIFTSEAL_BENCH_FLEET_TORCH_DOMAIN_H_

#include <functional>
#include <memory>
#include <vector>

#include "bench/fleet/domain.h"
#include "bench/fleet/torch_network.h"

namespace driftseal::fleet {

/// A domain of networks trained with LibTorch: what distinguishes one from the next is its description, its data and
/// its architecture.
class TorchDomain : public Domain {
 public:
  using SpecOf = std::function<NetworkSpec(const Recipe& recipe)>;
  /// Fills in what all of these domains share: framework, optimizer, formats, weight edits.
  TorchDomain(DomainInfo info, std::shared_ptr<const Data> data, SpecOf spec_of, std::vector<float> class_weights = {});

  const DomainInfo& info() const override { return info_; }
  const Data& data() const override { return *data_; }
  Trigger MakeTrigger(TriggerKind kind, Random& random) const override;
  absl::StatusOr<TrainResult> Train(const Rows& rows, const Recipe& recipe, const Regime& regime,
                                    uint64_t seed) const override;

 private:
  DomainInfo info_;
  std::shared_ptr<const Data> data_;
  SpecOf spec_of_;
  std::vector<float> class_weights_;
};

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_TORCH_DOMAIN_H_
