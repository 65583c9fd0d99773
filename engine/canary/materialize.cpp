#include "engine/canary/materialize.h"

#include <algorithm>
#include <utility>

#include "engine/artifact/text.h"
#include "engine/canary/inputs.h"

namespace driftseal::canary {
namespace {

using replay::CanarySet;

// What a set may hold: replay::CheckCanarySet.
constexpr size_t kMostSetElements = size_t{1} << 26;

void Add(std::vector<float> inputs, InputKind kind, CanaryFile& file) {
  const size_t count = inputs.size() / file.set.elements();
  file.set.inputs.insert(file.set.inputs.end(), inputs.begin(), inputs.end());
  file.set.labels.resize(file.set.labels.size() + count, -1);
  file.kinds.resize(file.kinds.size() + count, kind);
}

// Of what was asked for, what still fits.
MaterializeOptions Fitting(const MaterializeOptions& options, const CanarySet& references) {
  const size_t most = std::min(replay::kMostCanaryInputs, kMostSetElements / references.elements());
  const size_t room = most - std::min(most, references.count());
  MaterializeOptions fitting = options;
  fitting.noise = std::min(options.noise, room / 3);
  fitting.structured = std::min(options.structured, room / 3);
  fitting.boundary = std::min(options.boundary, room / 3);
  return fitting;
}

}  // namespace

std::string_view KindName(InputKind kind) {
  switch (kind) {
    case InputKind::kReference:
      return "reference";
    case InputKind::kNoise:
      return "noise";
    case InputKind::kStructured:
      return "structured";
    case InputKind::kBoundary:
      break;
  }
  return "boundary";
}

absl::StatusOr<CanaryFile> Materialize(ReplayPool& pool, std::span<const std::byte> model, replay::ModelRuntime runtime,
                                       const artifact::Digest& model_sha256, const CanarySet& references,
                                       const MaterializeOptions& options) {
  CanaryFile file;
  file.set = references;
  file.model_sha256 = model_sha256;
  file.kinds.assign(references.count(), InputKind::kReference);
  if (references.elements() == 0 || (references.count() == 0 && !references.inputs.empty())) {
    return absl::InvalidArgumentError("canary inputs: expected a shape without a 0 in it");
  }
  const MaterializeOptions fitting = Fitting(options, references);
  Add(NoiseInputs(references, fitting.noise, fitting.seed), InputKind::kNoise, file);
  Add(StructuredNoise(references, fitting.structured, fitting.seed), InputKind::kStructured, file);
  if (absl::Status status = replay::CheckCanarySet(file.set); !status.ok()) return status;
  const absl::StatusOr<replay::RawBehaviour> first = pool.Replay(model, runtime, file.set);
  if (!first.ok()) return first.status();
  absl::StatusOr<std::vector<float>> near =
      BoundaryInputs(pool, model, runtime, file.set, first->logits, fitting.boundary, fitting.seed);
  if (!near.ok()) return near.status();
  Add(*std::move(near), InputKind::kBoundary, file);

  // Once more all together, as they will be asked when they are checked: a batch's size may change the last bits.
  absl::StatusOr<replay::RawBehaviour> answers = pool.Replay(model, runtime, file.set);
  if (!answers.ok()) return answers.status();
  file.classes = answers->classes;
  file.probabilities = answers->probabilities;
  file.outputs = std::move(answers->logits);
  absl::StatusOr<EnrolledBehaviour> behaviour =
      EnrolBehaviour(file.outputs, file.classes, ParametersOf(file.outputs, file.classes), InputsDigest(file.set));
  if (!behaviour.ok()) return behaviour.status();
  file.behaviour = *std::move(behaviour);
  return file;
}

artifact::Digest InputsDigest(const CanarySet& set) {
  std::string shape;
  for (const uint32_t size : set.shape) shape += artifact::Cat(size, ",");
  std::vector<std::byte> bytes;
  bytes.reserve(shape.size() + set.inputs.size() * sizeof(float));
  const auto append = [&](std::span<const std::byte> part) { bytes.insert(bytes.end(), part.begin(), part.end()); };
  append(std::as_bytes(std::span(shape)));
  append(std::as_bytes(std::span(set.inputs)));
  return artifact::Sha256(bytes);
}

}  // namespace driftseal::canary
