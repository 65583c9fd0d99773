// IDX files, plain and compressed: any bytes are either read or refused with a message; what is read is whole.
#include <cstdlib>
#include <cstring>
#include <vector>

#include "engine/canary/references.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace driftseal;
  std::vector<std::byte> bytes(size);
  if (size > 0) std::memcpy(bytes.data(), data, size);
  const artifact::Source source = artifact::Source::FromBytes("fuzz", std::move(bytes));
  const bool looks = canary::LooksLikeIdx(source);
  // As inputs and as labels of two inputs.
  const auto read = canary::DataFromIdx(source, nullptr);
  if (!read.ok()) {
    if (read.status().message().empty()) std::abort();
  } else {
    const size_t values = read->bytes.size() + read->floats.size();
    if (!looks || read->count() == 0 || values != read->count() * read->elements()) std::abort();
    const auto chosen = canary::ChooseReferences(*read, {.name = "fuzz", .count = 10});
    if (chosen.ok() ? !replay::CheckCanarySet(chosen->set).ok() : chosen.status().message().empty()) std::abort();
  }
  constexpr uint8_t kTwo[] = {0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 1, 5, 6};
  std::vector<std::byte> two(sizeof kTwo);
  std::memcpy(two.data(), kTwo, sizeof kTwo);
  const auto labelled = canary::DataFromIdx(artifact::Source::FromBytes("two", std::move(two)), &source);
  if (labelled.ok() && labelled->labels.size() != 2) std::abort();
  return 0;
}
