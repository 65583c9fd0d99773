#include "kernels/neighbours/select.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace driftseal::kernels::neighbours {

int16_t KthLargest(int16_t* values, size_t n, size_t k) {
  std::nth_element(values, values + k - 1, values + n, std::greater<>());
  return values[k - 1];
}

float KthLargest(float* values, size_t n, size_t k) {
  std::nth_element(values, values + k - 1, values + n, std::greater<>());
  return values[k - 1];
}

double ScoreOf(double* squares, size_t n, size_t k, Distance distance) {
  std::nth_element(squares, squares + k - 1, squares + n);
  if (distance == Distance::kKth) return std::sqrt(squares[k - 1]);
  double sum = 0;
  for (size_t i = 0; i < k; ++i) sum += std::sqrt(squares[i]);
  return sum / static_cast<double>(k);
}

}  // namespace driftseal::kernels::neighbours
