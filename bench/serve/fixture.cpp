#include "bench/serve/fixture.h"

#include <array>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/detector/detector.h"

namespace driftseal::bench {
namespace {

constexpr size_t kClusters = 4, kDirections = 8;

struct Cluster {
  std::array<double, kFeatures> centre;
  std::array<std::array<double, kDirections>, kFeatures> mix;  // What makes the columns correlated.
};

// The clusters are the same whatever rows are drawn from them.
std::array<Cluster, kClusters> MakeClusters() {
  std::mt19937_64 random(17);
  std::normal_distribution<double> normal;
  std::array<Cluster, kClusters> clusters;
  for (Cluster& cluster : clusters) {
    for (double& value : cluster.centre) value = 3 * normal(random);
    for (auto& row : cluster.mix) {
      for (double& value : row) value = normal(random) / 2;
    }
  }
  return clusters;
}

std::vector<float> Draw(size_t count, uint64_t seed, double outliers) {
  static const std::array<Cluster, kClusters> clusters = MakeClusters();
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::vector<float> rows;
  rows.reserve(count * kFeatures);
  for (size_t i = 0; i < count; ++i) {
    const Cluster& cluster = clusters[random() % kClusters];
    const double reach = std::uniform_real_distribution<double>()(random) < outliers ? 4 : 1;
    std::array<double, kDirections> direction;
    for (double& value : direction) value = reach * normal(random);
    for (size_t column = 0; column < kFeatures; ++column) {
      double value = cluster.centre[column] + reach * 0.3 * normal(random);
      for (size_t k = 0; k < kDirections; ++k) value += cluster.mix[column][k] * direction[k];
      rows.push_back(static_cast<float>(value));
    }
  }
  return rows;
}

}  // namespace

std::vector<float> MakeRows(size_t count, uint64_t seed) { return Draw(count, seed, 0.05); }

absl::Status FitDetector(const std::string& directory, int version, const std::string& replay) {
  detector::SchemaId schema{"bench", 1, "0", {}};
  for (size_t i = 0; i < kFeatures; ++i) schema.features.push_back(absl::StrCat("x", i));
  const std::vector<float> rows = Draw(2 * kFittedOn, 99, 0);
  std::vector<detector::Sample> samples(2 * kFittedOn);
  for (size_t i = 0; i < samples.size(); ++i) {
    const float* row = rows.data() + i * kFeatures;
    samples[i] = {absl::StrCat("row ", i), "bench", {row, row + kFeatures}};
  }
  detector::FitOptions options;
  options.name = kDetector;
  options.version = version;
  options.seed = static_cast<uint64_t>(version);
  options.replay_program = replay;
  const auto fitted = detector::Detector::Fit(schema, std::move(samples), options);
  return fitted.ok() ? fitted->Save(directory) : fitted.status();
}

}  // namespace driftseal::bench
