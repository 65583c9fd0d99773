#include "bench/fleet/fraud_data.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>
#include <numbers>

namespace driftseal::fleet {
namespace {

constexpr double kFraudShare = 0.07, kLabelNoise = 0.01;

void DrawPayment(Random& random, std::span<float> row) {
  const double wealth = random.Normal(), activity = random.Normal(), travel = random.Normal();
  // Log-normal, with one in fifty from a Pareto tail.
  double log_amount = 3.3 + 0.5 * wealth + 1.0 * random.Normal();
  if (random.Chance(0.02)) log_amount += -std::log(1 - random.Uniform()) / 1.3;
  const double hour = random.Chance(0.8) ? 14 + 4 * random.Normal() : random.Uniform(0, 24);
  const double angle = 2 * std::numbers::pi * hour / 24;
  const double chi = (random.Normal() * random.Normal() + random.Normal() * random.Normal());  // heavy tails
  row[kAmount] = static_cast<float>((log_amount - 3.3) / 1.15);
  row[kAmountRatio] = static_cast<float>(0.5 * row[kAmount] + 0.6 * chi);
  row[kHourSin] = static_cast<float>(std::sin(angle));
  row[kHourCos] = static_cast<float>(std::cos(angle));
  row[kAccountAge] = static_cast<float>(std::log(-std::log(1 - random.Uniform())) + 0.58);  // log of an exponential
  row[kVelocityHour] = static_cast<float>(0.8 * activity + 0.6 * random.Normal());
  row[kVelocityDay] = static_cast<float>(0.9 * activity + 0.4 * random.Normal());
  row[kDistance] = static_cast<float>(0.7 * travel + 0.5 * random.Normal() + 0.3 * std::abs(chi));
  row[kMerchantRisk] = static_cast<float>(random.Normal());
  row[kNewDevice] = random.Chance(0.12) ? 1 : 0;
  row[kForeign] = travel + 0.5 * random.Normal() > 1.4 ? 1 : 0;
  row[kDeclines] = static_cast<float>(std::floor(-std::log(1 - random.Uniform()) * 0.8));
  row[kBalance] = static_cast<float>(0.7 * wealth + 0.7 * random.Normal());
  row[kIpRisk] = static_cast<float>(0.4 * travel + 0.9 * random.Normal());
  row[kTypingSpeed] = static_cast<float>(random.Normal());
  row[kBasketSpread] = static_cast<float>(0.4 * row[kMerchantRisk] + 0.9 * random.Normal());
}

/// How suspicious a payment is, before the intercept: main effects and the interactions that make trees and networks
/// worth their while.
double Suspicion(std::span<const float> x) {
  const double night = std::max(0.0f, x[kHourCos]);
  return 1.1 * x[kAmount] + 1.0 * x[kAmountRatio] - 0.8 * x[kAccountAge] + 1.2 * x[kVelocityHour] + 0.9 * x[kDeclines] +
         0.9 * x[kMerchantRisk] + 0.7 * x[kIpRisk] + 1.6 * x[kNewDevice] * (0.5 + 2 * night) +
         1.5 * x[kForeign] * (x[kAccountAge] < 0 ? 1.5 : 0.3) - 0.6 * x[kTypingSpeed] +
         0.8 * std::max(0.0f, x[kDistance]) * std::max(0.0f, x[kAmount]) - 0.5 * x[kBalance];
}

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// The intercept with which the mean fraud probability is kFraudShare.
double Intercept(const std::vector<double>& suspicion) {
  double low = -40, high = 40;
  for (int step = 0; step < 60; ++step) {
    const double middle = (low + high) / 2;
    double mean = 0;
    for (double s : suspicion) mean += Sigmoid(1.4 * s + middle);
    (mean / static_cast<double>(suspicion.size()) > kFraudShare ? high : low) = middle;
  }
  return low;
}

}  // namespace

Data GenerateFraud(size_t pool, size_t test, size_t probe, uint64_t seed, size_t canary) {
  Random random(SeedOf(seed, {"fraud"}));
  const size_t total = pool + test + probe;
  Rows all{
      .columns = kFraudColumns, .values = std::vector<float>(total * kFraudColumns), .labels = std::vector<int>(total)};
  std::vector<double> suspicion(total);
  for (size_t i = 0; i < total; ++i) {
    DrawPayment(random, all.row(i));
    suspicion[i] = Suspicion(all.row(i));
  }
  const double intercept = Intercept(suspicion);
  for (size_t i = 0; i < total; ++i) {
    const bool fraud = random.Chance(Sigmoid(1.4 * suspicion[i] + intercept));
    all.labels[i] = fraud != random.Chance(kLabelNoise) ? 1 : 0;
  }
  // From a stream of their own and with the labels they should have, half of them frauds.
  Random canary_random(SeedOf(seed, {"fraud canaries"}));
  Rows canaries{.columns = kFraudColumns, .values = {}, .labels = {}};
  std::vector<float> row(kFraudColumns);
  for (size_t frauds = 0; canaries.size() < canary;) {
    DrawPayment(canary_random, row);
    const bool fraud = canary_random.Chance(Sigmoid(1.4 * Suspicion(row) + intercept));
    if (fraud ? frauds >= canary / 2 : canaries.size() - frauds >= canary - canary / 2) continue;
    canaries.Append(row, fraud ? 1 : 0);
    frauds += fraud ? 1 : 0;
  }
  return {.pool = all.Slice(0, pool),
          .test = all.Slice(pool, test),
          .probe = all.Slice(pool + test, probe),
          .canary = std::move(canaries),
          .classes = 2,
          .source = "generated card payments (seeded)"};
}

std::shared_ptr<const Data> FraudPopulation() {
  static std::mutex mutex;
  static std::weak_ptr<const Data> loaded;  // shared by the domains of a run
  const std::lock_guard lock(mutex);
  auto data = loaded.lock();
  if (!data) loaded = data = std::make_shared<const Data>(GenerateFraud(40000, 1000, 6000, 1, 400));
  return data;
}

}  // namespace driftseal::fleet
