#ifndef DRIFTSEAL_ENGINE_ARTIFACT_DIGEST_H_
#define DRIFTSEAL_ENGINE_ARTIFACT_DIGEST_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/artifact/source.h"

namespace driftseal::artifact {

/// A SHA-256 digest (FIPS 180-4).
struct Digest {
  std::array<uint8_t, 32> bytes{};
  std::string Hex() const;  ///< 64 lowercase hexadecimal digits.
  bool operator==(const Digest&) const = default;
};

/// 64 hexadecimal digits of either case, optionally behind "sha256:". InvalidArgument otherwise.
absl::StatusOr<Digest> ParseDigest(std::string_view text);

Digest Sha256(std::span<const std::byte> bytes);
/// Streams the file; Aborted when it changed while it was hashed.
absl::StatusOr<Digest> Sha256(const Source& source);
/// Hashes several files at once with up to `threads` threads; results in the order of `sources`.
std::vector<absl::StatusOr<Digest>> Sha256All(std::span<const Source* const> sources, unsigned threads);

}  // namespace driftseal::artifact

#endif  // DRIFTSEAL_ENGINE_ARTIFACT_DIGEST_H_
