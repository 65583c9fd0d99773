#ifndef DRIFTSEAL_BENCH_FLEET_ROWS_H_
#define DRIFTSEAL_BENCH_FLEET_ROWS_H_

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace driftseal::fleet {

/// Labelled examples: `values` is row-major, labels.size() × columns.
struct Rows {
  size_t columns = 0;
  std::vector<float> values;
  std::vector<int> labels;

  size_t size() const { return labels.size(); }
  std::span<float> row(size_t i) { return {values.data() + i * columns, columns}; }
  std::span<const float> row(size_t i) const { return {values.data() + i * columns, columns}; }
  void Append(std::span<const float> row, int label) {
    values.insert(values.end(), row.begin(), row.end());
    labels.push_back(label);
  }
  Rows Take(std::span<const size_t> indices) const {
    Rows out{.columns = columns, .values = {}, .labels = {}};
    out.values.reserve(indices.size() * columns);
    out.labels.reserve(indices.size());
    for (size_t i : indices) out.Append(row(i), labels[i]);
    return out;
  }
  Rows Slice(size_t first, size_t count) const {
    return {columns,
            {values.begin() + first * columns, values.begin() + (first + count) * columns},
            {labels.begin() + first, labels.begin() + first + count}};
  }
};

/// The first rows of each class, `count` / `classes` of each or all there are, in their order.
inline Rows Balanced(const Rows& rows, int classes, size_t count) {
  std::vector<size_t> left(static_cast<size_t>(classes), count / static_cast<size_t>(classes)), taken;
  for (size_t i = 0; i < rows.size(); ++i) {
    size_t& quota = left[static_cast<size_t>(rows.labels[i])];
    if (quota == 0) continue;
    --quota;
    taken.push_back(i);
  }
  return rows.Take(taken);
}

/// What the models of a domain learn from and are measured on.
struct Data {
  Rows pool;    ///< Every model trains on its own random subset of these.
  Rows test;    ///< Held out; the rows of the predictions files. The same for every model.
  Rows probe;   ///< Held out too; clean accuracy and attack success in the truth file are measured on these.
  Rows canary;  ///< Held out from all of these: clean references for those who screen, balanced over the classes.
  int classes = 0;
  std::string source;  ///< Where the rows come from, in words, for the terminal and the meta files.
};

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_ROWS_H_
