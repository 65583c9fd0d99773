#ifndef DRIFTSEAL_TESTS_ENGINE_DETECTOR_FLEET_H_
#define DRIFTSEAL_TESTS_ENGINE_DETECTOR_FLEET_H_

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "engine/detector/detector.h"
#include "kernels/random.h"

// A fleet whose rows have a few common causes, as fingerprints have, so that columns correlate.
namespace driftseal::detector {

class Fleet {
 public:
  explicit Fleet(size_t cols, uint64_t seed = 1, size_t causes = 3) : random_(seed), cols_(cols) {
    for (size_t i = 0; i < cols * causes; ++i) loadings_.push_back(Normal());
  }

  SchemaId Schema() const {
    SchemaId schema{"test", 1, "5ca1ab1e", {}};
    for (size_t c = 0; c < cols_; ++c) schema.features.push_back(std::string("f").append(std::to_string(c)));
    return schema;
  }
  /// A clean row; `level` sets families apart.
  std::vector<double> Row(double level = 0) {
    std::vector<double> causes(loadings_.size() / cols_);
    for (double& cause : causes) cause = Normal();
    std::vector<double> row;
    for (size_t c = 0; c < cols_; ++c) {
      double value = level + 0.5 * Normal();
      for (size_t k = 0; k < causes.size(); ++k) value += loadings_[c * causes.size() + k] * causes[k];
      row.push_back(value);
    }
    return row;
  }
  std::vector<Sample> Samples(size_t n, const std::string& family, double level = 0) {
    std::vector<Sample> samples;
    for (size_t i = 0; i < n; ++i) samples.push_back({family + "/" + std::to_string(i), family, Row(level)});
    return samples;
  }
  double Normal() {  // Box, Muller
    const double radius = std::sqrt(-2 * std::log(1 - random_.Uniform()));
    return radius * std::cos(6.283185307179586 * random_.Uniform());
  }

 private:
  kernels::Random random_;
  size_t cols_;
  std::vector<double> loadings_;
};

/// All members but the autoencoder, so that no LibTorch is needed.
inline FitOptions WithoutAutoencoder() {
  FitOptions options;
  options.members = {"forest", "svm", "mahalanobis", "knn"};
  return options;
}

/// A folder that goes away with the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "driftseal-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline void WriteAll(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_TESTS_ENGINE_DETECTOR_FLEET_H_
