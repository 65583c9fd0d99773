// driftseal-fit-bench: fitting the one-class SVM against libsvm, and the isolation forest on one thread and on all.
// One line of JSON a case. Its peers in Python are timed by fit_sklearn.py on the same data.
#include "kernels/svm/fit.h"

#include <svm.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numbers>
#include <string>
#include <vector>

#include "kernels/forest/forest.h"
#include "kernels/random.h"

namespace {

using namespace driftseal::kernels;  // NOLINT: a program of one file

struct Options {
  size_t rows = 5000, cols = 64, threads = 0, repetitions = 3;
  double nu = 0.1, tolerance = 1e-3, width = 1;  // γ = width / median squared distance
  bool libsvm = false, forest = false;
  std::string save;
};

double Seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Eight latent factors and noise: columns that correlate, as those of fingerprints do.
std::vector<double> Rows(const Options& options) {
  Random random(1);
  const auto normal = [&] {
    return std::sqrt(-2 * std::log(1 - random.Uniform())) * std::cos(2 * std::numbers::pi * random.Uniform());
  };
  constexpr size_t kFactors = 8;
  std::vector<double> loadings(kFactors * options.cols), values(options.rows * options.cols);
  for (double& value : loadings) value = normal();
  for (size_t i = 0; i < options.rows; ++i) {
    double factor[kFactors];
    for (double& value : factor) value = normal();
    for (size_t c = 0; c < options.cols; ++c) {
      double sum = 0.3 * normal();
      for (size_t f = 0; f < kFactors; ++f) sum += factor[f] * loadings[f * options.cols + c] / std::sqrt(kFactors);
      values[i * options.cols + c] = static_cast<float>(sum);  // as fit_sklearn.py reads them
    }
  }
  return values;
}

double MedianSquaredDistance(const std::vector<double>& values, size_t cols) {
  Random random(2);
  const size_t rows = values.size() / cols;
  std::vector<double> squared(2001);
  for (double& sum : squared) {
    const size_t a = random.Below(rows), b = random.Below(rows);
    sum = 0;
    for (size_t c = 0; c < cols; ++c) {
      const double difference = values[a * cols + c] - values[b * cols + c];
      sum += difference * difference;
    }
  }
  return Median(squared);
}

struct Peer {
  double seconds = 0, rho = 0;
  svm::Svm svm;
};

Peer FitLibsvm(const std::vector<double>& values, const Options& options, double gamma) {
  svm_set_print_string_function([](const char*) {});
  std::vector<svm_node> nodes;
  nodes.reserve(options.rows * (options.cols + 1));
  std::vector<svm_node*> starts;
  for (size_t i = 0; i < options.rows; ++i) {
    starts.push_back(nodes.data() + nodes.size());
    for (size_t c = 0; c < options.cols; ++c) {
      nodes.push_back({static_cast<int>(c + 1), values[i * options.cols + c]});
    }
    nodes.push_back({-1, 0});
  }
  std::vector<double> labels(options.rows, 1);
  const svm_problem problem{static_cast<int>(options.rows), labels.data(), starts.data()};
  svm_parameter parameters{};
  parameters.svm_type = ONE_CLASS;
  parameters.kernel_type = RBF;
  parameters.gamma = gamma;
  parameters.nu = options.nu;
  parameters.cache_size = 4000;  // MB
  parameters.eps = options.tolerance;
  parameters.shrinking = 1;
  Peer peer;
  const double start = Seconds();
  svm_model* model = svm_train(&problem, &parameters);
  peer.seconds = Seconds() - start;
  peer.rho = model->rho[0];
  peer.svm = {options.cols, {}, {}, gamma, 0};
  for (int i = 0; i < model->l; ++i) {
    const double* row = values.data() + static_cast<size_t>(model->sv_indices[i] - 1) * options.cols;
    peer.svm.vectors.insert(peer.svm.vectors.end(), row, row + options.cols);
    peer.svm.alpha.push_back(model->sv_coef[0][i]);
  }
  svm_free_and_destroy_model(&model);
  return peer;
}

/// ½ αᵀQα in doubles.
double Objective(svm::Svm svm) {
  svm.rho = 0;
  std::vector<double> scores(svm.alpha.size());
  svm::ScoreReference(svm, {svm.vectors.data(), svm.alpha.size(), svm.cols}, scores);
  double sum = 0;
  for (size_t i = 0; i < scores.size(); ++i) sum -= svm.alpha[i] * scores[i] / 2;
  return sum;
}

/// The largest difference of two decision functions on the first rows, relative to Σα.
double Difference(const svm::Svm& a, const svm::Svm& b, const std::vector<double>& values, size_t most) {
  const size_t rows = std::min(values.size() / a.cols, most);
  std::vector<double> of_a(rows), of_b(rows);
  svm::ScoreReference(a, {values.data(), rows, a.cols}, of_a);
  svm::ScoreReference(b, {values.data(), rows, b.cols}, of_b);
  double largest = 0, sum = 0;
  for (size_t i = 0; i < rows; ++i) largest = std::max(largest, std::abs(of_a[i] - of_b[i]));
  for (double alpha : a.alpha) sum += alpha;
  return largest / sum;
}

void RunSvm(const Options& options, const std::vector<double>& values) {
  const double gamma = options.width / MedianSquaredDistance(values, options.cols);
  const svm::FitOptions fit{
      .nu = options.nu, .gamma = gamma, .tolerance = options.tolerance, .threads = options.threads};
  svm::FitResult result;
  Peer peer;
  std::vector<double> seconds, peer_seconds;
  for (size_t i = 0; i < options.repetitions; ++i) {  // interleaved
    const double start = Seconds();
    result = svm::Fit({values.data(), options.rows, options.cols}, fit);
    seconds.push_back(Seconds() - start);
    if (!options.libsvm) continue;
    peer = FitLibsvm(values, options, gamma);
    peer_seconds.push_back(peer.seconds);
  }
  std::printf(
      "{\"fit\": \"svm\", \"rows\": %zu, \"cols\": %zu, \"nu\": %g, \"gamma\": %.17g, \"tolerance\": %g, \"threads\": "
      "%zu, \"seconds\": %.6f, \"objective\": %.12g, \"rho\": %.12g, \"vectors\": %zu, \"steps\": %llu, \"rounds\": "
      "%llu, \"violation\": %.3g, \"converged\": %s",
      options.rows, options.cols, options.nu, gamma, options.tolerance, options.threads, Median(seconds),
      result.objective, result.svm.rho, result.svm.alpha.size(), static_cast<unsigned long long>(result.steps),
      static_cast<unsigned long long>(result.rounds), result.violation, result.converged ? "true" : "false");
  if (options.libsvm) {
    const double theirs = Objective(peer.svm);
    peer.svm.rho = peer.rho;
    std::printf(
        ", \"libsvm_seconds\": %.6f, \"libsvm_ratio\": %.3g, \"objective_difference\": %.3g, \"rho_difference\": "
        "%.3g, \"score_difference\": %.3g",
        Median(peer_seconds), Median(peer_seconds) / Median(seconds), (Objective(result.svm) - theirs) / theirs,
        (result.svm.rho - peer.rho) / peer.rho, Difference(result.svm, peer.svm, values, 2000));
  }
  std::printf("}\n");
}

void RunForest(const Options& options, const std::vector<double>& values) {
  const std::vector<float> rows(values.begin(), values.end());
  const auto fit = [&](size_t threads) {
    const double start = Seconds();
    const auto forest = forest::Fit({rows.data(), options.rows, options.cols}, {.threads = threads});
    const double seconds = Seconds() - start;
    return std::pair(seconds, forest.nodes.size());
  };
  std::vector<double> one, all;
  size_t nodes = 0;
  for (size_t i = 0; i < options.repetitions; ++i) {
    one.push_back(fit(1).first);
    const auto [seconds, count] = fit(0);
    all.push_back(seconds);
    nodes = count;
  }
  std::printf(
      "{\"fit\": \"forest\", \"rows\": %zu, \"cols\": %zu, \"trees\": 200, \"nodes\": %zu, \"seconds_one_thread\": "
      "%.6f, \"seconds\": %.6f}\n",
      options.rows, options.cols, nodes, Median(one), Median(all));
}

/// float32, row-major, for fit_sklearn.py.
bool Save(const std::string& path, const std::vector<double>& values) {
  const std::vector<float> narrow(values.begin(), values.end());
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return false;
  const bool written = std::fwrite(narrow.data(), sizeof(float), narrow.size(), file) == narrow.size();
  return std::fclose(file) == 0 && written;
}

int Usage() {
  std::fprintf(stderr,
               "driftseal-fit-bench [--rows N] [--cols P] [--nu V] [--width W] [--tolerance T] [--threads N]\n"
               "                    [--repetitions N] [--libsvm] [--forest] [--save rows.f32]\n");
  return 2;
}

bool Parse(int count, char** words, Options& options) {
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--libsvm") {
      options.libsvm = true;
    } else if (word == "--forest") {
      options.forest = true;
    } else if (++i == count) {
      return false;
    } else if (word == "--save") {
      options.save = words[i];
    } else {
      char* end = nullptr;
      const double value = std::strtod(words[i], &end);
      if (*end != '\0' || !(value >= 0)) return false;
      if (word == "--rows")
        options.rows = static_cast<size_t>(value);
      else if (word == "--cols")
        options.cols = static_cast<size_t>(value);
      else if (word == "--threads")
        options.threads = static_cast<size_t>(value);
      else if (word == "--repetitions")
        options.repetitions = static_cast<size_t>(value);
      else if (word == "--nu")
        options.nu = value;
      else if (word == "--width")
        options.width = value;
      else if (word == "--tolerance")
        options.tolerance = value;
      else
        return false;
    }
  }
  return options.rows >= 2 && options.cols > 0 && options.repetitions > 0 && options.nu > 0 && options.nu <= 1 &&
         options.width > 0 && options.tolerance > 0;
}

}  // namespace

int main(int count, char** words) {
  Options options;
  if (!Parse(count, words, options)) return Usage();
  const std::vector<double> values = Rows(options);
  if (!options.save.empty() && !Save(options.save, values)) {
    std::fprintf(stderr, "%s: could not be written\n", options.save.c_str());
    return 3;
  }
  options.forest ? RunForest(options, values) : RunSvm(options, values);
  return 0;
}
