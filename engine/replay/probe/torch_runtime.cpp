// TorchScript archives through LibTorch.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <malloc.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/jit/runtime/jit_exception.h>
#include <torch/script.h>

#include <algorithm>
#include <istream>
#include <streambuf>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/replay/probe/probe.h"
#include "engine/replay/probe/runtime.h"

// OpenBLAS reads OPENBLAS_NUM_THREADS when it is loaded, before main; this reaches it afterwards, where it is there.
extern "C" void openblas_set_num_threads(int) __attribute__((weak));

namespace driftseal::replay {
namespace {

/// Bytes in memory as a stream that can seek, without a copy.
class MemoryBuffer : public std::streambuf {
 public:
  explicit MemoryBuffer(std::span<const std::byte> bytes) {
    char* begin = const_cast<char*>(reinterpret_cast<const char*>(bytes.data()));
    setg(begin, begin, begin + bytes.size());
  }

 protected:
  pos_type seekoff(off_type offset, std::ios_base::seekdir from, std::ios_base::openmode) override {
    const off_type base = from == std::ios_base::beg   ? 0
                          : from == std::ios_base::cur ? gptr() - eback()
                                                       : egptr() - eback();
    if (base + offset < 0 || base + offset > egptr() - eback()) return pos_type(off_type(-1));
    setg(eback(), eback() + base + offset, egptr());
    return pos_type(base + offset);
  }
  pos_type seekpos(pos_type position, std::ios_base::openmode which) override {
    return seekoff(off_type(position), std::ios_base::beg, which);
  }
};

/// Results must not depend on the machine's load or on what ran before: one thread, nothing that adapts while it runs.
void SetUp() {
  at::set_num_threads(1);
  if (openblas_set_num_threads != nullptr) openblas_set_num_threads(1);
  at::globalContext().setFlushDenormal(true);   // They cost a hundred times as much and change nothing here.
  torch::jit::setGraphExecutorOptimize(false);  // The interpreter alone: no code is specialised after a few runs.
  at::manual_seed(1);                           // For models that draw random numbers.
  // Activations of a batch are asked for and given back all the time: not from and to the kernel, page by page.
  mallopt(M_MMAP_THRESHOLD, 1 << 26);
  mallopt(M_TRIM_THRESHOLD, 1 << 28);
}

/// oneDNN's gradients of convolutions are made for many channels. With few, or a stride, LibTorch's own are up to twice
/// as fast (README.md); only backward passes run under this.
class NativeConvolutions {
 public:
  explicit NativeConvolutions(bool wanted) : before_(at::globalContext().userEnabledMkldnn()) {
    if (wanted) at::globalContext().setUserEnabledMkldnn(false);
  }
  ~NativeConvolutions() { at::globalContext().setUserEnabledMkldnn(before_); }
  NativeConvolutions(const NativeConvolutions&) = delete;
  NativeConvolutions& operator=(const NativeConvolutions&) = delete;

 private:
  const bool before_;
};
constexpr int64_t kManyChannels = 25;

bool HasFewChannels(const torch::jit::Module& module) {
  int64_t most = 0;
  for (const at::Tensor& parameter : module.parameters()) {
    if (parameter.dim() == 4) most = std::max(most, parameter.size(0));
  }
  return most > 0 && most < kManyChannels;
}

std::string ShapeText(at::IntArrayRef shape) {
  std::string text;
  for (const int64_t size : shape) absl::StrAppend(&text, text.empty() ? "" : " x ", size);
  return text.empty() ? "a single number" : text;
}

class TorchRuntime : public Runtime {
 public:
  TorchRuntime(torch::jit::Module module, const CanarySet& set) : module_(std::move(module)) {
    few_channels_ = HasFewChannels(module_);
    shape_.push_back(0);
    for (const uint32_t size : set.shape) shape_.push_back(size);
  }

  absl::Status Run(std::span<const float> inputs, size_t count, std::vector<float>& outputs) override {
    const torch::NoGradGuard no_grad;
    absl::StatusOr<at::Tensor> output = Forward(Wrap(inputs, count), count);
    if (!output.ok()) return output.status();
    const float* values = output->data_ptr<float>();
    outputs.assign(values, values + output->numel());
    return absl::OkStatus();
  }

  absl::Status RunBack(std::span<const float> inputs, size_t count, Pull pull, std::span<float> gradient) override {
    const at::Tensor x = Wrap(inputs, count).requires_grad_(true);
    absl::StatusOr<at::Tensor> output = Forward(x, count);
    if (!output.ok()) return output.status();
    if (!output->requires_grad()) {
      return absl::FailedPreconditionError("no gradient reaches the inputs: the model's code cuts it off");
    }
    try {
      const at::Tensor values = output->detach();
      at::Tensor pulled = torch::zeros_like(values);
      const auto size = static_cast<size_t>(values.numel());
      pull({values.data_ptr<float>(), size}, {pulled.data_ptr<float>(), size});
      const NativeConvolutions native(few_channels_);
      const at::Tensor found =
          torch::autograd::grad({*output}, {x}, {pulled}, /*retain_graph=*/false, /*create_graph=*/false,
                                /*allow_unused=*/true)[0];
      if (!found.defined()) return absl::FailedPreconditionError("the outputs do not depend on the inputs");
      const at::Tensor flat = found.to(torch::kFloat32).contiguous();
      std::copy_n(flat.data_ptr<float>(), gradient.size(), gradient.data());
    } catch (const std::exception& error) {
      return absl::FailedPreconditionError(absl::StrCat("no gradient: ", ForeignMessage(error.what())));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Head> LastLayer(size_t outputs) override {
    try {
      const auto rows = static_cast<int64_t>(outputs);
      std::string name;
      at::Tensor weight;
      for (const auto& parameter : module_.named_parameters()) {
        if (parameter.value.dim() != 2 || parameter.value.size(0) != rows) continue;
        name = parameter.name;
        weight = parameter.value;
      }
      if (!weight.defined()) {
        return absl::FailedPreconditionError(absl::StrCat("no layer's weight has ", outputs, " rows"));
      }
      at::Tensor bias = torch::zeros({rows});
      constexpr std::string_view kWeight = "weight";
      if (name.ends_with(kWeight)) name.resize(name.size() - kWeight.size());
      for (const auto& parameter : module_.named_parameters()) {
        const bool its = parameter.name == name + "bias" && parameter.value.dim() == 1;
        if (its && parameter.value.size(0) == rows) bias = parameter.value;
      }
      weight = weight.to(torch::kFloat32).contiguous();
      bias = bias.to(torch::kFloat32).contiguous();
      Head head{outputs, static_cast<size_t>(weight.size(1)), {}, {}};
      head.weight.assign(weight.data_ptr<float>(), weight.data_ptr<float>() + weight.numel());
      head.bias.assign(bias.data_ptr<float>(), bias.data_ptr<float>() + bias.numel());
      return head;
    } catch (const std::exception& error) {
      return absl::FailedPreconditionError(
          absl::StrCat("the parameters cannot be read: ", ForeignMessage(error.what())));
    }
  }

 private:
  /// `inputs` stay where they are and must outlive the tensor.
  at::Tensor Wrap(std::span<const float> inputs, size_t count) {
    shape_[0] = static_cast<int64_t>(count);
    return torch::from_blob(const_cast<float*>(inputs.data()), shape_, torch::kFloat32);
  }

  /// count × width, float32, contiguous.
  absl::StatusOr<at::Tensor> Forward(const at::Tensor& inputs, size_t count) {
    try {
      const torch::jit::IValue answer = module_.forward({inputs});
      if (!answer.isTensor()) {
        return absl::InvalidArgumentError(
            absl::StrCat("the model answers with a ", ForeignMessage(answer.tagKind()), ", expected one tensor"));
      }
      const at::Tensor output = answer.toTensor();
      const auto rows = static_cast<int64_t>(count);
      const bool rows_of_numbers = output.dim() >= 1 && output.size(0) == rows && output.numel() > 0 &&
                                   (output.dim() == 1 || output.numel() == rows * output.size(1));
      if (!rows_of_numbers) {
        return absl::InvalidArgumentError(
            absl::StrCat("the model answers ", count, " inputs of shape ", ShapeText(inputs.sizes().slice(1)), " with ",
                         ShapeText(output.sizes()), ", expected one row of classes each"));
      }
      const at::Tensor answer_rows = output.to(torch::kFloat32).reshape({rows, -1}).contiguous();
      worked_ = true;
      return answer_rows;
    } catch (const torch::jit::JITException& error) {  // raised by the model's own code
      return absl::InternalError(absl::StrCat("the model's code failed: ", ForeignMessage(error.what())));
    } catch (const std::exception& error) {
      // A model that has worked once has taken inputs of this shape.
      const std::string text = absl::StrCat("the model's code failed on inputs of shape ",
                                            ShapeText(inputs.sizes().slice(1)), ": ", ForeignMessage(error.what()));
      return worked_ ? absl::InternalError(text) : absl::InvalidArgumentError(text);
    }
  }

  torch::jit::Module module_;
  std::vector<int64_t> shape_;
  bool worked_ = false, few_channels_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Runtime>> OpenTorch(std::span<const std::byte> model, const CanarySet& set) {
  SetUp();
  try {
    MemoryBuffer buffer(model);
    std::istream stream(&buffer);
    torch::jit::Module module = torch::jit::load(stream, torch::kCPU);
    module.eval();
    for (at::Tensor parameter : module.parameters()) parameter.set_requires_grad(false);
    if (!module.find_method("forward")) return absl::InvalidArgumentError("the archive has no method forward");
    return std::make_unique<TorchRuntime>(std::move(module), set);
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("no TorchScript archive: ", ForeignMessage(error.what())));
  }
}

}  // namespace driftseal::replay
