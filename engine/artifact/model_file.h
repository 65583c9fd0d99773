#ifndef DRIFTSEAL_ENGINE_ARTIFACT_MODEL_FILE_H_
#define DRIFTSEAL_ENGINE_ARTIFACT_MODEL_FILE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/artifact/digest.h"
#include "engine/artifact/source.h"

// What a model file holds, read without running any of its code.
//
// Status codes of every reader here, so that a verdict can tell them apart:
//   PermissionDenied   the file asks for code to be run, or uses what the reader refuses; the message names it
//   InvalidArgument    malformed: the message names file, field or offset, and what was expected
//   ResourceExhausted  a limit of the reader (named, with the value found)
//   Unimplemented      a format that is not understood
//   Aborted            the file changed while it was read
namespace driftseal::artifact {

enum class Format { kSafetensors, kTorchZip, kXgboostJson, kXgboostUbj };
std::string_view FormatName(Format format);  ///< "safetensors", "torch", "xgboost-json", "xgboost-ubj"

enum class DType {
  kF64,
  kF32,
  kF16,
  kBF16,
  kF8E4M3,
  kF8E5M2,
  kI64,
  kI32,
  kI16,
  kI8,
  kU64,
  kU32,
  kU16,
  kU8,
  kBool,
  kC64
};
std::string_view DTypeName(DType type);  ///< As safetensors writes them: "F32", "BF16", ...
size_t DTypeBytes(DType type);

/// One tensor: where its elements lie in the file. `strides` counts elements and is empty for a contiguous tensor in
/// row-major order.
struct TensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<uint64_t> shape, strides;
  uint64_t offset = 0;  ///< Bytes from the start of the file to the storage's first element that belongs to the tensor.
  uint64_t Elements() const;
};

struct TensorTable {
  std::vector<TensorInfo> tensors;  ///< In the order of the file (a state_dict's order is the order of the layers).
  std::map<std::string, std::string> metadata;
  /// Of an archive: bytes of its members. Unlike the file's size they do not depend on what the file is called, after
  /// which torch names the folder that all members lie in.
  std::optional<uint64_t> member_bytes;
};

/// One regression tree of a booster; node 0 is the root and a leaf has left == -1.
struct BoostedTree {
  std::vector<int32_t> left, right, feature;
  std::vector<float> value;        ///< Threshold of an inner node (go left when x < value), weight of a leaf.
  std::vector<float> gain, cover;  ///< Loss change and sum of Hessians; empty when the file lacks them.
  std::vector<uint8_t> default_left;
};

struct Booster {
  std::string objective, booster, version;
  uint32_t features = 0, classes = 0;
  double base_score = 0;            ///< The mean of base_scores.
  std::vector<double> base_scores;  ///< One for all, or since XGBoost 3.1 one a class or target.
  std::vector<BoostedTree> trees;
  std::vector<int32_t> tree_class;
};

struct ModelFile {
  Format format;
  std::variant<TensorTable, Booster> content;
};

/// Told by content (magic bytes), never by the name's ending. Unimplemented, saying what was found, for anything else
/// (a bare pickle, HDF5, ONNX, GGUF, ...).
absl::StatusOr<Format> DetectFormat(const Source& source);
absl::StatusOr<ModelFile> ReadModelFile(const Source& source);

/// Checks the checksums that a format keeps of its own parts, which its loaders ignore: the CRC-32 of every stored
/// member of a torch zip archive (the whole file is read). InvalidArgument naming the member whose bytes were changed
/// without it. OK for formats without checksums.
absl::Status VerifyChecksums(const Source& source);

/// A tensor's elements as float32 in row-major order (strides resolved): integers and F64 rounded to
/// the nearest float, BOOL as 0 and 1, C64 as its magnitude. At most `limit` elements: ResourceExhausted.
absl::Status ReadTensor(const Source& source, const TensorInfo& tensor, uint64_t limit, std::vector<float>& out);

/// SHA-256 over format-independent structure: names, shapes and types of the tensors in sorted order of their names;
/// for a booster its kind, objective, number of features and classes. Equal digests mean models that may be compared.
Digest ArchitectureDigest(const ModelFile& model);

/// Safetensors with the given tensors, each float32, offsets contiguous in the given order (the format's rules hold by
/// construction).
struct NamedTensor {
  std::string name;
  std::vector<uint64_t> shape;
  DType dtype = DType::kF32;
  std::vector<std::byte> data;  ///< Little-endian, product(shape) × DTypeBytes(dtype) bytes.
};
absl::StatusOr<std::string> WriteSafetensors(const std::vector<NamedTensor>& tensors,
                                             const std::map<std::string, std::string>& metadata);

}  // namespace driftseal::artifact

#endif  // DRIFTSEAL_ENGINE_ARTIFACT_MODEL_FILE_H_
