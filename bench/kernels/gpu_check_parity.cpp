#include "gpu_check_parity.h"

#include <algorithm>
#include <bit>
#include <memory>

#include "gpu_check_ensemble.h"
#include "kernels/ensemble/cuda_view.h"
#include "parity/autoencoder.h"
#include "parity/forest.h"
#include "parity/mahalanobis.h"
#include "parity/neighbours.h"
#include "parity/svm.h"
#include "parity/svm_fit.h"

namespace driftseal::kernels::gpu_check {
namespace {

using device::CudaApi;
using device::CudaContext;
using ensemble::CudaView;

/// Scores rows with one member's forced variant. A model that the variant cannot take goes to the fastest one, so that
/// a body of checks always gets its scores; `forced` counts those that it took.
class Forced {
 public:
  Forced(const CudaApi& api, CudaContext* context, ensemble::Member member, int32_t variant)
      : api_(api), context_(context), member_(member), variant_(variant) {
    result_.name = api.variant_name(member, static_cast<uint32_t>(variant));
  }

  std::vector<float> Score(CudaView& view, RowsView<float> rows) {
    device::CudaDetector* detector = nullptr;
    view.Force(member_, variant_);
    int status = api_.upload(context_, &view.model(), &detector);
    if (status == device::kCudaUnsupported) {
      view.Force(member_, -1);
      status = api_.upload(context_, &view.model(), &detector);
    } else if (status == device::kCudaOk) {
      ++result_.forced;
      Expect(api_.variant(detector, member_) == result_.name, "another variant ran than the one forced");
    }
    Expect(status == device::kCudaOk, std::string("upload: ") + api_.error_text(status));
    // NaN payload that no score has, so that a score that nobody wrote is seen.
    std::vector<float> scores(rows.rows, std::bit_cast<float>(0xffabcdefU));
    if (detector != nullptr) {
      const device::CudaGroup group{detector, rows.rows};
      device::CudaCall call{&group, 1, rows.data, {}, 0};
      call.scores[member_] = scores.data();
      status = api_.score(context_, &call);
      Expect(status == device::kCudaOk, std::string("score: ") + api_.error_text(status));
      Expect(std::none_of(scores.begin(), scores.end(),
                          [](float score) { return std::bit_cast<uint32_t>(score) == 0xffabcdefU; }),
             "a score was not written");
      api_.release(detector);
    }
    return scores;
  }

  ParityResult Finish(const parity::Outcome& outcome) {
    result_.cases = outcome.cases;
    result_.rows = outcome.rows;
    result_.largest = outcome.largest;
    result_.failures.insert(result_.failures.end(), outcome.failures.begin(), outcome.failures.end());
    if (result_.forced == 0) result_.failures.push_back("no model of the checks fits this variant");
    return std::move(result_);
  }

 private:
  void Expect(bool holds, const std::string& failure) {
    if (!holds && result_.failures.size() < 10) result_.failures.push_back(failure);
  }

  const CudaApi& api_;
  CudaContext* context_;
  ensemble::Member member_;
  int32_t variant_;
  ParityResult result_;
};

ParityResult CheckForestVariant(Forced forced) {
  return forced.Finish(parity::CheckForest([&](const forest::Forest& model, RowsView<float> rows) {
    const ensemble::Members members{.forest = &model};
    CudaView scores(members, rows.cols), sums(members, rows.cols);
    sums.WantPathSums();
    parity::ForestScores result{forced.Score(scores, rows), {}};
    for (float sum : forced.Score(sums, rows)) result.path_sums.push_back(std::bit_cast<uint32_t>(sum));
    return result;
  }));
}

ParityResult CheckSvmVariant(Forced forced) {
  return forced.Finish(parity::CheckSvm([&](const svm::Svm& model, RowsView<float> rows) {
    CudaView view({.svm = &model}, rows.cols);
    return forced.Score(view, rows);
  }));
}

ParityResult CheckAutoencoderVariant(Forced forced) {
  return forced.Finish(parity::CheckAutoencoder([&](const autoencoder::Network& model, RowsView<float> rows) {
    CudaView view({.autoencoder = &model}, rows.cols);
    return forced.Score(view, rows);
  }));
}

ParityResult CheckMahalanobisVariant(Forced forced) {
  constexpr double kOfTerms = 1e-5;
  return forced.Finish(parity::CheckMahalanobis(
      [&](const mahalanobis::Mahalanobis& model, RowsView<float> rows) {
        CudaView view({.mahalanobis = &model}, rows.cols);
        return forced.Score(view, rows);
      },
      kOfTerms));
}

ParityResult CheckNeighboursVariant(Forced forced) {
  return forced.Finish(parity::CheckNeighbours([&](const neighbours::Neighbours& model, RowsView<float> rows) {
    CudaView view({.neighbours = &model}, rows.cols);
    return forced.Score(view, rows);
  }));
}

ParityResult CheckFit(const CudaApi& api) {
  ParityResult result;
  result.name = "svm fit";
  const parity::Outcome outcome = parity::CheckSvmFit([&](const parity::SvmProblem& problem) {
    parity::SvmSolution solution;
    solution.alpha.resize(problem.rows.rows, -1);
    device::CudaSvmFit fit{};
    fit.rows = problem.rows.data;
    fit.n = problem.rows.rows;
    fit.cols = problem.rows.cols;
    fit.gamma = problem.gamma;
    fit.nu = problem.nu;
    fit.tolerance = problem.tolerance;
    fit.alpha = solution.alpha.data();
    const int status = api.fit_svm(&fit);
    if (status != device::kCudaOk) {
      result.failures.push_back(std::string("fit: ") + api.error_text(status));
    } else {
      ++result.forced;
    }
    solution.rho = fit.rho;
    solution.objective = fit.objective;
    return solution;
  });
  result.cases = outcome.cases;
  result.rows = outcome.rows;
  result.largest = outcome.largest;
  result.failures.insert(result.failures.end(), outcome.failures.begin(), outcome.failures.end());
  return result;
}

}  // namespace

std::vector<ParityResult> CheckParity(const CudaApi& api, CudaContext* context, bool small, const std::string& only) {
  std::vector<ParityResult> results;
  using Check = ParityResult (*)(Forced);
  struct Kernel {
    ensemble::Member member;
    const char* name;
    Check check;
  };
  const Kernel kernels[] = {
      {ensemble::kAutoencoder, "autoencoder", CheckAutoencoderVariant},
      {ensemble::kForest, "forest", CheckForestVariant},
      {ensemble::kSvm, "svm", CheckSvmVariant},
      {ensemble::kMahalanobis, "mahalanobis", CheckMahalanobisVariant},
      {ensemble::kNeighbours, "neighbours", CheckNeighboursVariant},
  };
  for (const Kernel& kernel : kernels) {
    if (!only.empty() && only != kernel.name) continue;
    for (int32_t v = 0; !small && api.variant_name(kernel.member, static_cast<uint32_t>(v)) != nullptr; ++v) {
      results.push_back(kernel.check(Forced(api, context, kernel.member, v)));
      results.back().name = std::string(kernel.name) + ", " + results.back().name;
    }
  }
  if (api.fit_svm != nullptr && !small && (only.empty() || only == "fit")) results.push_back(CheckFit(api));
  if (only.empty() || only == "ensemble") CheckEnsemble(api, context, small, &results);
  return results;
}

}  // namespace driftseal::kernels::gpu_check
