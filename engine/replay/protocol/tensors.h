#ifndef DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_TENSORS_H_
#define DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_TENSORS_H_

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/artifact/model_file.h"
#include "engine/artifact/source.h"

// Typed arrays in and out of safetensors files, for files whose tensors are known by name.
namespace driftseal::replay {

artifact::NamedTensor Tensor(std::string name, std::vector<uint64_t> shape, std::span<const double> values);
artifact::NamedTensor Tensor(std::string name, std::vector<uint64_t> shape, std::span<const float> values);
artifact::NamedTensor Tensor(std::string name, std::vector<uint64_t> shape, std::span<const int32_t> values);

/// The tensors of one open safetensors file, which outlives this. Errors name the file and the tensor.
class TensorReader {
 public:
  static absl::StatusOr<TensorReader> Open(const artifact::Source& source);

  const std::map<std::string, std::string>& metadata() const { return table_.metadata; }
  size_t size() const { return table_.tensors.size(); }
  bool Has(const std::string& name) const { return index_.contains(name); }
  /// InvalidArgument when there is no such tensor.
  absl::StatusOr<std::vector<uint64_t>> Shape(const std::string& name) const;
  /// The elements in row-major order. T is double, float or int32_t; the tensor must have that type and that many
  /// dimensions, and its floating point values must be finite.
  template <class T>
  absl::StatusOr<std::vector<T>> Read(const std::string& name, size_t dimensions) const;

 private:
  TensorReader(const artifact::Source& source, artifact::TensorTable table);
  absl::StatusOr<const artifact::TensorInfo*> Find(const std::string& name) const;

  const artifact::Source* source_;
  artifact::TensorTable table_;
  std::map<std::string, size_t> index_;
};

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_TENSORS_H_
