#include "engine/detector/autoencoder.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <span>
#include <thread>

#include "engine/detector/child.h"
#include "engine/replay/protocol/train.h"
#include "kernels/ensemble/ensemble.h"
#include "kernels/random.h"

namespace driftseal::detector {
namespace {

using kernels::autoencoder::Activation;
using kernels::autoencoder::Network;

constexpr uint32_t kEpochs = 200;
constexpr double kLearningRate = 2e-3, kWeightDecay = 1e-3;
/// Jobs take well under a second each; this is for a machine that is busy with something else.
constexpr std::chrono::seconds kStartTimeout{120}, kJobTimeout{10};
/// A call costs half a second for LibTorch to load; an answer of more families would near the limit of a frame.
constexpr size_t kPlansPerCall = 200;

/// The bottleneck takes up the directions in which clean rows vary most, so that what is left over shows; a narrow one
/// leaves that variation in the error, which then hides everything else. Weight decay keeps it from learning the rows.
std::vector<uint32_t> HiddenWidths(size_t rows, size_t cols) {
  const auto outer = static_cast<uint32_t>(std::clamp<size_t>(cols / 2, 2, 64));
  const auto inner = static_cast<uint32_t>(std::clamp<size_t>(std::min(3 * rows / 4, cols / 3), 1, 32));
  return {outer, inner, outer};
}

replay::TrainingSet SetOf(const Plan& plan) {
  replay::TrainingSet set{plan.rows.rows, plan.rows.cols, {}};
  set.values.reserve(plan.rows.values.size());
  for (double value : plan.rows.values) set.values.push_back(kernels::ensemble::Narrow(value));
  return set;
}

/// Fold number kFolds is none: the job that leaves nothing out.
replay::TrainJob JobOf(const Plan& plan, size_t set, size_t fold, uint64_t seed) {
  replay::TrainJob job;
  job.set = set;
  for (size_t row = fold; fold < kFolds && row < plan.rows.rows; row += kFolds) {
    job.leave_out.push_back(static_cast<uint32_t>(row));
  }
  job.hidden = HiddenWidths(plan.rows.rows, plan.rows.cols);
  job.epochs = kEpochs;
  job.learning_rate = kLearningRate;
  job.weight_decay = kWeightDecay;
  job.seed = kernels::Random(seed, fold).Next();
  return job;
}

Network ToNetwork(std::vector<replay::TrainedLayer> layers) {
  Network network;
  for (const replay::TrainedLayer& trained : layers) {
    kernels::autoencoder::Layer layer;
    layer.inputs = trained.inputs;
    layer.outputs = trained.outputs;
    layer.activation = network.layers.size() + 1 == layers.size() ? Activation::kIdentity : Activation::kTanh;
    layer.weights.assign(trained.weights.begin(), trained.weights.end());
    layer.bias.assign(trained.bias.begin(), trained.bias.end());
    network.layers.push_back(std::move(layer));
  }
  return network;
}

/// One call of the replay program.
absl::StatusOr<std::vector<std::vector<Network>>> TrainBatch(std::span<const Plan> plans, const FitOptions& options) {
  replay::TrainRequest request;
  request.threads = options.threads > 0 ? options.threads : std::max(1u, std::thread::hardware_concurrency());
  for (size_t p = 0; p < plans.size(); ++p) {
    request.sets.push_back(SetOf(plans[p]));
    for (size_t fold = 0; fold <= kFolds; ++fold) request.jobs.push_back(JobOf(plans[p], p, fold, options.seed));
  }
  const absl::StatusOr<std::string> payload = replay::EncodeRequest(request);
  if (!payload.ok()) return payload.status();
  const auto timeout = kStartTimeout + kJobTimeout * static_cast<int64_t>(request.jobs.size());
  const absl::StatusOr<std::string> answer = CallReplay(options.replay_program, *payload, timeout, options.stop);
  if (!answer.ok()) return answer.status();
  absl::StatusOr<replay::TrainResponse> trained = replay::DecodeResponse(*answer, request);
  if (!trained.ok()) {
    return absl::InternalError(options.replay_program + ": " + std::string(trained.status().message()));
  }
  std::vector<std::vector<Network>> networks(plans.size());
  for (size_t j = 0; j < trained->size(); ++j)
    networks[j / (kFolds + 1)].push_back(ToNetwork(std::move((*trained)[j])));
  return networks;
}

}  // namespace

absl::StatusOr<std::vector<std::vector<Network>>> TrainAutoencoders(const std::vector<Plan>& plans,
                                                                    const FitOptions& options) {
  if (options.replay_program.empty()) {
    return absl::FailedPreconditionError(
        "the autoencoder is trained by driftseal-replay, and no such program was given (a build without LibTorch has "
        "none); fit without the member \"autoencoder\", or build with LibTorch");
  }
  std::vector<std::vector<Network>> networks;
  const std::span<const Plan> all(plans);
  for (size_t first = 0; first < all.size(); first += kPlansPerCall) {
    auto batch = TrainBatch(all.subspan(first, std::min(kPlansPerCall, all.size() - first)), options);
    if (!batch.ok()) return batch.status();
    if (options.progress != nullptr) options.progress->done += batch->size() * (kFolds + 1);
    std::move(batch->begin(), batch->end(), std::back_inserter(networks));
  }
  return networks;
}

}  // namespace driftseal::detector
