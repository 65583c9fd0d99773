#ifndef DRIFTSEAL_KERNELS_ROWS_H_
#define DRIFTSEAL_KERNELS_ROWS_H_

#include <cstddef>

namespace driftseal::kernels {

/// A view of `rows` × `cols` values, row-major and contiguous. Owns nothing.
template <class T>
struct RowsView {
  const T* data = nullptr;
  size_t rows = 0, cols = 0;
  const T* row(size_t i) const { return data + i * cols; }
};

}  // namespace driftseal::kernels

#endif  // DRIFTSEAL_KERNELS_ROWS_H_
