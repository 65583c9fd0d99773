#ifndef DRIFTSEAL_BENCH_FLEET_IDX_H_
#define DRIFTSEAL_BENCH_FLEET_IDX_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace driftseal::fleet {

/// An array of unsigned bytes in the IDX format of MNIST (http://yann.lecun.com/exdb/mnist): big-endian magic
/// 0x0000 08 <dimensions>, one 32-bit size a dimension, then the bytes.
struct IdxArray {
  std::vector<uint32_t> shape;
  std::vector<uint8_t> bytes;
};

/// Reads a file, gzip-compressed or plain, of at most 256 MiB of data. NotFound, or DataLoss naming file, expectation
/// and what was found.
absl::StatusOr<IdxArray> ReadIdx(const std::string& path, size_t dimensions);

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_IDX_H_
