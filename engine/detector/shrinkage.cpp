#include "engine/detector/shrinkage.h"

#include <Eigen/Dense>
#include <algorithm>

namespace driftseal::detector {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Keeps the covariance regular where the rows are so many that the formula shrinks by next to nothing.
constexpr double kLeastIntensity = 1e-3;

/// Ledoit–Wolf intensity in [0, 1] of centred rows. ‖XᵀX‖ = ‖XXᵀ‖, so `gram` is whichever of the two is smaller.
double Intensity(const Matrix& centred, const Matrix& gram) {
  const auto n = static_cast<double>(centred.rows()), p = static_cast<double>(centred.cols());
  const double squared_norm = gram.squaredNorm() / (n * n);  // ‖S‖²
  const double m = gram.trace() / (n * p);
  const double d2 = squared_norm / p - m * m;  // ‖S − m·I‖² / p
  const double fourth = centred.rowwise().squaredNorm().array().square().sum();
  const double b2 = (fourth / n - squared_norm) / (n * p);  // mean ‖x xᵀ − S‖² / (n p)
  return d2 > 0 ? std::clamp(b2 / d2, kLeastIntensity, 1.0) : 1.0;
}

}  // namespace

kernels::mahalanobis::Mahalanobis FitMahalanobis(kernels::RowsView<double> rows) {
  const auto n = static_cast<Eigen::Index>(rows.rows), p = static_cast<Eigen::Index>(rows.cols);
  Matrix centred = Eigen::Map<const Matrix>(rows.data, n, p);
  const Eigen::RowVectorXd mean = centred.colwise().mean();
  centred.rowwise() -= mean;

  const bool wide = n < p;
  const Matrix gram = wide ? Matrix(centred * centred.transpose()) : Matrix(centred.transpose() * centred);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(gram);

  kernels::mahalanobis::Mahalanobis model;
  model.mean.assign(mean.data(), mean.data() + p);
  const double intensity = Intensity(centred, gram);
  const double level = gram.trace() / static_cast<double>(n * p);
  if (!(level > 0)) return model;  // all rows are equal: the Euclidean distance to them
  model.isotropic = 1 / (intensity * level);
  const double rank_tolerance = 1e-10 * solver.eigenvalues().maxCoeff();
  for (Eigen::Index j = gram.rows() - 1; j >= 0; --j) {
    const double eigenvalue = solver.eigenvalues()[j];
    if (!(eigenvalue > rank_tolerance)) continue;
    const double shrunk = (1 - intensity) * eigenvalue / static_cast<double>(n) + intensity * level;
    const Eigen::VectorXd u = solver.eigenvectors().col(j);
    // An eigenvector u of XXᵀ makes Xᵀu one of XᵀX, √λ long.
    const Eigen::VectorXd direction = wide ? Eigen::VectorXd(centred.transpose() * u).normalized() : u;
    model.directions.insert(model.directions.end(), direction.data(), direction.data() + p);
    model.weights.push_back(1 / shrunk - model.isotropic);
  }
  return model;
}

}  // namespace driftseal::detector
