#include "engine/canary/expected.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/artifact/text.h"
#include "engine/canary/inputs.h"

namespace driftseal::canary {
namespace {

using artifact::Cat;

// Changes of class, and by how much logits moved.
void Compare(const CanaryFile& file, std::span<const float> found, Comparison& out) {
  const std::span<const float> expected = file.outputs;
  for (size_t i = 0; i < file.set.count(); ++i) {
    const auto before = expected.subspan(i * file.classes, file.classes);
    const auto after = found.subspan(i * file.classes, file.classes);
    for (size_t c = 0; c < file.classes; ++c) {
      out.largest = std::max(out.largest, std::abs(static_cast<double>(after[c]) - before[c]));
    }
    const Top was = TopOf(before), is = TopOf(after);
    if (was.predicted == is.predicted || was.margin <= 2 * file.behaviour.parameters.bound) continue;
    out.changed.push_back({i, file.kinds[i], file.set.labels[i], was.predicted, is.predicted, was.margin});
  }
  out.changed_class = out.changed.size();
  std::stable_sort(out.changed.begin(), out.changed.end(),
                   [](const auto& a, const auto& b) { return a.margin > b.margin; });
  if (out.changed.size() > Comparison::kMostListed) out.changed.resize(Comparison::kMostListed);
}

double ScaleOf(std::span<const float> logits, size_t classes) { return 4 * ParametersOf(logits, classes).step; }

}  // namespace

absl::StatusOr<CanaryFile> OpenExpected(const artifact::Source& source, const RecordedCanary& recorded) {
  if (recorded.sha256) {
    const absl::StatusOr<artifact::Digest> actual = artifact::Sha256(source);
    if (!actual.ok()) return actual.status();
    if (*actual != *recorded.sha256) {
      return absl::DataLossError(Cat(source.name(), ": has SHA-256 ", actual->Hex(), ", recorded ",
                                     recorded.sha256->Hex(), ": it is not the canary file that was written"));
    }
  }
  absl::StatusOr<CanaryFile> file = ReadCanaryFile(source);
  if (!file.ok()) return file.status();
  if (recorded.behaviour_hash && *recorded.behaviour_hash != file->behaviour.hash) {
    return absl::DataLossError(Cat(source.name(), ": holds the behaviour ", file->behaviour.hash.Hex(), ", recorded ",
                                   recorded.behaviour_hash->Hex()));
  }
  return file;
}

absl::StatusOr<Comparison> CheckExpected(ReplayPool& pool, std::span<const std::byte> model,
                                         replay::ModelRuntime runtime, const artifact::Digest& model_sha256,
                                         const CanaryFile& file) {
  const absl::StatusOr<replay::RawBehaviour> answers = pool.Replay(model, runtime, file.set);
  if (!answers.ok()) return answers.status();
  if (answers->classes != file.classes) {
    return absl::FailedPreconditionError(
        Cat("the model answers with ", answers->classes, " classes, recorded are ", file.classes));
  }
  const absl::StatusOr<BehaviourMatch> match = MatchBehaviour(answers->logits, file.behaviour);
  if (!match.ok()) return match.status();
  Comparison out;
  out.bound = model_sha256 == file.model_sha256;
  out.equal = match->equal;
  out.expected = file.behaviour.hash;
  out.found = match->hash;
  out.inputs = file.set.count();
  out.compared = match->compared;
  out.different = match->different;
  out.distance = match->Distance();
  out.scale = ScaleOf(file.outputs, file.classes);
  Compare(file, answers->logits, out);
  return out;
}

std::string TextOf(const Comparison& comparison) {
  const std::string canaries = Cat(comparison.inputs, " canaries");
  if (comparison.equal && comparison.bound) return Cat("answers as recorded on ", canaries);
  if (comparison.equal) {
    return Cat("another file than the recorded one, with the same behaviour on ", canaries, " (re-serialised)");
  }
  return Cat(absl::StrFormat("%.3g %%", 100 * comparison.distance), " of its answers are not those recorded; ",
             comparison.changed_class, " of ", canaries, " get another class");
}

}  // namespace driftseal::canary
