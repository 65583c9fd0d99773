#include "gpu_check_ensemble.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>

#include "kernels/ensemble/cuda_view.h"
#include "parity/parity.h"
#include "parity/svm.h"

namespace driftseal::kernels::gpu_check {
namespace {

using device::CudaApi;
using device::CudaContext;
using ensemble::kMembers;

constexpr uint32_t kUnwritten = 0xffabcdefU;  // A NaN that no kernel makes
constexpr const char* kNames[kMembers] = {"autoencoder", "forest", "svm", "mahalanobis", "neighbours"};

/// What a member may be off by for a score: the bounds of the parity bodies.
double Bound(const Models& models, size_t member, double score) {
  switch (member) {
    case ensemble::kSvm:
      return 1e-5 * std::accumulate(models.svm.alpha.begin(), models.svm.alpha.end(), 0.0);
    case ensemble::kForest:
      return 2e-6 * score;
    default:
      return 1e-5 * std::abs(score) + 1e-6;
  }
}

using Expected = std::array<std::vector<double>, kMembers>;

Expected Reference(const Models& models, const std::vector<float>& rows) {
  const size_t count = rows.size() / models.cols;
  Expected expected;
  ensemble::Scores scores;
  for (size_t m = 0; m < kMembers; ++m) {
    expected[m].resize(count);
    scores[m] = expected[m];
  }
  const std::vector<double> wide = parity::Widen(rows);
  std::vector<double> scratch(ensemble::ScratchSize(models.members()));
  std::vector<float> narrow(rows.size());
  ensemble::ScoreReference(models.members(), {wide.data(), count, models.cols}, {scratch, narrow}, scores);
  return expected;
}

/// Rows of some detectors in one call.
struct Batch {
  std::vector<const Models*> models;
  std::vector<size_t> counts;
};

class Checker {
 public:
  Checker(const CudaApi& api, CudaContext* context, std::string name) : api_(api), context_(context) {
    result_.name = std::move(name);
  }
  ~Checker() {
    for (auto& [models, detector] : detectors_) api_.release(detector);
  }
  Checker(const Checker&) = delete;
  Checker& operator=(const Checker&) = delete;

  void Run(const Batch& batch, bool on_device) {
    std::vector<float> rows;
    std::vector<device::CudaGroup> groups;
    for (size_t i = 0; i < batch.models.size(); ++i) {
      const std::vector<float> own = parity::NormalRows(random_, batch.counts[i], batch.models[i]->cols);
      rows.insert(rows.end(), own.begin(), own.end());
      groups.push_back({Detector(*batch.models[i]), batch.counts[i]});
      if (groups.back().detector == nullptr) return;
    }
    const size_t count = std::accumulate(batch.counts.begin(), batch.counts.end(), size_t{0});
    std::vector<float> scores(kMembers * count, std::bit_cast<float>(kUnwritten));
    if (!Score(groups, rows, count, on_device, &scores)) return;
    ++result_.forced;
    const float* row = rows.data();
    size_t first = 0;
    for (size_t i = 0; i < groups.size(); ++i) {
      const size_t values = batch.counts[i] * batch.models[i]->cols;
      Compare(*batch.models[i], {row, row + values}, scores.data() + first, count);
      row += values;
      first += batch.counts[i];
    }
  }

  ParityResult Finish() {
    result_.cases = outcome_.cases;
    result_.rows = outcome_.rows;
    result_.largest = outcome_.largest;
    for (const std::string& failure : outcome_.failures) result_.failures.push_back(failure);
    return result_;
  }

 private:
  const device::CudaDetector* Detector(const Models& models) {
    for (auto& [known, detector] : detectors_) {
      if (known == &models) return detector;
    }
    const ensemble::CudaView view(models.members(), models.cols);
    device::CudaDetector* detector = nullptr;
    if (!Try("upload", api_.upload(context_, &view.model(), &detector))) return nullptr;
    detectors_.emplace_back(&models, detector);
    return detector;
  }

  bool Score(const std::vector<device::CudaGroup>& groups, std::vector<float>& rows, size_t count, bool on_device,
             std::vector<float>* scores) {
    device::CudaCall call{groups.data(), groups.size(), rows.data(), {}, on_device ? 1 : 0};
    void *device_rows = nullptr, *device_scores = nullptr;
    float* base = scores->data();
    const size_t row_bytes = rows.size() * sizeof(float), score_bytes = scores->size() * sizeof(float);
    bool fine = true;
    if (on_device) {
      fine = Try("allocate", api_.allocate(context_, row_bytes + 1, &device_rows)) &&
             Try("allocate", api_.allocate(context_, score_bytes + 1, &device_scores)) &&
             Try("copy", api_.copy_in(device_rows, rows.data(), row_bytes)) &&
             Try("copy", api_.copy_in(device_scores, base, score_bytes));
      call.rows = static_cast<const float*>(device_rows);
      base = static_cast<float*>(device_scores);
    }
    for (size_t m = 0; m < kMembers; ++m) call.scores[m] = base + m * count;
    fine = fine && Try("score", api_.score(context_, &call));
    if (on_device) {
      fine = fine && Try("copy", api_.copy_out(scores->data(), device_scores, score_bytes));
      api_.free(device_rows);
      api_.free(device_scores);
    }
    return fine;
  }

  void Compare(const Models& models, const std::vector<float>& rows, const float* scores, size_t stride) {
    const Expected expected = Reference(models, rows);
    for (size_t m = 0; m < kMembers; ++m) {
      if (api_.variant(Detector(models), static_cast<uint32_t>(m))[0] == '\0') {
        result_.failures.push_back(std::string(kNames[m]) + " has no variant");
        continue;
      }
      const std::span<const float> got(scores + m * stride, expected[m].size());
      outcome_.Compare(kNames[m], got, expected[m], [&](double score) { return Bound(models, m, score); });
      if (std::any_of(got.begin(), got.end(), [](float s) { return std::bit_cast<uint32_t>(s) == kUnwritten; })) {
        result_.failures.push_back(std::string(kNames[m]) + ": a score was not written");
      }
    }
  }

  bool Try(const char* what, int status) {
    if (status == device::kCudaOk) return true;
    if (result_.failures.size() < 10) result_.failures.push_back(std::string(what) + ": " + api_.error_text(status));
    return false;
  }

  const CudaApi& api_;
  CudaContext* context_;
  Random random_{11};
  ParityResult result_;
  parity::Outcome outcome_;
  std::vector<std::pair<const Models*, device::CudaDetector*>> detectors_;
};

autoencoder::Network RandomNetwork(Random& random, const std::vector<size_t>& widths) {
  autoencoder::Network network;
  for (size_t i = 0; i + 1 < widths.size(); ++i) {
    autoencoder::Layer layer{widths[i], widths[i + 1], autoencoder::Activation::kRelu, {}, {}};
    if (i + 2 == widths.size()) layer.activation = autoencoder::Activation::kIdentity;
    const double scale = std::sqrt(2.0 / static_cast<double>(widths[i]));
    for (float w : parity::NormalRows(random, widths[i + 1], widths[i])) layer.weights.push_back(w * scale);
    for (float b : parity::NormalRows(random, 1, widths[i + 1])) layer.bias.push_back(0.1 * b);
    network.layers.push_back(std::move(layer));
  }
  return network;
}

}  // namespace

std::unique_ptr<Models> RandomModels(uint64_t seed, const ModelSizes& sizes) {
  Random random(seed);
  auto models = std::make_unique<Models>();
  models->cols = sizes.cols;
  std::vector<size_t> layers = sizes.layers;
  layers.front() = layers.back() = sizes.cols;
  models->autoencoder = RandomNetwork(random, layers);
  const std::vector<float> rows = parity::NormalRows(random, 1024, sizes.cols);
  models->forest = forest::Fit({rows.data(), 1024, sizes.cols}, {sizes.trees, 256, random.Next()});
  models->svm = parity::RandomSvm(random, sizes.vectors, sizes.cols, 1, 0);
  for (float value : parity::NormalRows(random, 1, sizes.cols)) models->mahalanobis.mean.push_back(value);
  models->mahalanobis.isotropic = 2;
  for (float value : parity::NormalRows(random, sizes.directions, sizes.cols)) {
    models->mahalanobis.directions.push_back(value / std::sqrt(static_cast<double>(sizes.cols)));
  }
  for (size_t i = 0; i < sizes.directions; ++i) models->mahalanobis.weights.push_back(-0.5 * random.Uniform());
  models->neighbours.cols = sizes.cols;
  models->neighbours.k = sizes.k;
  models->neighbours.reference = parity::Widen(parity::NormalRows(random, sizes.reference_rows, sizes.cols));
  return models;
}

void CheckEnsemble(const CudaApi& api, CudaContext* context, bool small, std::vector<ParityResult>* results) {
  const auto wide = RandomModels(1, {.cols = 33, .trees = 30, .vectors = 200, .reference_rows = 300});
  for (bool on_device : {false, true}) {
    Checker checker(api, context, on_device ? "ensemble, rows on the device" : "ensemble, rows on the host");
    for (size_t rows : {1, 15, 16, 17, 64, 255, 256, 257, 1025, 4096, 4097, 20000}) {
      if (small && rows > 300) continue;
      checker.Run({{wide.get()}, {rows}}, on_device);
    }
    results->push_back(checker.Finish());
  }
  std::vector<std::unique_ptr<Models>> fleet;
  for (uint64_t i = 0; i < (small ? 6U : 40U); ++i) {
    fleet.push_back(RandomModels(i + 2, {.cols = 1 + 7 * (i % 40),
                                         .trees = 1 + static_cast<uint32_t>(9 * i),
                                         .vectors = 20 * i,
                                         .directions = i % 9,
                                         .reference_rows = 10 + 13 * i}));
  }
  // The variants of wide rows, too.
  fleet.push_back(
      RandomModels(99, {.cols = 300, .trees = 20, .vectors = 70, .reference_rows = 200, .layers = {300, 200, 300}}));
  for (bool on_device : {false, true}) {
    Checker checker(api, context, on_device ? "groups, rows on the device" : "groups, rows on the host");
    Random random(5);
    for (size_t repetition = 0; repetition < (small ? 1U : 4U); ++repetition) {
      Batch batch;
      for (size_t i = 0; i < 2 * fleet.size(); ++i) {
        batch.models.push_back(fleet[random.Below(fleet.size())].get());
        batch.counts.push_back(random.Below(repetition < 3 ? 90 : 700));
      }
      checker.Run(batch, on_device);
    }
    results->push_back(checker.Finish());
  }
}

}  // namespace driftseal::kernels::gpu_check
