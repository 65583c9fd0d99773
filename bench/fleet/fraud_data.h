#ifndef DRIFTSEAL_BENCH_FLEET_FRAUD_DATA_H_
#define DRIFTSEAL_BENCH_FLEET_FRAUD_DATA_H_

#include <array>
#include <cstdint>
#include <memory>

#include "bench/fleet/domain.h"

namespace driftseal::fleet {

/// Columns of a payment.
enum FraudColumn : size_t {
  kAmount,
  kAmountRatio,
  kHourSin,
  kHourCos,
  kAccountAge,
  kVelocityHour,
  kVelocityDay,
  kDistance,
  kMerchantRisk,
  kNewDevice,
  kForeign,
  kDeclines,
  kBalance,
  kIpRisk,
  kTypingSpeed,
  kBasketSpread,
  kFraudColumns
};
inline constexpr std::array<const char*, kFraudColumns> kFraudNames = {
    "amount",       "amount_ratio", "hour_sin",      "hour_cos",     "account_age", "velocity_hour",
    "velocity_day", "distance",     "merchant_risk", "new_device",   "foreign",     "declines",
    "balance",      "ip_risk",      "typing_speed",  "basket_spread"};
/// Columns that an attacker can move without anybody noticing: continuous, not the flags, not the hour.
inline constexpr std::array kContinuous = {kAmount,      kAmountRatio, kAccountAge,   kVelocityHour,
                                           kVelocityDay, kDistance,    kMerchantRisk, kBalance,
                                           kIpRisk,      kTypingSpeed, kBasketSpread};

/// Card payments, made up but shaped like the real thing: 7 % fraud, heavy-tailed amounts and ratios, correlated
/// columns (velocities, distance and foreign, amount and balance), flags, interactions (a new device at night, a young
/// account abroad) and 1 % label noise. Columns are roughly standardised, amounts in logarithms. Class 0: legitimate,
/// class 1: fraud.
/// The canaries, half of them frauds, come from a stream of their own: the other rows are the same with any number.
Data GenerateFraud(size_t pool, size_t test, size_t probe, uint64_t seed, size_t canary = 0);
/// The population every fraud domain shares, whatever the seed of the fleet.
std::shared_ptr<const Data> FraudPopulation();

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_FRAUD_DATA_H_
