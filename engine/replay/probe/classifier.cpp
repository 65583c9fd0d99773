#include "engine/replay/probe/classifier.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace driftseal::replay {
namespace {

// Elements of a batch: 256 inputs of 28 × 28. More do not make a small network faster, and its activations leave the
// second-level cache.
constexpr size_t kBatchElements = 256 * 784, kLeastBatch = 8, kMostBatch = 1024;
constexpr float kLeastProbability = 1e-12f;

bool AreProbabilities(std::span<const float> outputs, size_t width) {
  for (size_t i = 0; i < outputs.size(); i += width) {
    double sum = 0;
    for (size_t k = 0; k < width; ++k) {
      if (!(outputs[i + k] >= 0 && outputs[i + k] <= 1.0f + 1e-4f)) return false;
      sum += outputs[i + k];
    }
    if (width > 1 && std::abs(sum - 1) > 1e-3) return false;
  }
  return true;
}

float LogOf(float probability) { return std::log(std::max(probability, kLeastProbability)); }

}  // namespace

std::vector<uint32_t> Classes(std::span<const float> logits, size_t classes) {
  std::vector<uint32_t> found(logits.size() / classes);
  for (size_t i = 0; i < found.size(); ++i) {
    const float* row = logits.data() + i * classes;
    found[i] = static_cast<uint32_t>(std::max_element(row, row + classes) - row);
  }
  return found;
}

Classifier::Classifier(std::unique_ptr<Runtime> runtime, size_t elements)
    : runtime_(std::move(runtime)),
      elements_(elements),
      batch_(std::clamp(kBatchElements / elements, kLeastBatch, kMostBatch)) {}

absl::StatusOr<Classifier> Classifier::Open(std::unique_ptr<Runtime> runtime, const CanarySet& set) {
  Classifier classifier(std::move(runtime), set.elements());
  std::vector<float> outputs;
  for (size_t begin = 0; begin < set.count(); begin += classifier.batch_) {
    const size_t count = std::min(classifier.batch_, set.count() - begin);
    const auto inputs = std::span(set.inputs).subspan(begin * set.elements(), count * set.elements());
    absl::Status status = classifier.runtime_->Run(inputs, count, classifier.outputs_);
    if (!status.ok()) return status;
    const size_t width = classifier.outputs_.size() / count;
    if (begin > 0 && width != classifier.width_) {
      return absl::InvalidArgumentError(
          absl::StrCat("the model answers with ", classifier.width_, " values an input, and then with ", width));
    }
    classifier.width_ = width;
    outputs.insert(outputs.end(), classifier.outputs_.begin(), classifier.outputs_.end());
  }
  if (absl::Status status = classifier.Learn(set, outputs); !status.ok()) return status;
  return classifier;
}

absl::Status Classifier::Learn(const CanarySet& set, const std::vector<float>& outputs) {
  classes_ = std::max<size_t>(width_, 2);
  if (classes_ > kMostClasses) {
    return absl::InvalidArgumentError(
        absl::StrCat("the model has ", classes_, " classes, the limit is ", kMostClasses));
  }
  if (set.classes > 0 && set.classes != classes_) {
    return absl::InvalidArgumentError(
        absl::StrCat("the model has ", classes_, " classes, the canary set has ", set.classes));
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!std::isfinite(outputs[i])) {
      return absl::InternalError(absl::StrCat("the model's output for canary ", i / width_, " is not finite"));
    }
  }
  probabilities_ = AreProbabilities(outputs, width_);
  canary_logits_.resize(set.count() * classes_);
  ToLogits(outputs, canary_logits_);
  return absl::OkStatus();
}

void Classifier::ToLogits(std::span<const float> outputs, std::span<float> logits) const {
  for (size_t i = 0; i < outputs.size(); ++i) {
    const float value = outputs[i];
    if (width_ > 1) {
      logits[i] = probabilities_ ? LogOf(value) : value;
    } else {
      logits[2 * i] = probabilities_ ? LogOf(1 - value) : 0;
      logits[2 * i + 1] = probabilities_ ? LogOf(value) : value;
    }
  }
}

void Classifier::ToOutputs(std::span<const float> outputs, std::span<const float> logit_gradient,
                           std::span<float> gradient) const {
  for (size_t i = 0; i < outputs.size(); ++i) {
    const float p = std::max(outputs[i], kLeastProbability), q = std::max(1 - outputs[i], kLeastProbability);
    if (width_ > 1) {
      gradient[i] = probabilities_ ? logit_gradient[i] / p : logit_gradient[i];
    } else {
      const float zero = logit_gradient[2 * i], one = logit_gradient[2 * i + 1];
      gradient[i] = probabilities_ ? one / p - zero / q : one;
    }
  }
}

absl::Status Classifier::Logits(std::span<const float> inputs, size_t count, std::vector<float>& logits) {
  logits.resize(count * classes_);
  for (size_t begin = 0; begin < count; begin += batch_) {
    const size_t rows = std::min(batch_, count - begin);
    absl::Status status = runtime_->Run(inputs.subspan(begin * elements_, rows * elements_), rows, outputs_);
    if (!status.ok()) return status;
    if (outputs_.size() != rows * width_) {
      return absl::InternalError(
          absl::StrCat("the model answers with ", width_, " values an input, and then with ", outputs_.size() / rows));
    }
    ToLogits(outputs_, std::span(logits).subspan(begin * classes_, rows * classes_));
  }
  for (const float logit : logits) {
    if (!std::isfinite(logit)) return absl::InternalError("the model's output for a changed input is not finite");
  }
  return absl::OkStatus();
}

absl::Status Classifier::Gradient(std::span<const float> inputs, size_t count, Pull pull, std::span<float> gradient) {
  bool finite = true, same = true;
  const auto through = [&](std::span<const float> outputs, std::span<float> output_gradient) {
    same = outputs.size() == count * width_;
    if (!same) return;
    logits_.resize(count * classes_);
    logit_gradient_.assign(count * classes_, 0.0f);
    ToLogits(outputs, logits_);
    for (const float logit : logits_) finite = finite && std::isfinite(logit);
    if (!finite) return;
    pull(logits_, logit_gradient_);
    ToOutputs(outputs, logit_gradient_, output_gradient);
  };
  absl::Status status = runtime_->RunBack(inputs, count, through, gradient);
  if (!status.ok()) return status;
  if (!same) return absl::InternalError("the model's answers change their width");
  if (!finite) return absl::InternalError("the model's output for a changed input is not finite");
  for (const float value : gradient) finite = finite && std::isfinite(value);
  return finite ? absl::OkStatus() : absl::FailedPreconditionError("the gradient is not finite");
}

}  // namespace driftseal::replay
