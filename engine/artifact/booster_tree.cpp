#include <algorithm>

#include "engine/artifact/booster_builder.h"
#include "engine/artifact/text.h"

namespace driftseal::artifact {
namespace {

absl::Status Bad(std::string_view what) { return absl::InvalidArgumentError(Cat(what)); }

absl::Status CheckLengths(const RawTree& raw) {
  const size_t nodes = raw.left.size();
  if (nodes == 0) return Bad(".left_children: expected at least one node");
  if (raw.has_nodes && raw.nodes != nodes) {
    return Bad(Cat(".tree_param.num_nodes is ", raw.nodes, ", but left_children has ", nodes, " entries"));
  }
  struct Field {
    std::string_view name;
    size_t size;
    bool may_lack;
  };
  const Field fields[] = {
      {"right_children", raw.right.size(), false},   {"split_indices", raw.feature.size(), false},
      {"split_conditions", raw.value.size(), false}, {"default_left", raw.default_left.size(), false},
      {"parents", raw.parent.size(), true},          {"split_type", raw.split_type.size(), true},
      {"loss_changes", raw.gain.size(), true},       {"sum_hessian", raw.cover.size(), true}};
  for (const Field& field : fields) {
    if (field.size == nodes || (field.may_lack && field.size == 0)) continue;
    return Bad(Cat(".", field.name, " has ", field.size, " entries, left_children has ", nodes));
  }
  return absl::OkStatus();
}

absl::Status CheckSplit(const RawTree& raw, size_t node, uint32_t features) {
  const int64_t nodes = static_cast<int64_t>(raw.left.size());
  for (const int32_t child : {raw.left[node], raw.right[node]}) {
    if (child < 0 || child >= nodes)
      return Bad(Cat(": node ", node, " has the child ", child, ", expected 0 to ", nodes - 1));
    if (!raw.parent.empty() && raw.parent[child] != static_cast<int32_t>(node)) {
      return Bad(Cat(".parents[", child, "] is ", raw.parent[child], ", but it is a child of ", node));
    }
  }
  if (raw.feature[node] < 0 || static_cast<uint32_t>(raw.feature[node]) >= features) {
    return Bad(Cat(".split_indices[", node, "] is ", raw.feature[node], ", but the model has ", features, " features"));
  }
  if (!raw.split_type.empty() && raw.split_type[node] != 0) {
    return absl::UnimplementedError(Cat(": node ", node, " splits by categories, which is not understood"));
  }
  return absl::OkStatus();
}

// Which nodes are reached from the root; each at most once, so there is no cycle and no second parent.
absl::StatusOr<std::vector<bool>> Reach(const RawTree& raw, uint32_t features) {
  std::vector<bool> reached(raw.left.size(), false);
  std::vector<int32_t> open = {0};
  reached[0] = true;
  while (!open.empty()) {
    const size_t node = static_cast<size_t>(open.back());
    open.pop_back();
    if (raw.left[node] == -1) {
      if (raw.right[node] != -1) return Bad(Cat(": node ", node, " has a right child only"));
      continue;
    }
    if (absl::Status status = CheckSplit(raw, node, features); !status.ok()) return status;
    for (const int32_t child : {raw.left[node], raw.right[node]}) {
      if (reached[child]) return Bad(Cat(": node ", child, " has two parents, or is its own ancestor"));
      reached[child] = true;
      open.push_back(child);
    }
  }
  return reached;
}

template <typename T>
std::vector<T> Keep(const std::vector<T>& values, const std::vector<bool>& keep) {
  std::vector<T> kept;
  kept.reserve(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (keep[i]) kept.push_back(values[i]);
  }
  return kept;
}

}  // namespace

absl::StatusOr<BoostedTree> BuildTree(const RawTree& raw, uint32_t features) {
  if (raw.leaf_vector > 1) {
    return absl::UnimplementedError(
        Cat(".tree_param.size_leaf_vector is ", raw.leaf_vector, ": trees with several outputs are not understood"));
  }
  if (absl::Status status = CheckLengths(raw); !status.ok()) return status;
  const absl::StatusOr<std::vector<bool>> reached = Reach(raw, features);
  if (!reached.ok()) return reached.status();
  const uint64_t unreached = static_cast<uint64_t>(std::count(reached->begin(), reached->end(), false));
  if (unreached != raw.deleted) {
    return Bad(
        Cat(": ", unreached, " nodes are not reached from the root, but tree_param.num_deleted is ", raw.deleted));
  }
  std::vector<int32_t> renumbered(raw.left.size(), -1);
  int32_t next = 0;
  for (size_t i = 0; i < renumbered.size(); ++i) {
    if ((*reached)[i]) renumbered[i] = next++;
  }
  BoostedTree tree{.left = Keep(raw.left, *reached),
                   .right = Keep(raw.right, *reached),
                   .feature = Keep(raw.feature, *reached),
                   .value = Keep(raw.value, *reached),
                   .gain = Keep(raw.gain, *reached),
                   .cover = Keep(raw.cover, *reached),
                   .default_left = Keep(raw.default_left, *reached)};
  for (size_t i = 0; i < tree.left.size(); ++i) {
    if (tree.left[i] == -1) continue;
    tree.left[i] = renumbered[tree.left[i]];
    tree.right[i] = renumbered[tree.right[i]];
  }
  return tree;
}

}  // namespace driftseal::artifact
