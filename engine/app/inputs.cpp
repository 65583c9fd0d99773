#include "engine/app/inputs.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>

#include "engine/app/terminal.h"
#include "engine/artifact/text.h"

namespace driftseal::app {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<fs::path> Absolute(const std::string& path) {
  std::error_code error;
  fs::path absolute = fs::absolute(path, error).lexically_normal();
  if (error) return absl::NotFoundError(artifact::Cat(path, ": ", error.message()));
  if (!absolute.has_filename() && absolute.has_parent_path()) absolute = absolute.parent_path();  // "models/"
  return absolute;
}

bool Beneath(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end();
}

// The nearest folder that holds all of them; a path that is a folder holds itself.
fs::path CommonFolder(const std::vector<fs::path>& paths) {
  std::error_code error;
  fs::path common = fs::is_directory(paths.front(), error) ? paths.front() : paths.front().parent_path();
  for (const fs::path& path : paths) {
    while (!Beneath(path, common)) common = common.parent_path();
  }
  return common;
}

// "models" rather than its absolute path, where the user can see it from here.
std::string Shown(const fs::path& folder) {
  std::error_code error;
  const fs::path here = fs::current_path(error);
  if (error || !Beneath(folder, here)) return folder.string();
  return folder == here ? "." : folder.lexically_relative(here).string();
}

// What lies in the folders among `paths`, and the files among them, each beneath `folder`.
absl::StatusOr<std::vector<screen::Subject>> SubjectsOf(const std::vector<fs::path>& paths, const fs::path& folder,
                                                        const Arguments& arguments) {
  screen::FindOptions options;
  options.meta_glob = arguments.meta_glob;
  options.folders.clear();
  options.threads = Threads(arguments);
  std::vector<screen::Subject> subjects;
  for (const fs::path& path : paths) {
    std::string relative = path.lexically_relative(folder).generic_string();
    std::error_code error;
    if (fs::is_directory(path, error)) {
      options.folders.push_back(relative == "." ? "" : std::move(relative));
    } else {
      const bool bare = !screen::IsMetaPath(relative);
      subjects.push_back({std::move(relative), bare});
    }
  }
  absl::StatusOr<std::vector<screen::Subject>> found = screen::FindSubjects(Shown(folder), options);
  if (!found.ok()) return found.status();
  subjects.insert(subjects.end(), found->begin(), found->end());
  Settle(subjects);
  return subjects;
}

}  // namespace

void Settle(std::vector<screen::Subject>& subjects) {
  std::sort(subjects.begin(), subjects.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  const auto same = [](const auto& a, const auto& b) { return a.path == b.path; };
  subjects.erase(std::unique(subjects.begin(), subjects.end(), same), subjects.end());
}

absl::Status NothingFound(const std::string& root, const Arguments& arguments) {
  return absl::NotFoundError(artifact::Cat(root, ": no meta file matches ", arguments.meta_glob,
                                           " and no model file (safetensors, torch archive, XGBoost JSON or UBJ) is ",
                                           "there"));
}

absl::StatusOr<Inputs> FindInputs(const Arguments& arguments) {
  std::vector<std::string> named = arguments.paths;
  if (named.empty()) named.push_back(arguments.root.empty() ? "." : arguments.root);
  std::vector<fs::path> paths;
  for (const std::string& path : named) {
    absl::StatusOr<fs::path> absolute = Absolute(path);
    if (!absolute.ok()) return absolute.status();
    std::error_code error;
    if (!fs::exists(*absolute, error)) return absl::NotFoundError(artifact::Cat(path, ": no such file or folder"));
    paths.push_back(*std::move(absolute));
  }
  fs::path folder = CommonFolder(paths);
  if (!arguments.root.empty()) {
    absl::StatusOr<fs::path> root = Absolute(arguments.root);
    if (!root.ok()) return root.status();
    if (!Beneath(folder, *root)) {
      return absl::InvalidArgumentError(artifact::Cat(folder.string(), ": lies outside of --root ", arguments.root));
    }
    folder = *std::move(root);
  }
  absl::StatusOr<artifact::Root> root = artifact::Root::Open(Shown(folder));
  if (!root.ok()) return root.status();
  absl::StatusOr<std::vector<screen::Subject>> subjects = SubjectsOf(paths, folder, arguments);
  if (!subjects.ok()) return subjects.status();
  if (subjects->empty()) return NothingFound(root->path(), arguments);
  return Inputs{*std::move(root), *std::move(subjects)};
}

absl::StatusOr<Inputs> OneInput(const Arguments& arguments) {
  const std::string& path = arguments.paths.front();
  absl::StatusOr<fs::path> absolute = Absolute(path);
  if (!absolute.ok()) return absolute.status();
  std::error_code error;
  if (!fs::exists(*absolute, error)) return absl::NotFoundError(artifact::Cat(path, ": no such file"));
  if (fs::is_directory(*absolute, error)) {
    return absl::InvalidArgumentError(artifact::Cat(path, ": is a folder, expected a meta file or a model file (",
                                                    "use score_all or verify_all for a folder)"));
  }
  fs::path folder = fs::current_path(error);
  if (!arguments.root.empty()) {
    absl::StatusOr<fs::path> root = Absolute(arguments.root);
    if (!root.ok()) return root.status();
    folder = *std::move(root);
    if (!Beneath(*absolute, folder)) {
      return absl::InvalidArgumentError(artifact::Cat(path, ": lies outside of --root ", arguments.root));
    }
  } else if (!Beneath(*absolute, folder)) {
    folder = absolute->parent_path();
  }
  absl::StatusOr<artifact::Root> root = artifact::Root::Open(Shown(folder));
  if (!root.ok()) return root.status();
  const std::string relative = absolute->lexically_relative(folder).generic_string();
  return Inputs{*std::move(root), {{relative, !screen::IsMetaPath(relative)}}};
}

absl::StatusOr<detector::Detector> LoadDetector(const Arguments& arguments) {
  std::error_code error;
  if (!fs::exists(fs::path(arguments.model_dir) / "detector_state.json", error)) {
    return absl::NotFoundError(artifact::Cat(arguments.model_dir,
                                             ": holds no detector (detector_state.json); make one with ",
                                             "`driftseal fit FOLDER --model-dir ", arguments.model_dir, "`"));
  }
  return detector::Detector::Load(arguments.model_dir);
}

absl::Status ChooseBackend(const Arguments& arguments, const std::string& usual, detector::Detector& detector) {
  detector::BackendOptions options;
  options.name = arguments.backend.empty() ? usual : arguments.backend;
  options.cuda_module = ProgramBeside("libdriftseal_cuda.so");
  options.threads = arguments.threads;
  options.crossover_rows = arguments.crossover_rows;
  options.log = [](const std::string& text) { std::fprintf(stderr, "backend: %s\n", text.c_str()); };
  absl::StatusOr<std::shared_ptr<const detector::Backend>> backend = detector::MakeBackend(options);
  if (!backend.ok()) return backend.status();
  return detector.Use(*std::move(backend));
}

absl::Status ChooseBackendForModels(const Arguments& arguments, detector::Detector& detector) {
  return arguments.backend.empty() ? absl::OkStatus() : ChooseBackend(arguments, "", detector);
}

std::string IsBackend(const std::string& name) {
  std::vector<std::string> names = detector::BackendNames("");
  names.insert(names.end(), {"cuda", "auto"});
  if (std::find(names.begin(), names.end(), name) != names.end()) return "";
  std::string text = "expected one of those that run here:";
  for (const std::string& known : names) text += " " + known;
  return text;
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "driftseal: %s\n", Printable(std::string(status.message())).c_str());
  return 3;
}

unsigned Threads(const Arguments& arguments) {
  return arguments.threads > 0 ? arguments.threads : std::max(1u, std::thread::hardware_concurrency());
}

std::string ProgramBeside(const std::string& name) {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  return error ? name : (self.parent_path() / name).string();
}

std::string ReportPath(const Arguments& arguments, const std::string& name) {
  return arguments.output_path.empty() ? artifact::Cat(arguments.model_dir, "/", name) : arguments.output_path;
}

}  // namespace driftseal::app
