#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/app/commands.h"
#include "engine/app/inputs.h"
#include "engine/app/terminal.h"
#include "engine/artifact/digest.h"
#include "engine/artifact/text.h"
#include "engine/detector/detector.h"
#include "engine/screen/fleet.h"
#include "engine/screen/screen.h"
#include "kernels/device/device.h"

namespace driftseal::app {
namespace {

namespace fs = std::filesystem;

struct Check {
  std::string name;
  bool ok;
  std::string detail;
};

struct Subjects {
  std::vector<detector::Sample> samples;
  std::string origin;
};

// Rows of a made-up family, where there are no models to try: 64 correlated columns, the others missing.
Subjects MadeUp() {
  const size_t columns = screen::ModelSchemaId().features.size();
  std::mt19937_64 random(7);
  std::normal_distribution<double> normal;
  Subjects subjects{{}, "80 made-up models"};
  for (int i = 0; i < 80; ++i) {
    std::vector<double> row(columns, std::nan(""));
    const double common = normal(random);
    for (size_t c = 0; c < std::min<size_t>(64, columns); ++c) row[c] = common + normal(random);
    subjects.samples.push_back({absl::StrFormat("made-up-%02d", i), "made-up/selftest/0", std::move(row)});
  }
  return subjects;
}

// The models of the folder when its largest family can be fitted, made-up ones otherwise.
absl::StatusOr<Subjects> FindModels(const Arguments& arguments) {
  if (arguments.paths.empty() && arguments.root.empty()) return MadeUp();
  absl::StatusOr<Inputs> inputs = FindInputs(arguments);
  if (!inputs.ok()) return inputs.status();
  Subjects subjects{{}, ""};
  Progress progress("fingerprints", inputs->subjects.size(), 0);
  for (const screen::Subject& subject : inputs->subjects) {
    absl::StatusOr<screen::Fingerprinted> read = screen::FingerprintOf(subject, inputs->root, {});
    progress.Advance();
    if (!read.ok() || (arguments.only_eligible && !read->eligible)) continue;
    subjects.samples.push_back({subject.path, read->fingerprint.family.Key(), screen::RowOf(read->fingerprint)});
  }
  if (subjects.samples.size() < detector::FitOptions().family_minimum) {
    std::fprintf(stderr, "%zu models are too few to fit on: made-up ones are used instead\n", subjects.samples.size());
    return MadeUp();
  }
  subjects.origin = artifact::Cat(subjects.samples.size(), " models of ", inputs->root.path());
  return subjects;
}

std::string FileText(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Check KnownDigest() {
  // FIPS 180-4, the example for "abc".
  const std::string expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  const std::string text = "abc";
  const std::string got = artifact::Sha256(std::as_bytes(std::span(text))).Hex();
  return {"SHA-256 of a known text", got == expected, got};
}

Check SameBytes(const detector::Detector& first, const detector::Detector& second) {
  std::string pattern = (fs::temp_directory_path() / "driftseal-selftest.XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) return {"the same seed gives the same bytes", false, "no temporary folder"};
  const fs::path folder = pattern;
  const absl::Status saved = first.Save((folder / "a").string());
  const absl::Status again = second.Save((folder / "b").string());
  bool same = saved.ok() && again.ok();
  size_t bytes = 0;
  for (const char* name : {"detector_state.json", "detector.safetensors"}) {
    const std::string text = FileText(folder / "a" / name);
    same = same && !text.empty() && text == FileText(folder / "b" / name);
    bytes += text.size();
  }
  const absl::StatusOr<detector::Detector> loaded = detector::Detector::Load((folder / "a").string());
  std::error_code error;
  fs::remove_all(folder, error);
  if (!loaded.ok()) return {"a saved detector loads", false, std::string(loaded.status().message())};
  return {"the same seed gives the same bytes", same, artifact::Cat(bytes, " bytes, written twice and loaded")};
}

// What will compute: no GPU is no failure, a module that answers nonsense would be.
Check Devices() {
  const kernels::device::CudaProbe probe = kernels::device::ProbeCuda(ProgramBeside("libdriftseal_cuda.so"));
  std::string detail = artifact::Cat(Threads({}), " CPU threads; GPU: ");
  if (probe.devices.empty()) return {"devices", true, artifact::Cat(detail, "none (", probe.remark, ")")};
  for (const kernels::device::CudaDevice& device : probe.devices) {
    detail += artifact::Cat(device.name, " (sm_", device.compute_capability, ", ", device.memory_bytes >> 30, " GiB) ");
  }
  return {"devices", true, detail};
}

// The median column moved far out, in every column that is there.
Check FindsOutlier(const detector::Detector& detector, const Subjects& subjects) {
  const std::string name = "a row far from its family stands out";
  const detector::Sample* sample = nullptr;
  for (const auto& family : detector.families()) {
    if (!family.own_detector) continue;
    for (const detector::Sample& candidate : subjects.samples) {
      if (candidate.family == family.key) sample = &candidate;
    }
  }
  if (sample == nullptr) return {name, false, "no family has a detector of its own"};
  std::vector<double> moved = sample->values;
  for (size_t i = 0; i < moved.size(); i += 2) moved[i] = 3 * moved[i] + 10;
  const absl::StatusOr<detector::Score> near = detector.ScoreRow(sample->values, sample->family);
  const absl::StatusOr<detector::Score> far = detector.ScoreRow(moved, sample->family);
  if (!near.ok() || !far.ok()) return {name, false, std::string((near.ok() ? far : near).status().message())};
  return {name, far->combined > 2 * std::max(near->combined, 1.0),
          absl::StrFormat("%.2f against %.2f", far->combined, near->combined)};
}

Check FewAlarms(const detector::Detector& detector, const Subjects& subjects) {
  size_t scored = 0, flagged = 0;
  for (const detector::Sample& sample : subjects.samples) {
    const absl::StatusOr<detector::Score> score = detector.ScoreRow(sample.values, sample.family);
    if (!score.ok() || !score->p_value) continue;
    ++scored;
    flagged += *score->p_value <= 0.05;
  }
  return {"few of its own models are flagged at α = 5 %", scored > 0 && 10 * flagged <= scored,
          artifact::Cat(flagged, " of ", scored)};
}

std::vector<Check> Checks(const Arguments& arguments, const Subjects& subjects) {
  std::vector<Check> checks = {Devices(), KnownDigest()};
  const std::string replay = ProgramBeside("driftseal-replay");
  std::error_code error;
  checks.push_back({"driftseal-replay is installed", fs::exists(replay, error), "beside driftseal"});
  detector::FitOptions options;
  options.uses = screen::ModelColumnUses();
  options.replay_program = replay;
  options.threads = Threads(arguments);
  const absl::StatusOr<detector::Detector> first =
      detector::Detector::Fit(screen::ModelSchemaId(), subjects.samples, options);
  checks.push_back(
      {"a detector can be fitted", first.ok(), first.ok() ? subjects.origin : std::string(first.status().message())});
  if (!first.ok()) return checks;
  std::vector<detector::Sample> reversed(subjects.samples.rbegin(), subjects.samples.rend());
  const absl::StatusOr<detector::Detector> second = detector::Detector::Fit(screen::ModelSchemaId(), reversed, options);
  if (second.ok()) checks.push_back(SameBytes(*first, *second));
  checks.push_back(FewAlarms(*first, subjects));
  checks.push_back(FindsOutlier(*first, subjects));
  return checks;
}

}  // namespace

int SelfTest(const Arguments& arguments) {
  const absl::StatusOr<Subjects> subjects = FindModels(arguments);
  if (!subjects.ok()) return Fail(subjects.status());
  const std::vector<Check> checks = Checks(arguments, *subjects);
  bool ok = true;
  Table table({"CHECK", "OUTCOME", "DETAIL"});
  nlohmann::ordered_json json = {{"format", "driftseal-selftest/1"}, {"checks", nlohmann::ordered_json::array()}};
  for (const Check& check : checks) {
    ok = ok && check.ok;
    table.Add({check.name, check.ok ? "ok" : "failed", check.detail});
    json["checks"].push_back({{"name", check.name}, {"ok", check.ok}, {"detail", check.detail}});
  }
  if (arguments.json) {
    std::printf("%s\n", screen::Dump(json, 2).c_str());
  } else {
    table.Print(1);
  }
  return ok ? 0 : 3;
}

}  // namespace driftseal::app
