// Checks the CUDA kernels on this machine's GPU, then times them: `make gpu-check`.
//
//   driftseal-gpu-check --module libdriftseal_cuda.so [--parity-only] [--small] [--only KERNEL] [--peers FILE] [--json
//   FILE]
//
// Exit status: 0 where everything agrees with the references, 1 where not, 3 where there is no GPU or a call failed.
#include <cstdio>
#include <string>

#include "gpu_check_bench.h"
#include "gpu_check_parity.h"
#include "kernels/device/cuda_module.h"
#include "kernels/device/device.h"

namespace {

namespace kernels = driftseal::kernels;

struct Arguments {
  std::string module = "libdriftseal_cuda.so", json, peers, only;
  bool parity_only = false, small = false;
};

bool Parse(int argc, char** argv, Arguments* arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--parity-only") {
      arguments->parity_only = true;
    } else if (name == "--small") {
      arguments->small = true;
    } else if (i + 1 < argc && (name == "--module" || name == "--json" || name == "--peers" || name == "--only")) {
      (name == "--module" ? arguments->module
       : name == "--json" ? arguments->json
       : name == "--only" ? arguments->only
                          : arguments->peers) = argv[++i];
    } else {
      return false;
    }
  }
  return true;
}

bool PrintParity(const std::vector<kernels::gpu_check::ParityResult>& results) {
  bool passed = true;
  std::printf("%-44s %9s %10s %9s  %s\n", "parity", "cases", "rows", "of bound", "");
  for (const auto& result : results) {
    std::printf("%-44s %9zu %10zu %9.3f  %s\n", result.name.c_str(), result.cases, result.rows, result.largest,
                result.passed() ? "ok" : "FAILED");
    for (const std::string& failure : result.failures) std::printf("    %s\n", failure.c_str());
    passed = passed && result.passed();
  }
  std::fflush(stdout);
  return passed;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!Parse(argc, argv, &arguments)) {
    std::fputs(
        "usage: driftseal-gpu-check [--module FILE] [--parity-only] [--small] [--only KERNEL] [--peers FILE] "
        "[--json FILE]\n",
        stderr);
    return 2;
  }
  const kernels::device::CudaModule module(arguments.module);
  if (!module.ready()) {
    std::fprintf(stderr, "no GPU to check: %s\n", module.remark().c_str());
    return 3;
  }
  const auto device = kernels::device::ProbeCuda(arguments.module).devices.front();
  std::printf("%s, sm_%d, %d multiprocessors, %.0f GiB\n", device.name, device.compute_capability,
              device.multiprocessors, static_cast<double>(device.memory_bytes) / (1 << 30));
  int status = 0;
  const auto context = module.Open({}, &status);
  if (context == nullptr) {
    std::fprintf(stderr, "%s\n", module.api().error_text(status));
    return 3;
  }
  const auto parity = kernels::gpu_check::CheckParity(module.api(), context.get(), arguments.small, arguments.only);
  const bool passed = PrintParity(parity);
  if (!passed || arguments.parity_only) return passed ? 0 : 1;
  kernels::gpu_check::Bench bench(module.api(), context.get(), device);
  bench.Run();
  bench.ReadPeers(arguments.peers);
  bench.Print();
  if (!arguments.json.empty() && !bench.Save(arguments.json, parity)) return 3;
  return bench.failed() ? 3 : 0;
}
