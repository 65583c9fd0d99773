#include "engine/batch/pace.h"

#include <algorithm>
#include <cmath>

namespace driftseal::batch {
namespace {

constexpr double kLongGap = 1e-3;  ///< A pause is a pause, however long.
constexpr double kNewGap = 1.0 / 32, kNewAlone = 1.0 / 16, kFade = 0.95;
constexpr double kNewGathered = 1.0 / 4, kWorthGathering = 64;
constexpr size_t kPause = 4096;

double Seconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

void Pace::Came(Clock::time_point now) {
  gap_ += (std::min(Seconds(now - last_), kLongGap) - gap_) * kNewGap;
  last_ = now;
  if (pause_ > 0) --pause_;
}

void Pace::Gathered(size_t jobs) {
  gathered_ += (static_cast<double>(jobs) - gathered_) * kNewGathered;
  if (gathered_ >= kWorthGathering) return;
  // A try costs two calls of threads: one is enough to see that again.
  pause_ = kPause;
  gathered_ = kHope;
}

void Pace::Scored(size_t cost, Clock::duration took, size_t at_once) {
  const double seconds = Seconds(took);
  // A batch during which another process had the core is not what one takes.
  if (cost <= kWorthwhile / 4) alone_ += (std::min(seconds, 4 * alone_) - alone_) * kNewAlone;
  if (cost < full_) return;
  cost_ = kFade * cost_ + static_cast<double>(cost);
  seconds_ = kFade * seconds_ + seconds / static_cast<double>(at_once);
}

size_t Pace::CostIn(Clock::duration time) const {
  const double cost = seconds_ > 0 ? cost_ / seconds_ * Seconds(time) : 9e18;
  return cost < 9e18 ? static_cast<size_t>(cost) : SIZE_MAX;
}

std::chrono::microseconds Pace::TimeFor(size_t cost) const {
  if (cost_ == 0) return std::chrono::microseconds(0);
  return std::chrono::microseconds(std::llround(1e6 * seconds_ / cost_ * static_cast<double>(cost)));
}

}  // namespace driftseal::batch
