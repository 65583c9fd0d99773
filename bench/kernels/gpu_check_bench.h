#ifndef DRIFTSEAL_BENCH_KERNELS_GPU_CHECK_BENCH_H_
#define DRIFTSEAL_BENCH_KERNELS_GPU_CHECK_BENCH_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "gpu_check_ensemble.h"
#include "gpu_check_parity.h"
#include "kernels/device/device.h"

namespace driftseal::kernels::gpu_check {

/// Times the kernels and holds the figures against the targets. Rows are random normal, 64 columns.
class Bench {
 public:
  Bench(const device::CudaApi& api, device::CudaContext* context, const device::CudaDevice& device);
  ~Bench();
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  void Run();
  /// Rows a second of other programs, `name<TAB>rows per second` a line (torch_peer.py); a file that is not there:
  /// none.
  void ReadPeers(const std::string& path);
  void Print() const;
  bool Save(const std::string& path, const std::vector<ParityResult>& parity) const;
  bool failed() const { return failed_; }

 private:
  /// One line of the table. target 0: a figure without one; `at_most`: less is better.
  struct Line {
    std::string name, unit;
    double measured = 0, target = 0;
    bool at_most = false;
    std::string note;
    bool met() const { return at_most ? measured <= target : measured >= target; }
  };

  bool Prepare();
  void Limits();
  void Forest();
  void SupportVectors();
  void OtherMembers();
  void Ensemble();
  void FromHost();
  void SmallBatches();
  void Groups();
  void Fit();

  /// Uploads some of a model's members.
  device::CudaDetector* Upload(const Models& models, const ensemble::Members& members);
  /// Rows a second of `rows` device rows, the median of some repetitions. only: a member's number; −1: all.
  double DeviceRate(const device::CudaDetector* detector, size_t rows, int only);
  double Seconds(const std::function<int()>& call, size_t repetitions);
  bool Try(int status);

  const device::CudaApi& api_;
  device::CudaContext* context_;
  device::CudaDevice device_;
  device::CudaLimits limits_{};
  std::vector<Line> lines_;
  std::map<std::string, double> peers_;
  void *rows_ = nullptr, *scores_ = nullptr;
  double forest_rate_ = 0, fit_seconds_ = 0;
  bool failed_ = false;
};

}  // namespace driftseal::kernels::gpu_check

#endif  // DRIFTSEAL_BENCH_KERNELS_GPU_CHECK_BENCH_H_
