#ifndef DRIFTSEAL_TESTS_KERNELS_FIXTURE_H_
#define DRIFTSEAL_TESTS_KERNELS_FIXTURE_H_

#include <cstdlib>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/rows.h"

namespace driftseal::kernels {

/// An array of tests/kernels/fixtures/sklearn.txt.
struct Array {
  size_t rows = 0, cols = 0;
  std::vector<double> values;

  RowsView<double> View() const { return {values.data(), rows, cols}; }
  template <class T>
  std::vector<T> As() const {
    return {values.begin(), values.end()};
  }
};

/// Throws, which fails the test that asked, when the file or an array is not there.
class Fixture {
 public:
  Fixture() {
    std::ifstream in(DRIFTSEAL_SOURCE_DIR "/tests/kernels/fixtures/sklearn.txt");
    std::string line, word;
    if (!std::getline(in, line)) throw std::runtime_error("sklearn.txt cannot be read");
    for (std::string name; in >> name;) {
      Array array;
      in >> array.rows >> array.cols;
      for (size_t i = 0; i < array.rows * array.cols && in >> word; ++i) {
        array.values.push_back(std::strtod(word.c_str(), nullptr));
      }
      if (array.values.size() != array.rows * array.cols) throw std::runtime_error("sklearn.txt is cut short");
      arrays_[name] = std::move(array);
    }
  }
  const Array& operator[](const std::string& name) const { return arrays_.at(name); }

 private:
  std::map<std::string, Array> arrays_;
};

}  // namespace driftseal::kernels

#endif  // DRIFTSEAL_TESTS_KERNELS_FIXTURE_H_
