#ifndef DRIFTSEAL_KERNELS_FOREST_TREES_H_
#define DRIFTSEAL_KERNELS_FOREST_TREES_H_

#include <cstdint>
#include <vector>

#include "kernels/forest/forest.h"

// What packing works on: trees with fixed-point leaves and without splits that decide nothing.
namespace driftseal::kernels::forest {

struct TreeNode {
  int32_t feature = -1;  ///< -1: leaf.
  float threshold = 0;
  uint32_t left = 0, right = 0;  ///< Indices into the tree.
  uint32_t path = 0;             ///< Leaf, in kPathUnit.
};

/// Node 0 is the root, children stand behind their parents.
using Tree = std::vector<TreeNode>;

/// The tree below `root`; a node whose two children are leaves of one value is that leaf.
Tree Simplify(const Forest& forest, uint32_t root);

/// Fills the parts of `packed` that its name says. PackPrograms returns false, leaving them empty, where a forest is
/// not one to slice: too many slots or leaf values, or trees too deep.
bool PackPrograms(const std::vector<Tree>& trees, Packed& packed);
void PackWalk(const std::vector<Tree>& trees, Packed& packed);
/// Leaves `packed` as it is where a tree has more than eight levels, or the forest more than 1,024 features.
void PackShallow(const std::vector<Tree>& trees, Packed& packed);

}  // namespace driftseal::kernels::forest

#endif  // DRIFTSEAL_KERNELS_FOREST_TREES_H_
