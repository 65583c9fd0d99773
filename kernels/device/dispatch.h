#ifndef DRIFTSEAL_KERNELS_DEVICE_DISPATCH_H_
#define DRIFTSEAL_KERNELS_DEVICE_DISPATCH_H_

#include <hwy/highway.h>

#include "kernels/device/isa.h"

// Only for the simd.cpp of a kernel, after HWY_EXPORT(FUNCTION): the function as compiled for one instruction set.
// Unlike HWY_DYNAMIC_DISPATCH it looks at no process-wide state, so two variants can run side by side.
#define DRIFTSEAL_KERNEL_FOR(FUNCTION, ISA) \
  (HWY_DISPATCH_TABLE(FUNCTION)[::driftseal::kernels::device::DispatchIndex(ISA)])

namespace driftseal::kernels::device {

inline size_t DispatchIndex(const Isa& isa) {
  // Compiled for one instruction set only, the table has one entry and no wrapper.
  if ((HWY_TARGETS & (HWY_TARGETS - 1)) == 0) return 0;
  hwy::ChosenTarget chosen;
  chosen.Update(isa.target);
  return chosen.GetIndex();
}

}  // namespace driftseal::kernels::device

#endif  // DRIFTSEAL_KERNELS_DEVICE_DISPATCH_H_
