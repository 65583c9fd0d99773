#ifndef DRIFTSEAL_TESTS_ENGINE_REPLAY_TORCH_MODELS_H_
#define DRIFTSEAL_TESTS_ENGINE_REPLAY_TORCH_MODELS_H_

#include <cstddef>
#include <string>
#include <vector>

// TorchScript archives that tests make. LibTorch's headers stay in the .cpp file: they take seconds to compile.
namespace driftseal::replay {

/// A module with parameters weight (outputs × inputs) and bias, and the given body of forward(self, x).
std::vector<std::byte> TorchModelBytes(const std::vector<float>& weight, const std::vector<float>& bias,
                                       const std::string& body);

/// The body of a linear model of flattened inputs.
inline const std::string kLinear = "  return torch.linear(torch.flatten(x, 1), self.weight, self.bias)\n";

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_TESTS_ENGINE_REPLAY_TORCH_MODELS_H_
