#ifndef DRIFTSEAL_ENGINE_CANARY_REFERENCES_H_
#define DRIFTSEAL_ENGINE_CANARY_REFERENCES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/artifact/source.h"
#include "engine/replay/protocol/behaviour.h"

// Clean reference inputs, chosen from data that a user has.
namespace driftseal::canary {

inline constexpr uint64_t kMostDataBytes = uint64_t{1} << 30;  ///< Of a data file, unpacked.
inline constexpr size_t kMostDataRows = 20'000'000;

/// Data as its file has it: `count` inputs of one shape, of bytes or of floats.
struct LabelledData {
  std::vector<uint32_t> shape;  ///< Of one input: {28, 28}, {1, 28, 28}, {16}.
  std::vector<uint8_t> bytes;   ///< count × product(shape), or
  std::vector<float> floats;    ///< the same; only one of them is filled.
  std::vector<int32_t> labels;  ///< One an input; −1 where it is not known.
  size_t count() const { return labels.size(); }
  size_t elements() const;  ///< product(shape)
};

/// A safetensors file with `inputs`, `x` or `images` (F32, F16, BF16, F64 or U8; the first dimension counts inputs)
/// and, where labels are known, `labels` or `y` (integers, or floats that are whole). InvalidArgument naming file,
/// tensor and expectation; ResourceExhausted above the limits.
absl::StatusOr<LabelledData> DataFromSafetensors(const artifact::Source& source);

/// Whether the file begins as an IDX file does, plain or compressed (gzip).
bool LooksLikeIdx(const artifact::Source& source);
/// IDX, the format of MNIST and its kin (http://yann.lecun.com/exdb/mnist: magic, big-endian sizes, elements), plain or
/// compressed with gzip. Inputs are of unsigned bytes or floats in 2 to 8 dimensions, labels of bytes or 32-bit
/// integers in one; without `labels` all are unknown.
absl::StatusOr<LabelledData> DataFromIdx(const artifact::Source& inputs, const artifact::Source* labels);

/// A table whose columns have been read (fingerprint::ReadCsv): `columns` of numbers, NaN for an empty cell.
struct TableColumn {
  std::string_view name;
  std::span<const double> numbers;     ///< Where the column is numeric.
  std::span<const std::string> texts;  ///< Otherwise.
};
/// The column `label` holds the classes: whole numbers from 0, or texts, which become 0, 1, ... in the order of their
/// bytes, as scikit-learn's LabelEncoder has them. Empty: a column named "label", "class", "target" or "y" (whatever
/// the case), and none where none is. All other columns are inputs, in their order; InvalidArgument naming one that is
/// no number.
absl::StatusOr<LabelledData> DataFromTable(std::span<const TableColumn> columns, size_t rows, std::string_view label,
                                           std::string_view file_name);

struct ReferenceOptions {
  std::string name = {}, domain = {}, task = {};  ///< Of the set.
  size_t count = 400;                             ///< At most; fewer where there are no more.
  std::vector<uint32_t> shape = {};  ///< Of one input as the model takes it; empty: the data's, images with a channel.
  std::vector<uint32_t> image = {};  ///< Channels, height, width; empty: told by the shape, tables have none.
  bool table = false;                ///< Inputs are no images, whatever their shape.
  std::optional<float> low = {}, high = {};  ///< Range of an image's values. Bytes 0..255 are scaled to it; default 0
                                             ///< and 1, or what floats outside of that span.
  uint32_t classes = 0;  ///< 0: the largest label + 1, not known where no label is.
};
/// Chooses up to `count` inputs by a hash of their content, balanced over the labels: the same whatever order the data
/// stands in. Inputs that are there twice count once; those with values that are not finite are passed over, which
/// `passed_over` counts. InvalidArgument naming the field that does not fit the data; FailedPrecondition when no input
/// is left.
struct References {
  replay::CanarySet set;
  size_t passed_over = 0, twice = 0;
};
absl::StatusOr<References> ChooseReferences(const LabelledData& data, const ReferenceOptions& options);

}  // namespace driftseal::canary

#endif  // DRIFTSEAL_ENGINE_CANARY_REFERENCES_H_
