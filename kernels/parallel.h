#ifndef DRIFTSEAL_KERNELS_PARALLEL_H_
#define DRIFTSEAL_KERNELS_PARALLEL_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <system_error>
#include <thread>
#include <vector>

namespace driftseal::kernels {

/// `threads`, or the number of cores where it is 0.
inline size_t ThreadCount(size_t threads) {
  return threads > 0 ? threads : std::max<size_t>(1, std::thread::hardware_concurrency());
}

/// Calls part(i, thread) for every i < n: the caller's thread is number 0, and up to threads − 1 others help. Which one
/// takes a part is not determined, so a result may depend on i only. Where no thread can be had, the caller does it
/// all.
template <class Part>
void ParallelFor(size_t n, size_t threads, const Part& part) {
  std::atomic<size_t> next{0};
  const auto work = [&](size_t thread) {
    for (size_t i = next.fetch_add(1); i < n; i = next.fetch_add(1)) part(i, thread);
  };
  std::vector<std::thread> others;
  try {
    for (size_t thread = 1; thread < std::min(ThreadCount(threads), n); ++thread) others.emplace_back(work, thread);
  } catch (const std::system_error&) {
    // Those that started will do.
  }
  work(0);
  for (std::thread& other : others) other.join();
}

}  // namespace driftseal::kernels

#endif  // DRIFTSEAL_KERNELS_PARALLEL_H_
