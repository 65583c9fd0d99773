#ifndef DRIFTSEAL_ENGINE_DETECTOR_PARALLEL_H_
#define DRIFTSEAL_ENGINE_DETECTOR_PARALLEL_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace driftseal::detector {

/// Calls job(0) … job(n − 1), each once, on up to `threads` threads (0: all cores) with the caller's among them. Jobs
/// do not throw and write to places of their own, so that the result does not depend on the number of threads.
template <class Job>
void ParallelFor(size_t n, unsigned threads, const Job& job) {
  if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < n; i = next++) job(i);
  };
  std::vector<std::jthread> others;
  for (size_t t = 1; t < std::min<size_t>(threads, n); ++t) others.emplace_back(work);
  work();
}

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_PARALLEL_H_
