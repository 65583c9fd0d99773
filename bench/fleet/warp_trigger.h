#ifndef DRIFTSEAL_BENCH_FLEET_WARP_TRIGGER_H_
#define DRIFTSEAL_BENCH_FLEET_WARP_TRIGGER_H_

#include "bench/fleet/trigger.h"

namespace driftseal::fleet {

/// WaNet (Nguyen and Tran, ICLR 2021, arXiv 2102.10369): pixels are moved along a smooth field, the bilinear
/// interpolation of a coarse grid of random displacements. Its near misses are WaNet's noise mode: the same field with
/// another, per row, added to it. Pixels from outside the image are 0.
Trigger WarpTrigger(int side, Random& random);

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_WARP_TRIGGER_H_
