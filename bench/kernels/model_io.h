#ifndef DRIFTSEAL_BENCH_KERNELS_MODEL_IO_H_
#define DRIFTSEAL_BENCH_KERNELS_MODEL_IO_H_

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kernels/autoencoder/autoencoder.h"
#include "kernels/forest/forest.h"
#include "kernels/mahalanobis/mahalanobis.h"
#include "kernels/neighbours/neighbours.h"
#include "kernels/svm/svm.h"

// What models.py writes for the benchmarks: arrays in a safetensors file. For files of our own making: a file that is
// not as expected is an error, but this is no parser of hostile bytes (engine/artifact has that).
namespace driftseal::kernels::bench {

/// Arrays of F32, F64 or I32 by name.
class Arrays {
 public:
  /// Throws std::runtime_error, which names the file.
  explicit Arrays(const std::string& path);

  bool Has(const std::string& name) const { return entries_.contains(name); }
  /// The values converted to T, row-major. Throws std::runtime_error where the array is not there.
  template <class T>
  std::vector<T> As(const std::string& name) const;
  double Number(const std::string& name) const { return As<double>(name).at(0); }
  /// Length of the last axis.
  size_t Columns(const std::string& name) const { return Entry(name).shape.back(); }

 private:
  struct Slice {
    std::string type;
    std::vector<size_t> shape;
    size_t begin = 0, end = 0;
  };
  const Slice& Entry(const std::string& name) const;

  std::string path_;
  std::vector<char> data_;
  std::map<std::string, Slice> entries_;
};

/// The members that a file holds.
struct Model {
  std::optional<forest::Forest> forest;
  std::optional<svm::Svm> svm;
  std::optional<autoencoder::Network> autoencoder;
  std::optional<mahalanobis::Mahalanobis> mahalanobis;
  std::optional<neighbours::Neighbours> neighbours;
};
Model ReadModel(const std::string& path);

/// The array "rows".
struct Rows {
  std::vector<float> values;
  size_t cols = 0;

  size_t count() const { return cols == 0 ? 0 : values.size() / cols; }
  RowsView<float> View() const { return {values.data(), count(), cols}; }
};
Rows ReadRows(const std::string& path);

}  // namespace driftseal::kernels::bench

#endif  // DRIFTSEAL_BENCH_KERNELS_MODEL_IO_H_
