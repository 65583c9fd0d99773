#ifndef DRIFTSEAL_TESTS_FUZZ_MODEL_READER_H_
#define DRIFTSEAL_TESTS_FUZZ_MODEL_READER_H_

#include <cstdint>
#include <cstdlib>
#include <vector>

#include "engine/artifact/model_file.h"

namespace driftseal::artifact {

// Reads the bytes as a model file and does with the result what the program does: what the reader lets through must
// hold.
inline int FuzzModelReader(const uint8_t* data, size_t size) {
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  const Source source = Source::FromBytes("fuzz", {bytes, bytes + size});
  const absl::StatusOr<ModelFile> model = ReadModelFile(source);
  (void)VerifyChecksums(source).ok();
  if (!model.ok()) return 0;
  (void)ArchitectureDigest(*model);
  if (const auto* booster = std::get_if<Booster>(&model->content)) {
    if (booster->tree_class.size() != booster->trees.size()) std::abort();
    for (const BoostedTree& tree : booster->trees) {
      for (size_t node = 0; node < tree.left.size(); ++node) {
        if (tree.left[node] == -1) continue;
        (void)tree.left.at(tree.left[node]);
        (void)tree.left.at(tree.right.at(node));
        if (static_cast<uint32_t>(tree.feature.at(node)) >= booster->features) std::abort();
      }
    }
    return 0;
  }
  std::vector<float> values;
  constexpr uint64_t kLimit = 1 << 16;
  for (const TensorInfo& tensor : std::get<TensorTable>(model->content).tensors) {
    const absl::Status status = ReadTensor(source, tensor, kLimit, values);
    if (!status.ok() && status.code() != absl::StatusCode::kResourceExhausted) std::abort();
    if (status.ok() && values.size() != tensor.Elements()) std::abort();
  }
  return 0;
}

}  // namespace driftseal::artifact

#endif  // DRIFTSEAL_TESTS_FUZZ_MODEL_READER_H_
