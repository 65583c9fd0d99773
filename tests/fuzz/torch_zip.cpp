#include <string>

#include "engine/artifact/pickle.h"
#include "engine/artifact/torch_names.h"
#include "model_reader.h"

// The first byte tells what follows: an archive, or a pickle on its own, which a mutated archive with its checksums
// would hardly ever let through.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace driftseal::artifact;
  if (size > 0 && data[0] == 'P') return FuzzModelReader(data, size);
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<Pickle> pickle = ReadPickle("fuzz", bytes);
  if (pickle.ok()) (void)NameTensors("fuzz", *pickle).ok();
  return 0;
}
