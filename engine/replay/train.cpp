#include "engine/replay/train.h"

#include <ATen/Parallel.h>
#include <torch/nn/functional.h>
#include <torch/optim/adam.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

#include "absl/status/status.h"
#include "kernels/random.h"

namespace driftseal::replay {
namespace {

struct Parameters {
  std::vector<torch::Tensor> weights, biases;
};

/// Glorot, Bengio 2010: uniform within ±sqrt(6 / (inputs + outputs)).
Parameters Initialise(const std::vector<uint32_t>& widths, uint64_t seed) {
  Parameters parameters;
  kernels::Random random(seed);
  for (size_t l = 0; l + 1 < widths.size(); ++l) {
    const int64_t inputs = widths[l], outputs = widths[l + 1];
    torch::Tensor weight = torch::empty({outputs, inputs}, torch::kFloat32);
    const double bound = std::sqrt(6.0 / static_cast<double>(inputs + outputs));
    float* w = weight.data_ptr<float>();
    for (int64_t i = 0; i < weight.numel(); ++i) w[i] = static_cast<float>(bound * (2 * random.Uniform() - 1));
    parameters.weights.push_back(weight.set_requires_grad(true));
    parameters.biases.push_back(torch::zeros({outputs}, torch::kFloat32).set_requires_grad(true));
  }
  return parameters;
}

torch::Tensor Forward(const Parameters& parameters, const torch::Tensor& rows) {
  torch::Tensor x = rows;
  for (size_t l = 0; l < parameters.weights.size(); ++l) {
    x = torch::addmm(parameters.biases[l], x, parameters.weights[l].t());
    if (l + 1 < parameters.weights.size()) x = torch::tanh(x);
  }
  return x;
}

torch::Tensor RowsOf(const TrainingSet& set, const std::vector<uint32_t>& leave_out) {
  const auto kept = static_cast<int64_t>(set.rows - leave_out.size());
  torch::Tensor rows = torch::empty({kept, static_cast<int64_t>(set.cols)}, torch::kFloat32);
  float* out = rows.data_ptr<float>();
  for (size_t r = 0, next = 0; r < set.rows; ++r) {
    if (next < leave_out.size() && leave_out[next] == r) {
      ++next;
      continue;
    }
    out = std::copy_n(set.values.data() + r * set.cols, set.cols, out);
  }
  return rows;
}

std::vector<float> Values(const torch::Tensor& tensor) {
  const torch::Tensor flat = tensor.detach().contiguous();
  return {flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()};
}

/// One network; empty when the loss did not stay finite.
std::vector<TrainedLayer> TrainOne(const TrainRequest& request, const TrainJob& job) {
  const TrainingSet& set = request.sets[job.set];
  std::vector<uint32_t> widths = {static_cast<uint32_t>(set.cols)};
  widths.insert(widths.end(), job.hidden.begin(), job.hidden.end());
  widths.push_back(static_cast<uint32_t>(set.cols));
  Parameters parameters = Initialise(widths, job.seed);
  const torch::Tensor rows = RowsOf(set, job.leave_out);

  std::vector<torch::Tensor> all = parameters.weights;
  all.insert(all.end(), parameters.biases.begin(), parameters.biases.end());
  torch::optim::Adam adam(all, torch::optim::AdamOptions(job.learning_rate).weight_decay(job.weight_decay));
  double loss_value = 0;
  for (uint32_t epoch = 0; epoch < job.epochs; ++epoch) {
    adam.zero_grad();
    torch::Tensor loss = torch::mse_loss(Forward(parameters, rows), rows);
    loss.backward();
    adam.step();
    if (epoch + 1 == job.epochs) loss_value = loss.item<double>();
  }
  if (!std::isfinite(loss_value)) return {};

  std::vector<TrainedLayer> layers;
  for (size_t l = 0; l < parameters.weights.size(); ++l) {
    layers.push_back({widths[l], widths[l + 1], Values(parameters.weights[l]), Values(parameters.biases[l])});
  }
  return layers;
}

}  // namespace

absl::StatusOr<TrainResponse> Train(const TrainRequest& request) {
  // One thread a job, never several in one: sums are then always added in the same order.
  at::set_num_threads(1);
  TrainResponse response(request.jobs.size());
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  const auto work = [&] {
    for (size_t j = next++; j < request.jobs.size(); j = next++) {
      try {
        response[j] = TrainOne(request, request.jobs[j]);
      } catch (const std::exception&) {
        failed = true;  // out of memory, in practice; the client is told which job below
      }
    }
  };
  const size_t threads = std::clamp<size_t>(request.threads, 1, std::max<size_t>(request.jobs.size(), 1));
  std::vector<std::thread> others;
  for (size_t t = 1; t < std::min<size_t>(threads, 256); ++t) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
  for (size_t j = 0; j < response.size(); ++j) {
    if (response[j].empty()) {
      return absl::InternalError("job " + std::to_string(j) +
                                 (failed ? " could not be trained (out of memory?)" : ": the loss became infinite"));
    }
  }
  return response;
}

}  // namespace driftseal::replay
