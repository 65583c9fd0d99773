#include "model_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return driftseal::artifact::FuzzModelReader(data, size);
}
