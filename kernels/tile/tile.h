#ifndef DRIFTSEAL_KERNELS_TILE_TILE_H_
#define DRIFTSEAL_KERNELS_TILE_TILE_H_

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>

#include "kernels/device/isa.h"
#include "kernels/rows.h"

// The one layout that every SIMD kernel reads: rows in blocks of 64, feature-major within a block, so that a vector
// holds one feature of neighbouring rows. Support vectors, reference rows and layers' weights are packed alike, which
// lets rows and support vectors change places (kernels/tile/product-inl.h).
namespace driftseal::kernels::tile {

inline constexpr size_t kBlockRows = 64;  ///< A multiple of every vector's lanes; one bit a row fills a 64-bit word.
inline constexpr size_t kTileRows = 512;  ///< What a kernel is given at once; one bit a row fills an AVX-512 register.
inline constexpr size_t kAlignment = 64;  ///< Bytes, of everything below.

constexpr size_t Blocks(size_t rows) { return (rows + kBlockRows - 1) / kBlockRows; }
constexpr size_t RoundUp(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/// An aligned array that is allocated once and filled with zeros.
template <class T>
class Aligned {
 public:
  Aligned() = default;
  explicit Aligned(size_t size) : size_(size) {
    if (size == 0) return;
    const size_t bytes = RoundUp(size * sizeof(T), kAlignment);
    data_.reset(static_cast<T*>(std::aligned_alloc(kAlignment, bytes)));
    if (data_ == nullptr) throw std::bad_alloc();
    std::uninitialized_value_construct_n(data_.get(), size);
  }
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_.get()[i]; }
  const T& operator[](size_t i) const { return data_.get()[i]; }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T, Free> data_;
  size_t size_ = 0;
};

/// Memory that a kernel works in: the caller's, aligned to kAlignment, one a thread.
using Workspace = std::span<std::byte>;

/// Takes arrays off the front of a workspace, each aligned.
class Arena {
 public:
  explicit Arena(Workspace memory) : next_(memory.data()), left_(memory.size()) {}
  template <class T>
  T* Take(size_t n) {
    const size_t bytes = RoundUp(n * sizeof(T), kAlignment);
    T* result = reinterpret_cast<T*>(next_);
    next_ += bytes;
    left_ -= bytes;
    return result;
  }

 private:
  std::byte* next_;
  size_t left_;
};
template <class T>
constexpr size_t Bytes(size_t n) {
  return RoundUp(n * sizeof(T), kAlignment);
}

/// Up to kTileRows rows in blocks: feature f of row r at data[(r / 64 · cols + f) · 64 + r % 64]. Rows up to the end of
/// the last block are there and hold zeros.
struct Tile {
  const float* data = nullptr;
  /// Per row 0, or NaN where the row holds a NaN or an infinity: added to a score it gives what kernels/rows.h asks
  /// for.
  const float* finite = nullptr;
  size_t rows = 0, cols = 0;

  size_t blocks() const { return Blocks(rows); }
  const float* block(size_t b) const { return data + b * cols * kBlockRows; }
  /// Rows of block b: 64 in all but the last.
  size_t block_rows(size_t b) const { return b + 1 < blocks() ? kBlockRows : rows - b * kBlockRows; }
};

/// Floats of data and of finite for `rows` rows.
constexpr size_t DataSize(size_t rows, size_t cols) { return Blocks(rows) * kBlockRows * cols; }
constexpr size_t FiniteSize(size_t rows) { return Blocks(rows) * kBlockRows; }

/// Transposes row-major rows into `data` (DataSize floats) and `finite` (FiniteSize floats).
using FillTile = Tile (*)(RowsView<float> rows, float* data, float* finite);
FillTile FillTileFor(const device::Isa& isa);

/// The plain loop that FillTileFor is held against.
Tile FillTileReference(RowsView<float> rows, float* data, float* finite);

/// rows × cols doubles, row-major, as blocks of float32: (x − centre[c])·scale, rounded once. `centre` may be empty.
Aligned<float> PackBlocks(std::span<const double> values, size_t cols, std::span<const double> centre, double scale);

}  // namespace driftseal::kernels::tile

#endif  // DRIFTSEAL_KERNELS_TILE_TILE_H_
