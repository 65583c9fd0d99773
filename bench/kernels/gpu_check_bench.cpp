#include "gpu_check_bench.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <utility>

#include "gpu_check_crossover.h"
#include "kernels/ensemble/cuda_view.h"
#include "parity/parity.h"
#include "parity/svm.h"

namespace driftseal::kernels::gpu_check {
namespace {

constexpr size_t kCols = 64, kRows = 8u << 20;  // 2 GiB: many times any cache
constexpr size_t kDistinct = 1u << 18;          // Rows that are drawn; copies of them fill the rest
constexpr double kGiga = 1e9;

// Rooflines of the reference page (reference/performance.md): 64 features, bf16x3, one H200.
struct SvmTarget {
  size_t vectors;
  double roofline;
};
constexpr SvmTarget kSvmTargets[] = {{512, 5.0}, {1024, 2.5}, {2048, 1.3}, {4096, 0.63}};

using Clock = std::chrono::steady_clock;

}  // namespace

Bench::Bench(const device::CudaApi& api, device::CudaContext* context, const device::CudaDevice& device)
    : api_(api), context_(context), device_(device) {}

Bench::~Bench() {
  if (rows_ != nullptr) api_.free(rows_);
  if (scores_ != nullptr) api_.free(scores_);
}

bool Bench::Try(int status) {
  if (status == device::kCudaOk) return true;
  std::fprintf(stderr, "gpu-check: %s\n", api_.error_text(status));
  failed_ = true;
  return false;
}

bool Bench::Prepare() {
  if (!Try(api_.allocate(context_, kRows * kCols * sizeof(float), &rows_))) return false;
  if (!Try(api_.allocate(context_, kRows * ensemble::kMembers * sizeof(float), &scores_))) return false;
  Random random(1);
  const std::vector<float> rows = parity::NormalRows(random, kDistinct, kCols);
  for (size_t first = 0; first < kRows; first += kDistinct) {
    if (!Try(api_.copy_in(static_cast<float*>(rows_) + first * kCols, rows.data(), rows.size() * sizeof(float)))) {
      return false;
    }
  }
  return true;
}

double Bench::Seconds(const std::function<int()>& call, size_t repetitions) {
  std::vector<double> times;
  for (size_t i = 0; i < repetitions + 2; ++i) {
    const auto start = Clock::now();
    if (!Try(call())) return INFINITY;
    // Two to warm up.
    if (i >= 2) times.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

device::CudaDetector* Bench::Upload(const Models& models, const ensemble::Members& members) {
  const ensemble::CudaView view(members, models.cols);
  device::CudaDetector* detector = nullptr;
  return Try(api_.upload(context_, &view.model(), &detector)) ? detector : nullptr;
}

double Bench::DeviceRate(const device::CudaDetector* detector, size_t rows, int only) {
  if (detector == nullptr) return 0;
  const device::CudaGroup group{detector, rows};
  device::CudaCall call{&group, 1, static_cast<const float*>(rows_), {}, 1};
  for (size_t m = 0; m < ensemble::kMembers; ++m) {
    if (only < 0 || static_cast<size_t>(only) == m) call.scores[m] = static_cast<float*>(scores_) + m * kRows;
  }
  return static_cast<double>(rows) / Seconds([&] { return api_.score(context_, &call); }, 7);
}

void Bench::Run() {
  if (!Prepare()) return;
  const std::pair<const char*, void (Bench::*)()> steps[] = {{"limits", &Bench::Limits},
                                                             {"forest", &Bench::Forest},
                                                             {"svm", &Bench::SupportVectors},
                                                             {"other members", &Bench::OtherMembers},
                                                             {"ensemble", &Bench::Ensemble},
                                                             {"rows from the host", &Bench::FromHost},
                                                             {"small batches", &Bench::SmallBatches},
                                                             {"groups", &Bench::Groups},
                                                             {"svm fit", &Bench::Fit}};
  for (const auto& [name, step] : steps) {
    const auto start = Clock::now();
    (this->*step)();
    std::fprintf(stderr, "timed %s in %.1f s\n", name, std::chrono::duration<double>(Clock::now() - start).count());
  }
}

void Bench::Limits() {
  if (!Try(api_.measure(context_, &limits_))) return;
  lines_.push_back({"limit: device copy, bytes read and written", "TB/s", limits_.copy_bytes * 1e-12, 0, false, ""});
  lines_.push_back({"limit: float32 multiply-adds", "T/s", limits_.fma * 1e-12, 0, false, ""});
  lines_.push_back({"limit: shared memory, 4-byte loads", "TB/s", limits_.shared_bytes * 1e-12, 0, false, ""});
  lines_.push_back({"limit: mma.sync fp16 multiply-adds", "T/s", limits_.tensor_fma * 1e-12, 0, false, ""});
  lines_.push_back({"limit: host to device, pinned", "GB/s", limits_.host_to_device * 1e-9, 0, false, ""});
  lines_.push_back({"limit: device to host, pinned", "GB/s", limits_.device_to_host * 1e-9, 0, false, ""});
}

void Bench::Forest() {
  for (uint32_t trees : {100u, 200u, 300u}) {
    const auto models = RandomModels(3, {.cols = kCols, .trees = trees, .vectors = 1, .reference_rows = 8});
    device::CudaDetector* detector = Upload(*models, {.forest = &models->forest});
    const double rate = DeviceRate(detector, kRows, -1);
    // Eight levels of a node and a rank, a leaf and its value: 18 loads of 4 bytes a tree.
    const double share = rate * trees * 18 * 4 / limits_.shared_bytes;
    lines_.push_back({"forest, " + std::to_string(trees) + " trees x 64 features, rows on the device", "G rows/s",
                      rate / kGiga, trees == 100 ? 1.5 : 0, false,
                      std::to_string(static_cast<int>(100 * share)) + " % of shared memory's rate; " +
                          (detector == nullptr ? "" : api_.variant(detector, ensemble::kForest))});
    if (trees == 100) forest_rate_ = rate;
    if (detector != nullptr) api_.release(detector);
  }
}

void Bench::SupportVectors() {
  for (const SvmTarget& target : kSvmTargets) {
    Random random(4);
    Models models;
    models.cols = kCols;
    models.svm = parity::RandomSvm(random, target.vectors, kCols, 1, 0);
    device::CudaDetector* detector = Upload(models, {.svm = &models.svm});
    const double rate = DeviceRate(detector, kRows, -1);
    const double share = rate * 3 * static_cast<double>(target.vectors * kCols) / limits_.tensor_fma;
    lines_.push_back({"svm, " + std::to_string(target.vectors) + " vectors x 64 features, rows on the device",
                      "% of roofline", 100 * rate / kGiga / target.roofline, target.vectors == 1024 ? 50.0 : 0, false,
                      std::to_string(rate / kGiga) + " G rows/s, " + std::to_string(static_cast<int>(100 * share)) +
                          " % of mma.sync's rate; " +
                          (detector == nullptr ? "" : api_.variant(detector, ensemble::kSvm))});
    if (detector != nullptr) api_.release(detector);
  }
}

void Bench::OtherMembers() {
  const auto models = RandomModels(5, {.cols = kCols, .trees = 1, .vectors = 1, .directions = 64});
  const auto time = [&](const std::string& name, const ensemble::Members& members, double fma, size_t rows) {
    device::CudaDetector* detector = Upload(*models, members);
    const double rate = DeviceRate(detector, rows, -1);
    const double share = std::max(rate * fma / limits_.fma, rate * kCols * sizeof(float) * 1.0 / limits_.copy_bytes);
    lines_.push_back(
        {name, "G rows/s", rate / kGiga, 0, false, std::to_string(static_cast<int>(100 * share)) + " % of its limit"});
    if (detector != nullptr) api_.release(detector);
  };
  time("autoencoder 64-32-16-32-64, rows on the device", {.autoencoder = &models->autoencoder}, 5120, kRows);
  time("mahalanobis, 64 directions, rows on the device", {.mahalanobis = &models->mahalanobis}, 64 * 64, kRows);
  const double filter = 3.0 * 4096 * 64 / limits_.tensor_fma * limits_.fma;  // in multiply-adds of the other pipes
  time("neighbours, 5 of 4,096 rows, rows on the device", {.neighbours = &models->neighbours}, filter, kRows / 4);
  const auto wide = RandomModels(
      6, {.cols = kCols, .trees = 1, .vectors = 1, .reference_rows = 8, .layers = {64, 1024, 256, 1024, 64}});
  device::CudaDetector* detector = Upload(*wide, {.autoencoder = &wide->autoencoder});
  const double rate = DeviceRate(detector, kRows / 16, -1);
  lines_.push_back({"autoencoder 64-1024-256-1024-64, rows on the device", "G rows/s", rate / kGiga, 0, false,
                    std::to_string(static_cast<int>(100 * rate * 655360 / limits_.fma)) + " % of its limit"});
  if (detector != nullptr) api_.release(detector);
}

void Bench::Ensemble() {
  constexpr const char* kNames[] = {"autoencoder", "forest", "svm", "mahalanobis", "neighbours"};
  const auto models = RandomModels(7, {});
  const size_t rows = kRows / 4;
  device::CudaDetector* detector = Upload(*models, models->members());
  if (detector == nullptr) return;
  double slowest = INFINITY, sum = 0;
  size_t which = 0;
  for (size_t m = 0; m < ensemble::kMembers; ++m) {
    const double rate = DeviceRate(detector, rows, static_cast<int>(m));
    sum += 1 / rate;
    if (rate < slowest) which = m;
    slowest = std::min(slowest, rate);
  }
  const double all = DeviceRate(detector, rows, -1);
  lines_.push_back({"ensemble of five against its slowest member alone", "x the time", slowest / all, 1.2, true,
                    std::string("slowest: ") + kNames[which] + ", " + std::to_string(all / kGiga) +
                        " G rows/s; one after the other: " + std::to_string(slowest * sum) + " x"});
  api_.release(detector);
}

void Bench::FromHost() {
  const auto models = RandomModels(8, {});
  const size_t rows = kRows / 2, bytes = rows * kCols * sizeof(float);
  void *pinned_rows = nullptr, *pinned_scores = nullptr;
  if (!Try(api_.allocate_pinned(context_, bytes, &pinned_rows))) return;
  if (Try(api_.allocate_pinned(context_, rows * ensemble::kMembers * sizeof(float), &pinned_scores)) &&
      Try(api_.copy_out(pinned_rows, rows_, bytes))) {
    const std::vector<float> pageable(static_cast<float*>(pinned_rows),
                                      static_cast<float*>(pinned_rows) + rows / 4 * kCols);
    const auto time = [&](const std::string& name, const ensemble::Members& members, const float* source, size_t count,
                          double target) {
      device::CudaDetector* detector = Upload(*models, members);
      const device::CudaGroup group{detector, count};
      device::CudaCall call{&group, 1, source, {}, 0};
      for (size_t m = 0; m < ensemble::kMembers; ++m) call.scores[m] = static_cast<float*>(pinned_scores) + m * rows;
      if (detector == nullptr) return;
      const double rate = static_cast<double>(count) / Seconds([&] { return api_.score(context_, &call); }, 5);
      lines_.push_back({name, "% of PCIe", 100 * rate * kCols * sizeof(float) / limits_.host_to_device, target, false,
                        std::to_string(rate / kGiga) + " G rows/s"});
      api_.release(detector);
    };
    const auto* source = static_cast<const float*>(pinned_rows);
    time("rows from pinned host memory, forest", {.forest = &models->forest}, source, rows, 80);
    time("rows from pinned host memory, ensemble of five", models->members(), source, rows, 0);
    time("rows from pageable host memory, forest", {.forest = &models->forest}, pageable.data(), rows / 4, 0);
  }
  api_.free_pinned(pinned_rows);
  if (pinned_scores != nullptr) api_.free_pinned(pinned_scores);
}

void Bench::SmallBatches() {
  const auto models = RandomModels(9, {});
  device::CudaDetector* detector = Upload(*models, models->members());
  if (detector == nullptr) return;
  Random random(1);
  const std::vector<float> rows = parity::NormalRows(random, 4096, kCols);
  std::vector<float> scores(4096 * ensemble::kMembers);
  for (size_t count : {1, 16, 256, 4096}) {
    const device::CudaGroup group{detector, count};
    device::CudaCall call{&group, 1, rows.data(), {}, 0};
    for (size_t m = 0; m < ensemble::kMembers; ++m) call.scores[m] = scores.data() + m * 4096;
    const double seconds = Seconds([&] { return api_.score(context_, &call); }, 301);
    lines_.push_back({"batch of " + std::to_string(count) + " from the host, ensemble of five", "us (median)",
                      seconds * 1e6, 0, false, "a captured graph"});
  }
  const auto on_gpu = [&](size_t count) {
    const device::CudaGroup group{detector, count};
    device::CudaCall call{&group, 1, rows.data(), {}, 0};
    for (size_t m = 0; m < ensemble::kMembers; ++m) call.scores[m] = scores.data() + m * 4096;
    return api_.score(context_, &call) == device::kCudaOk;
  };
  if (const device::ScoreBatch on_cpu = ScoreOnCpu(*models, rows.data())) {
    const auto start = Clock::now();
    const device::Crossover crossover = device::MeasureCrossover(on_cpu, on_gpu, {.most_rows = 4096});
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    lines_.push_back({"crossover from CPU to GPU, ensemble of five", "rows", static_cast<double>(crossover.rows), 0,
                      false, "found in " + std::to_string(seconds) + " s"});
  }
  api_.release(detector);
}

void Bench::Fit() {
  if (api_.fit_svm == nullptr) return;
  constexpr size_t kFitRows = 50'000;
  Random random(12);
  const std::vector<float> rows = parity::NormalRows(random, kFitRows, kCols);
  std::vector<double> alpha(kFitRows);
  device::CudaSvmFit fit{};
  const auto run = [&] {
    fit.rows = rows.data();
    fit.n = kFitRows;
    fit.cols = kCols;
    fit.gamma = 1.0 / kCols;
    fit.nu = 0.1;
    fit.tolerance = 1e-3;
    fit.alpha = alpha.data();
    fit.iterations = 0;
    return api_.fit_svm(&fit);
  };
  const double seconds = Seconds(run, 3);
  fit_seconds_ = seconds;
  lines_.push_back({"svm fit, n = 50,000, 64 features, nu 0.1", "s", seconds, 0, false,
                    std::to_string(fit.iterations) + " iterations"});
}

void Bench::Groups() {
  constexpr size_t kDetectors = 300, kEach = 200;
  std::vector<device::CudaGroup> groups;
  const auto models = RandomModels(10, {.vectors = 512, .reference_rows = 512});
  for (size_t i = 0; i < kDetectors; ++i) {
    device::CudaDetector* detector = Upload(*models, models->members());
    if (detector != nullptr) groups.push_back({detector, kEach});
  }
  const auto call_of = [&](const device::CudaGroup* group, size_t count) {
    device::CudaCall call{group, count, static_cast<const float*>(rows_), {}, 1};
    for (size_t m = 0; m < ensemble::kMembers; ++m) call.scores[m] = static_cast<float*>(scores_) + m * kRows;
    return call;
  };
  const device::CudaCall together = call_of(groups.data(), groups.size());
  const double once = Seconds([&] { return api_.score(context_, &together); }, 7);
  const double apart = Seconds(
      [&] {
        int status = 0;
        for (size_t i = 0; i < groups.size() && status == 0; ++i) {
          const device::CudaCall call = call_of(&groups[i], 1);
          status = api_.score(context_, &call);
        }
        return status;
      },
      3);
  lines_.push_back({"300 detectors x 200 rows in one call, ensemble of five", "ms", once * 1e3, 0, false,
                    "a call a detector takes " + std::to_string(apart * 1e3) + " ms"});
  for (const device::CudaGroup& group : groups) api_.release(const_cast<device::CudaDetector*>(group.detector));
}

}  // namespace driftseal::kernels::gpu_check
