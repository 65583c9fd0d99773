#include "engine/detector/backend.h"

#include <algorithm>
#include <limits>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/detector/cuda_backend.h"
#include "engine/detector/kernel_backend.h"
#include "kernels/ensemble/scorer.h"

namespace driftseal::detector {
namespace {

namespace ensemble = kernels::ensemble;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

class ReferenceBackend : public Backend {
 public:
  std::string description() const override { return "reference"; }

  absl::StatusOr<std::unique_ptr<const Prepared>> Prepare(const ensemble::Members& members, size_t) const override {
    auto model = std::make_unique<Model>();
    model->members = members;
    return model;
  }

  absl::Status Score(std::span<const Task> tasks) const override {
    for (const Task& task : tasks) {
      const ensemble::Members& members = static_cast<const Model*>(task.detector)->members;
      std::vector<double> scratch(ensemble::ScratchSize(members));
      std::vector<float> narrow(members.forest != nullptr ? task.rows.cols : 0);
      for (size_t r = 0; r < task.rows.rows; ++r) {
        task.out[r].fill(kNan);
        ensemble::Scores out;
        for (size_t m = 0; m < out.size(); ++m) out[m] = {&task.out[r][m], 1};
        ensemble::ScoreReference(members, {task.rows.row(r), 1, task.rows.cols}, {scratch, narrow}, out);
      }
    }
    return absl::OkStatus();
  }

 private:
  struct Model : Prepared {
    ensemble::Members members;
  };
};

class SimdBackend : public Backend {
 public:
  SimdBackend(const kernels::device::Isa& isa, size_t threads) : scorer_(isa, threads) {}

  std::string description() const override {
    return absl::StrCat("simd (", std::string(scorer_.isa().name), "), ", scorer_.threads(), " threads");
  }

  absl::StatusOr<std::unique_ptr<const Prepared>> Prepare(const ensemble::Members& members,
                                                          size_t cols) const override {
    if (members.forest != nullptr) {
      if (const auto why = kernels::forest::WhyUnfit(*members.forest)) {
        return absl::FailedPreconditionError(absl::StrCat("the forest: ", *why));
      }
    }
    auto model = std::make_unique<Model>();
    model->packed = ensemble::Pack(members, cols);
    model->members = members;
    return model;
  }

  absl::Status Score(std::span<const Task> tasks) const override {
    const std::lock_guard lock(mutex_);
    FloatBatch batch(tasks);
    std::vector<ensemble::Group> groups;
    for (size_t t = 0; t < tasks.size(); ++t) {
      groups.push_back({&static_cast<const Model*>(tasks[t].detector)->packed, batch.rows(t), batch.scores(t)});
    }
    scorer_.Score(groups);
    for (size_t t = 0; t < tasks.size(); ++t) {
      batch.CopyOut(t, static_cast<const Model*>(tasks[t].detector)->members, tasks[t].out);
    }
    return absl::OkStatus();
  }

 private:
  struct Model : Prepared {
    ensemble::Packed packed;
    ensemble::Members members;
  };
  mutable std::mutex mutex_;
  mutable ensemble::Scorer scorer_;
};

/// Two backends behind one.
class SplitBackend : public Backend {
 public:
  SplitBackend(std::shared_ptr<const Backend> small, std::shared_ptr<const Backend> large, size_t crossover_rows,
               std::function<void(const std::string&)> log)
      : small_(std::move(small)), large_(std::move(large)), log_(std::move(log)), crossover_rows_(crossover_rows) {}

  std::string description() const override {
    return absl::StrCat(small_->description(), "; larger batches: ", large_->description());
  }

  absl::StatusOr<std::unique_ptr<const Prepared>> Prepare(const ensemble::Members& members,
                                                          size_t cols) const override {
    auto small = small_->Prepare(members, cols);
    if (!small.ok()) return small.status();
    auto large = large_->Prepare(members, cols);
    if (!large.ok()) return large.status();
    auto model = std::make_unique<Model>();
    model->small = *std::move(small);
    model->large = *std::move(large);
    return model;
  }

  absl::Status Score(std::span<const Task> tasks) const override {
    size_t rows = 0;
    for (const Task& task : tasks) rows += task.rows.rows;
    if (rows == 0) return absl::OkStatus();
    const bool to_large = rows >= Crossover(tasks);
    std::vector<Task> own(tasks.begin(), tasks.end());
    for (Task& task : own) task.detector = To(task, to_large);
    return (to_large ? large_ : small_)->Score(own);
  }

 private:
  struct Model : Prepared {
    std::unique_ptr<const Prepared> small, large;
  };
  static const Prepared* To(const Task& task, bool large) {
    const auto* model = static_cast<const Model*>(task.detector);
    return large ? model->large.get() : model->small.get();
  }

  size_t Crossover(std::span<const Task> tasks) const {
    const std::lock_guard lock(mutex_);
    if (crossover_rows_ == 0) crossover_rows_ = Measure(tasks);
    return crossover_rows_;
  }

  /// With the detector of the first task that has rows, repeating its rows.
  size_t Measure(std::span<const Task> tasks) const {
    const Task& task = *std::find_if(tasks.begin(), tasks.end(), [](const Task& t) { return t.rows.rows > 0; });
    std::vector<double> rows;
    std::vector<RawScores> out;
    const auto score = [&](const Backend& backend, bool large, size_t count) {
      while (rows.size() < count * task.rows.cols) {
        const double* row = task.rows.row(rows.size() / task.rows.cols % task.rows.rows);
        rows.insert(rows.end(), row, row + task.rows.cols);
      }
      out.resize(std::max(out.size(), count));
      const Task timed{To(task, large), {rows.data(), count, task.rows.cols}, {out.data(), count}};
      return backend.Score({&timed, 1}).ok();
    };
    const kernels::device::Crossover measured =
        kernels::device::MeasureCrossover([&](size_t count) { return score(*small_, false, count); },
                                          [&](size_t count) { return score(*large_, true, count); });
    if (log_) log_(DescribeCrossover(measured));
    return measured.rows;
  }

  const std::shared_ptr<const Backend> small_, large_;
  const std::function<void(const std::string&)> log_;
  mutable std::mutex mutex_;
  mutable size_t crossover_rows_;
};

absl::StatusOr<std::shared_ptr<const Backend>> MakeSimd(const std::string& name, const BackendOptions& options) {
  const auto isas = kernels::device::SupportedIsas();
  const kernels::device::Isa* isa = name == "simd" ? &isas.front() : kernels::device::FindIsa(name);
  if (isa != nullptr) return std::make_shared<SimdBackend>(*isa, options.threads);
  return absl::InvalidArgumentError(absl::StrCat("backend ", name, " is none of those that run here: auto, ",
                                                 absl::StrJoin(BackendNames(options.cuda_module), ", ")));
}

}  // namespace

FloatBatch::FloatBatch(std::span<const Task> tasks) {
  size_t values = 0;
  for (const Task& task : tasks) {
    first_row_.push_back(rows_);
    first_value_.push_back(values);
    cols_.push_back(task.rows.cols);
    rows_ += task.rows.rows;
    values += task.rows.rows * task.rows.cols;
  }
  first_row_.push_back(rows_);
  values_.resize(values);
  for (size_t t = 0; t < tasks.size(); ++t) {
    const size_t count = tasks[t].rows.rows * tasks[t].rows.cols;
    std::transform(tasks[t].rows.data, tasks[t].rows.data + count, values_.begin() + first_value_[t], ensemble::Narrow);
  }
  for (auto& scores : scores_) scores.assign(rows_, static_cast<float>(kNan));
}

kernels::RowsView<float> FloatBatch::rows(size_t task) const {
  return {values_.data() + first_value_[task], first_row_[task + 1] - first_row_[task], cols_[task]};
}

ensemble::FloatScores FloatBatch::scores(size_t task) {
  ensemble::FloatScores scores{};
  for (size_t m = 0; m < scores.size(); ++m) scores[m] = scores_[m].data() + first_row_[task];
  return scores;
}

void FloatBatch::CopyOut(size_t task, const ensemble::Members& members, std::span<RawScores> out) const {
  const std::array<bool, ensemble::kMembers> there = {members.autoencoder != nullptr, members.forest != nullptr,
                                                      members.svm != nullptr, members.mahalanobis != nullptr,
                                                      members.neighbours != nullptr};
  for (size_t r = 0; r < out.size(); ++r) {
    for (size_t m = 0; m < there.size(); ++m) out[r][m] = there[m] ? scores_[m][first_row_[task] + r] : kNan;
  }
}

std::shared_ptr<const Backend> SplitBySize(std::shared_ptr<const Backend> small, std::shared_ptr<const Backend> large,
                                           size_t crossover_rows, std::function<void(const std::string&)> log) {
  return std::make_shared<SplitBackend>(std::move(small), std::move(large), crossover_rows, std::move(log));
}

std::string Describe(const Backend& backend) { return backend.description(); }

std::vector<std::string> BackendNames(const std::string& cuda_module) {
  std::vector<std::string> names = {"reference", "simd"};
  for (const kernels::device::Isa& isa : kernels::device::SupportedIsas()) names.emplace_back(isa.name);
  if (CudaAvailable(cuda_module)) names.emplace_back("cuda");
  return names;
}

absl::StatusOr<std::shared_ptr<const Backend>> MakeBackend(const BackendOptions& options) {
  absl::StatusOr<std::shared_ptr<const Backend>> backend;
  if (options.name == "reference") {
    backend = std::make_shared<ReferenceBackend>();
  } else if (options.name == "cuda") {
    backend = MakeCudaBackend(options.cuda_module);
  } else if (options.name != "auto") {
    backend = MakeSimd(options.name, options);
  } else if (!CudaAvailable(options.cuda_module)) {
    backend = MakeSimd("simd", options);
  } else {
    auto cpu = MakeSimd("simd", options), gpu = MakeCudaBackend(options.cuda_module);
    if (!gpu.ok()) return gpu.status();
    backend = SplitBySize(*std::move(cpu), *std::move(gpu), options.crossover_rows, options.log);
  }
  if (backend.ok() && options.log) options.log((*backend)->description());
  return backend;
}

}  // namespace driftseal::detector
