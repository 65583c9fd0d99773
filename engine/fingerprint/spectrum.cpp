#include "engine/fingerprint/spectrum.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>

namespace driftseal::fingerprint {
namespace {

using FloatRows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Vectors that are summed up at a time: the block in double stays in the second-level cache.
constexpr Eigen::Index kBlock = 256;
constexpr size_t kLeastForKurtosis = 4;

Eigen::MatrixXd Gram(const MatrixSample& matrix) {
  const Eigen::Map<const FloatRows> w(matrix.values.data(), static_cast<Eigen::Index>(matrix.rows),
                                      static_cast<Eigen::Index>(matrix.cols));
  const bool wide = w.rows() <= w.cols();
  const Eigen::Index side = wide ? w.rows() : w.cols(), length = wide ? w.cols() : w.rows();
  Eigen::MatrixXd gram = Eigen::MatrixXd::Zero(side, side), block;
  for (Eigen::Index at = 0; at < length; at += kBlock) {
    const Eigen::Index count = std::min(kBlock, length - at);
    if (wide) {
      block = w.middleCols(at, count).cast<double>();
    } else {
      block = w.middleRows(at, count).transpose().cast<double>();
    }
    gram.selfadjointView<Eigen::Lower>().rankUpdate(block);
  }
  return gram;
}

}  // namespace

std::vector<double> SingularValues(const MatrixSample& matrix) {
  const Eigen::MatrixXd gram = Gram(matrix);
  // Only the lower triangle is read.
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(gram, Eigen::EigenvaluesOnly);
  const Eigen::VectorXd& eigenvalues = solver.eigenvalues();
  std::vector<double> sigma(static_cast<size_t>(eigenvalues.size()));
  for (size_t i = 0; i < sigma.size(); ++i) {
    // Rounding leaves eigenvalues slightly below 0 for a matrix that lacks rank.
    sigma[i] = std::sqrt(std::max(0.0, eigenvalues[static_cast<Eigen::Index>(sigma.size() - 1 - i)]));
  }
  return sigma;
}

std::array<double, kSpectralStats> SpectralFeatures(const std::vector<double>& sigma) {
  constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();
  std::array<double, kSpectralStats> stats;
  stats.fill(kUndefined);
  double energy = 0, sum = 0;
  for (const double s : sigma) energy += s * s, sum += s;
  stats[kSigma1] = sigma.empty() ? kUndefined : sigma[0];
  stats[kFrobenius] = std::sqrt(energy);
  if (!(energy > 0)) return stats;

  stats[kTopEnergy] = sigma[0] * sigma[0] / energy;
  double entropy = 0;
  for (const double s : sigma) {
    const double p = s * s / energy;
    if (p > 0) entropy -= p * std::log(p);
  }
  stats[kSpectralEntropy] = entropy;
  if (sigma.size() >= 2) stats[kSigmaRatio] = sigma[1] / sigma[0];
  if (sigma.size() < kLeastForKurtosis) return stats;

  const double n = static_cast<double>(sigma.size()), mean = sum / n;
  double m2 = 0, m4 = 0;
  for (const double s : sigma) {
    const double square = (s - mean) * (s - mean);
    m2 += square / n, m4 += square * square / n;
  }
  // Equal values up to rounding have no shape.
  if (m2 > 1e-18 * mean * mean) stats[kSigmaKurtosis] = m4 / (m2 * m2);
  return stats;
}

std::string_view SpectralReason(SpectralStat stat) {
  switch (stat) {
    case kSigmaKurtosis:
      return "fewer than 4 different singular values";
    case kSigmaRatio:
      return "fewer than 2 singular values, or all of them 0";
    default:
      return "every weight is 0";
  }
}

}  // namespace driftseal::fingerprint
