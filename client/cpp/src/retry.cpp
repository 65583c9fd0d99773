#include "client/cpp/src/retry.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

namespace driftseal {

Canceller::Canceller() : state_(std::make_shared<State>()) {}

void Canceller::Cancel() {
  const std::lock_guard lock(state_->mutex);
  state_->cancelled = true;
  for (const auto& [id, stop] : state_->hooks) stop();
  state_->cancelled_now.notify_all();
}

bool Canceller::cancelled() const { return internal::IsCancelled(state_); }

namespace internal {

CancelHook::CancelHook(std::shared_ptr<Canceller::State> state, std::function<void()> stop) : state_(std::move(state)) {
  if (state_ == nullptr) return;
  const std::lock_guard lock(state_->mutex);
  if (state_->cancelled) stop();
  id_ = state_->next_hook++;
  state_->hooks.emplace(id_, std::move(stop));
}

CancelHook::~CancelHook() {
  if (state_ == nullptr) return;
  const std::lock_guard lock(state_->mutex);
  state_->hooks.erase(id_);
}

bool IsCancelled(const std::shared_ptr<Canceller::State>& state) {
  if (state == nullptr) return false;
  const std::lock_guard lock(state->mutex);
  return state->cancelled;
}

bool SleepFor(std::chrono::milliseconds delay, const std::shared_ptr<Canceller::State>& state) {
  Canceller::State nobody;  // Without a canceller: the wait runs its time.
  Canceller::State& waited = state == nullptr ? nobody : *state;
  std::unique_lock lock(waited.mutex);
  return !waited.cancelled_now.wait_for(lock, delay, [&] { return waited.cancelled; });
}

void RetryBudget::Succeeded() {
  const std::lock_guard lock(mutex_);
  tokens_ = std::min(policy_.budget_tokens, tokens_ + policy_.budget_ratio);
}

bool RetryBudget::Failed() {
  if (policy_.budget_tokens <= 0) return true;
  const std::lock_guard lock(mutex_);
  tokens_ = std::max(0.0, tokens_ - 1);
  return tokens_ > policy_.budget_tokens / 2;
}

std::chrono::milliseconds Backoff::Next(std::optional<std::chrono::milliseconds> advice) {
  thread_local std::mt19937_64 random{std::random_device{}()};
  const double bound = std::min(
      static_cast<double>(policy_.max_backoff.count()),
      static_cast<double>(policy_.initial_backoff.count()) * std::pow(policy_.multiplier, std::min(failures_, 1000)));
  ++failures_;
  const double wait = std::uniform_real_distribution<double>(0, std::max(bound, 0.0))(random);
  return advice.value_or(std::chrono::milliseconds(0)) + std::chrono::milliseconds(std::llround(wait));
}

bool MayRetry(const Status& status, bool idempotent) {
  if (status.code == Code::kUnavailable) return idempotent || status.retry_after.has_value();
  return status.code == Code::kResourceExhausted && status.retry_after.has_value();
}

}  // namespace internal
}  // namespace driftseal
