#include "torch_models.h"

#include <torch/script.h>

#include <memory>
#include <sstream>

namespace driftseal::replay {

std::vector<std::byte> TorchModelBytes(const std::vector<float>& weight, const std::vector<float>& bias,
                                       const std::string& body) {
  auto unit = std::make_shared<torch::jit::CompilationUnit>();
  torch::jit::Module module(c10::QualifiedName("__torch__.Model"), unit);
  const auto outputs = static_cast<int64_t>(bias.size());
  module.register_parameter("weight", torch::tensor(weight).reshape({outputs, -1}), /*is_buffer=*/false);
  module.register_parameter("bias", torch::tensor(bias), /*is_buffer=*/false);
  module.define("def forward(self, x):\n" + body);
  std::ostringstream out;
  module.save(out);
  const std::string text = std::move(out).str();
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  return {bytes, bytes + text.size()};
}

}  // namespace driftseal::replay
