#include "engine/detector/backend.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/detector/cuda_backend.h"
#include "engine/detector/kernel_backend.h"
#include "kernels/ensemble/scorer.h"
#include "kernels/parallel.h"

namespace driftseal::detector {
namespace {

namespace ensemble = kernels::ensemble;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

class ReferenceBackend : public Backend {
 public:
  std::string description() const override { return "reference"; }
  size_t lanes() const override { return kernels::ThreadCount(0); }

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
  SimdBackend(const kernels::device::Isa& isa, size_t threads) : all_(isa, threads) {}

  std::string description() const override {
    return absl::StrCat("simd (", std::string(all_.scorer.isa().name), "), ", lanes(), " threads");
  }

  size_t lanes() const override { return all_.scorer.threads(); }

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
    FloatBatch batch(tasks);
    if (absl::Status status = ScoreFloats(batch.call()); !status.ok()) return status;
    for (size_t t = 0; t < tasks.size(); ++t) {
      batch.CopyOut(t, static_cast<const Model*>(tasks[t].detector)->members, tasks[t].out);
    }
    return absl::OkStatus();
  }

  bool reads_floats() const override { return true; }

  absl::Status ScoreFloats(const FloatCall& call) const override {
    size_t rows = 0;
    for (const FloatGroup& group : call.groups) rows += group.rows;
    if (call.spread && rows > kernels::tile::kTileRows) {
      if (const std::unique_lock lock(all_mutex_, std::try_to_lock); lock.owns_lock()) {
        all_.Score(call);
        return absl::OkStatus();
      }
    }
    std::unique_ptr<Lane> lane = TakeLane();
    lane->Score(call);
    const std::lock_guard lock(idle_mutex_);
    idle_.push_back(std::move(lane));
    return absl::OkStatus();
  }

 private:
  struct Model : Prepared {
    ensemble::Packed packed;
    ensemble::Members members;
  };

  /// What one call at a time works in.
  struct Lane {
    Lane(const kernels::device::Isa& isa, size_t threads) : scorer(isa, threads) {}

    void Score(const FloatCall& call) {
      groups.clear();
      const float* values = call.values;
      ensemble::FloatScores scores = call.scores;
      for (const FloatGroup& group : call.groups) {
        const kernels::RowsView<float> rows{values, group.rows, group.cols};
        groups.push_back({&static_cast<const Model*>(group.detector)->packed, rows, scores});
        values += group.rows * group.cols;
        for (float*& member : scores) member += group.rows;
      }
      scorer.Score(groups);
    }

    ensemble::Scorer scorer;
    std::vector<ensemble::Group> groups;
  };

  std::unique_ptr<Lane> TakeLane() const {
    {
      const std::lock_guard lock(idle_mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<Lane> lane = std::move(idle_.back());
        idle_.pop_back();
        return lane;
      }
    }
    return std::make_unique<Lane>(all_.scorer.isa(), 1);
  }

  mutable std::mutex all_mutex_;
  mutable Lane all_;
  mutable std::mutex idle_mutex_;
  mutable std::vector<std::unique_ptr<Lane>> idle_;  ///< Of one thread each; as many as were ever used at once.
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
    for (Task& task : own) task.detector = To(task.detector, to_large);
    return (to_large ? large_ : small_)->Score(own);
  }

  size_t lanes() const override { return small_->lanes(); }
  bool reads_floats() const override { return small_->reads_floats() && large_->reads_floats(); }

  absl::Status ScoreFloats(const FloatCall& call) const override {
    size_t rows = 0;
    for (const FloatGroup& group : call.groups) rows += group.rows;
    if (rows == 0) return absl::OkStatus();
    const bool to_large = rows >= Crossover(call);
    std::vector<FloatGroup> own(call.groups.begin(), call.groups.end());
    for (FloatGroup& group : own) group.detector = To(group.detector, to_large);
    return (to_large ? large_ : small_)->ScoreFloats({own, call.values, call.spread, call.scores});
  }

 private:
  struct Model : Prepared {
    std::unique_ptr<const Prepared> small, large;
  };
  static const Prepared* To(const Prepared* detector, bool large) {
    const auto* model = static_cast<const Model*>(detector);
    return large ? model->large.get() : model->small.get();
  }

  size_t Crossover(std::span<const Task> tasks) const {
    const std::lock_guard lock(mutex_);
    if (crossover_rows_ == 0) crossover_rows_ = Measure(tasks);
    return crossover_rows_;
  }
  size_t Crossover(const FloatCall& call) const {
    const std::lock_guard lock(mutex_);
    if (crossover_rows_ > 0) return crossover_rows_;
    const float* values = call.values;
    for (const FloatGroup& group : call.groups) {
      const std::vector<double> rows(values, values + group.rows * group.cols);
      values += group.rows * group.cols;
      if (group.rows == 0) continue;
      const Task task{group.detector, {rows.data(), group.rows, group.cols}, {}};
      crossover_rows_ = Measure({&task, 1});
      break;
    }
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
      const Task timed{To(task.detector, large), {rows.data(), count, task.rows.cols}, {out.data(), count}};
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

absl::Status Backend::ScoreFloats(const FloatCall&) const {
  return absl::UnimplementedError(absl::StrCat(description(), " reads no float32"));
}

FloatBatch::FloatBatch(std::span<const Task> tasks) {
  for (const Task& task : tasks) {
    first_row_.push_back(rows_);
    groups_.push_back({task.detector, task.rows.rows, task.rows.cols});
    rows_ += task.rows.rows;
    const size_t count = task.rows.rows * task.rows.cols;
    std::transform(task.rows.data, task.rows.data + count, std::back_inserter(values_), ensemble::Narrow);
  }
  for (auto& scores : scores_) scores.assign(rows_, static_cast<float>(kNan));
}

FloatCall FloatBatch::call() {
  FloatCall call{groups_, values_.data()};
  for (size_t m = 0; m < scores_.size(); ++m) call.scores[m] = scores_[m].data();
  return call;
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

size_t Lanes(const Backend& backend) { return backend.lanes(); }

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
