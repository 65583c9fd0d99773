#include "engine/canary/shared_sets.h"

#include <algorithm>
#include <string>

#include "engine/artifact/digest.h"
#include "engine/artifact/text.h"

namespace driftseal::canary {
namespace {

template <class T>
artifact::Digest DigestOf(const std::vector<T>& values) {
  return artifact::Sha256(std::as_bytes(std::span(values)));
}

/// Of all that the set is. Hashing in place costs a tenth of encoding.
replay::SetKey ContentsOf(const replay::CanarySet& set) {
  const std::string text =
      artifact::Cat(artifact::Quoted(set.name, set.name.size()), artifact::Quoted(set.domain, set.domain.size()),
                    artifact::Quoted(set.task, set.task.size()), set.classes, " ",
                    DigestOf(std::vector<float>{set.low, set.high}).Hex(), DigestOf(set.shape).Hex(),
                    DigestOf(set.image).Hex(), DigestOf(set.inputs).Hex(), DigestOf(set.labels).Hex());
  return artifact::Sha256(std::as_bytes(std::span(text.data(), text.size()))).bytes;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const SharedSet>> SharedSets::Get(const replay::CanarySet& set) {
  const replay::SetKey contents = ContentsOf(set);
  const std::lock_guard lock(mutex_);
  const auto known =
      std::find_if(sets_.begin(), sets_.end(), [&](const auto& entry) { return entry.first == contents; });
  if (known != sets_.end()) {
    sets_.splice(sets_.begin(), sets_, known);
    return sets_.front().second;
  }
  absl::StatusOr<std::string> bytes = replay::EncodeCanarySet(set);
  if (!bytes.ok()) return bytes.status();
  const auto view = std::as_bytes(std::span(bytes->data(), bytes->size()));
  absl::StatusOr<replay::UniqueFd> memory = replay::SealedMemory("driftseal-canary-set", view);
  if (!memory.ok()) return memory.status();
  auto shared = std::make_shared<SharedSet>();
  shared->key = artifact::Sha256(view).bytes;
  shared->length = bytes->size();
  shared->memory = *std::move(memory);
  sets_.emplace_front(contents, std::move(shared));
  if (sets_.size() > kMost) sets_.pop_back();
  return sets_.front().second;
}

}  // namespace driftseal::canary
