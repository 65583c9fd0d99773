#ifndef DRIFTSEAL_KERNELS_ROWS_H_
#define DRIFTSEAL_KERNELS_ROWS_H_

#include <cmath>
#include <cstddef>

// What every kernel means by a value that is not finite, in this one place:
//   forest                                   NaN goes right at every node; ±inf compare as IEEE 754 says
//   svm, autoencoder, mahalanobis,           a row that holds a NaN or an infinity scores NaN, whatever the model; a
//   neighbours                               finite row whose score overflows scores +inf
// Denormals are values like any other (no flush to zero). The engine imputes missing values before it calls a kernel,
// so this decides nothing there; it makes the variants of a kernel comparable on every input.
namespace driftseal::kernels {

/// A view of `rows` × `cols` values, row-major and contiguous. Owns nothing.
template <class T>
struct RowsView {
  const T* data = nullptr;
  size_t rows = 0, cols = 0;
  const T* row(size_t i) const { return data + i * cols; }
};

template <class T>
bool AllFinite(const T* values, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    if (!std::isfinite(values[i])) return false;
  }
  return true;
}

}  // namespace driftseal::kernels

#endif  // DRIFTSEAL_KERNELS_ROWS_H_
