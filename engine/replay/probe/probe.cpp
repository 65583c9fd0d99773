#include "engine/replay/probe/probe.h"

#include <chrono>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/replay/probe/bank.h"
#include "engine/replay/probe/classifier.h"
#include "engine/replay/probe/measure.h"
#include "engine/replay/probe/runtime.h"
#include "engine/replay/probe/search.h"
#include "engine/replay/probe/space.h"

namespace driftseal::replay {
namespace {

using Clock = std::chrono::steady_clock;

float MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration<float, std::milli>(Clock::now() - start).count();
}

absl::StatusOr<Classifier> Open(std::span<const std::byte> model, ModelRuntime runtime, const CanarySet& set) {
  if (absl::Status status = CheckCanarySet(set); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<Runtime>> opened =
      runtime == ModelRuntime::kTorchScript ? OpenTorch(model, set) : OpenXgboost(model, set);
  if (!opened.ok()) return opened.status();
  return Classifier::Open(*std::move(opened), set);
}

/// One probe of one model, part after part.
class Run {
 public:
  Run(Classifier& classifier, const CanarySet& set, const ProbeOptions& options, RawBehaviour& behaviour)
      : classifier_(classifier),
        set_(set),
        options_(options),
        behaviour_(behaviour),
        space_(SpaceOf(set)),
        bank_(MakeBank(space_)) {}

  absl::Status All() {
    absl::Status status =
        Part("sweep", options_.sweep, [&] { return MeasureSweep(classifier_, space_, set_, bank_, behaviour_); });
    if (status.ok()) status = Searches();
    if (status.ok()) {
      status = Part("noise", options_.noise, [&] { return MeasureNoise(classifier_, space_, set_, behaviour_); });
    }
    if (status.ok()) status = Part("head", options_.head, [&] { return MeasureHead(classifier_, behaviour_); });
    if (status.ok()) {
      status = Part("picture", options_.sweep || options_.patch,
                    [&] { return TakePicture(classifier_, space_, set_, bank_, found_, behaviour_); });
    }
    return status;
  }

 private:
  absl::Status Searches() {
    if (behaviour_.classes > kMostSearchClasses) {
      const std::string reason =
          absl::StrCat(behaviour_.classes, " classes, searches go over at most ", kMostSearchClasses);
      for (const auto& [part, asked] :
           {std::pair{"perturbation", options_.perturbation}, {"patch", options_.patch}, {"margin", options_.margin}}) {
        if (asked) behaviour_.lacking.push_back({part, reason});
      }
      return absl::OkStatus();
    }
    Search search(classifier_, space_, set_, options_.search_inputs);
    absl::Status status = Part("perturbation", options_.perturbation, [&] {
      return OrElse("perturbation", SearchPerturbations(search, behaviour_),
                    [&] { return TryPerturbations(search, behaviour_); });
    });
    if (status.ok()) status = Part("patch", options_.patch, [&] { return Patch(search); });
    if (status.ok()) {
      status = Part("margin", options_.margin, [&] {
        return OrElse("margin", SearchMargins(classifier_, space_, behaviour_),
                      [&] { return TryMargins(classifier_, space_, behaviour_); });
      });
    }
    return status;
  }

  absl::Status Patch(Search& search) {
    if (!space_.image) return TryColumns(search, behaviour_, found_);
    return OrElse("patch", SearchPatches(search, behaviour_, found_),
                  [&] { return TryPatches(search, behaviour_, found_); });
  }

  /// The second way where the first one lacks gradients.
  absl::Status OrElse(const std::string& part, const absl::Status& first, absl::FunctionRef<absl::Status()> second) {
    if (first.code() != absl::StatusCode::kFailedPrecondition) return first;
    Forget(part);
    absl::Status status = second();
    if (status.code() != absl::StatusCode::kFailedPrecondition) return status;
    return absl::FailedPreconditionError(
        absl::StrCat(std::string(first.message()), "; without: ", std::string(status.message())));
  }

  /// FailedPrecondition: the model cannot give this part, which is told and is no error.
  absl::Status Part(const std::string& name, bool asked, absl::FunctionRef<absl::Status()> run) {
    if (!asked) return absl::OkStatus();
    const Clock::time_point start = Clock::now();
    absl::Status status = run();
    if (status.code() == absl::StatusCode::kFailedPrecondition) {
      Forget(name);
      behaviour_.lacking.push_back({name, std::string(status.message())});
      status = absl::OkStatus();
    }
    behaviour_.cost_ms.emplace_back(name, MillisecondsSince(start));
    return status;
  }

  /// What a part left behind before it failed.
  void Forget(const std::string& part) {
    if (part == "perturbation") behaviour_.perturbation_rate = behaviour_.perturbation_logit = {};
    if (part == "margin") behaviour_.margin.clear();
    if (part == "patch") {
      behaviour_.patch_rate.clear();
      behaviour_.patch_logit.clear();
      behaviour_.patch_place.clear();
      found_ = {};
    }
  }

  Classifier& classifier_;
  const CanarySet& set_;
  const ProbeOptions& options_;
  RawBehaviour& behaviour_;
  const Space space_;
  const std::vector<BankEntry> bank_;
  Found found_;
};

/// The outputs on the canaries as they are.
RawBehaviour Base(const Classifier& classifier, const CanarySet& set, Clock::time_point start) {
  RawBehaviour behaviour;
  behaviour.inputs = static_cast<uint32_t>(set.count());
  behaviour.classes = static_cast<uint32_t>(classifier.classes());
  behaviour.probabilities = classifier.probabilities();
  behaviour.logits = classifier.canary_logits();
  behaviour.cost_ms.emplace_back("open", MillisecondsSince(start));
  return behaviour;
}

/// What libraries throw (LibTorch everywhere, std::bad_alloc) ends here.
absl::Status Failed(const std::exception& error) {
  return absl::InternalError(absl::StrCat("the probe failed: ", ForeignMessage(error.what())));
}

}  // namespace

absl::StatusOr<RawBehaviour> Probe(std::span<const std::byte> model, ModelRuntime runtime, const CanarySet& set,
                                   const ProbeOptions& options) {
  try {
    const Clock::time_point start = Clock::now();
    absl::StatusOr<Classifier> classifier = Open(model, runtime, set);
    if (!classifier.ok()) return classifier.status();
    RawBehaviour behaviour = Base(*classifier, set, start);
    if (absl::Status status = Run(*classifier, set, options, behaviour).All(); !status.ok()) return status;
    return behaviour;
  } catch (const std::exception& error) {
    return Failed(error);
  }
}

absl::StatusOr<RawBehaviour> Replay(std::span<const std::byte> model, ModelRuntime runtime, const CanarySet& set) {
  try {
    const Clock::time_point start = Clock::now();
    absl::StatusOr<Classifier> classifier = Open(model, runtime, set);
    if (!classifier.ok()) return classifier.status();
    return Base(*classifier, set, start);
  } catch (const std::exception& error) {
    return Failed(error);
  }
}

std::string ForeignMessage(std::string_view text) {
  constexpr size_t kLongest = 400;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  // The message itself comes last, behind a trace of the model's source.
  std::string message;
  for (const char c : text.substr(text.size() - std::min(text.size(), kLongest))) {
    const char shown = c >= ' ' && c <= '~' ? c : c == '\n' || c == '\t' ? ' ' : '?';
    if (shown != ' ' || (!message.empty() && message.back() != ' ')) message += shown;
  }
  return message.empty() ? "no message" : message;
}

}  // namespace driftseal::replay
