#ifndef DRIFTSEAL_ENGINE_APP_INPUTS_H_
#define DRIFTSEAL_ENGINE_APP_INPUTS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/app/arguments.h"
#include "engine/artifact/source.h"
#include "engine/detector/detector.h"
#include "engine/screen/subject.h"

namespace driftseal::app {

/// What the arguments point at: a root that nothing leaves, and the subjects beneath it, sorted.
struct Inputs {
  artifact::Root root;
  std::vector<screen::Subject> subjects;
};

/// The folders and files of `paths`, or the folder of --root, or the current one. Several paths share the nearest
/// folder that holds them all as their root. NotFound when there is nothing to screen.
absl::StatusOr<Inputs> FindInputs(const Arguments& arguments);

/// That there is nothing to screen beneath `root`.
absl::Status NothingFound(const std::string& root, const Arguments& arguments);
/// Sorts subjects by path and leaves out what is there twice.
void Settle(std::vector<screen::Subject>& subjects);

/// The one meta file or model file of `paths`, beneath --root, or else beneath the current folder, or else its own.
absl::StatusOr<Inputs> OneInput(const Arguments& arguments);

/// The detector of --model-dir; the error says how to make one.
absl::StatusOr<detector::Detector> LoadDetector(const Arguments& arguments);

/// Has the detector score with --backend, or with `usual` where the user named none, and says on standard error which
/// one that is.
absl::Status ChooseBackend(const Arguments& arguments, const std::string& usual, detector::Detector& detector);

/// The same where --backend names one; otherwise models are scored in double precision, to the same digits on every
/// machine (docs/decisions/0008).
absl::Status ChooseBackendForModels(const Arguments& arguments, detector::Detector& detector);

/// Empty where --backend takes `name`; otherwise what it takes.
std::string IsBackend(const std::string& name);

/// Prints the error and returns its exit code, always 3: usage errors are told before a command runs.
int Fail(const absl::Status& status);

unsigned Threads(const Arguments& arguments);

/// A program that was installed beside this one.
std::string ProgramBeside(const std::string& name);

/// Where a report goes: --output-path, or `name` in --model-dir.
std::string ReportPath(const Arguments& arguments, const std::string& name);

}  // namespace driftseal::app

#endif  // DRIFTSEAL_ENGINE_APP_INPUTS_H_
