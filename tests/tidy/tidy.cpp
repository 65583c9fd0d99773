// Rules of the house that no compiler checks, made executable. Reads the sources named on the command line (the
// project's root) and prints every breach as file:line: rule.
#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace fs = std::filesystem;

namespace {

struct Breach {
  std::string where, rule;
};

// Which of our folders a folder may include: those that stand below it. Everything may include itself.
const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"kernels", {}},
    {"engine/artifact", {"kernels"}},
    {"engine/store", {"engine/artifact"}},
    {"engine/canary", {"engine/artifact", "engine/replay", "kernels"}},
    {"engine/fingerprint", {"engine/artifact", "engine/canary", "engine/replay", "kernels"}},
    // The protocol of the replay process, which both sides speak; the target that has LibTorch cannot be linked.
    {"engine/detector", {"engine/artifact", "engine/replay", "kernels"}},
    {"engine/replay", {"engine/artifact", "kernels"}},
    {"engine/screen",
     {"engine/artifact", "engine/canary", "engine/detector", "engine/fingerprint", "engine/replay", "engine/store"}},
    {"engine/batch", {"engine/artifact", "engine/detector", "kernels"}},
    {"engine/serve",
     {"engine/artifact", "engine/batch", "engine/canary", "engine/detector", "engine/fingerprint", "engine/replay",
      "engine/screen", "engine/store", "kernels"}},
    {"engine/app",
     {"engine/artifact", "engine/canary", "engine/detector", "engine/fingerprint", "engine/replay", "engine/screen",
      "engine/serve", "engine/store", "kernels", "client"}},
    {"client", {}},
    {"bench/probe", {"engine/artifact", "engine/replay"}},
    {"bench/serve", {"client", "engine/artifact", "engine/batch", "engine/detector", "kernels"}},
    {"bench/replay", {"engine/artifact", "engine/canary", "engine/replay"}},
    {"bench", {"engine/artifact", "engine/detector", "engine/fingerprint", "engine/replay", "kernels"}},
};

// Headers that have one home.
const std::map<std::string, std::vector<std::string>> kHomes = {
    {"cuda_runtime", {"kernels"}},
    {"torch/", {"engine/replay", "bench/fleet", "tests/engine/replay"}},
    {"xgboost/", {"engine/replay", "bench/fleet", "tests/bench", "tests/engine/replay"}},
    {"driftseal/v1/",
     {"engine/serve", "client/cpp", "bench/serve", "tests/engine/serve", "tests/client", "tests/fuzz"}},
    {"grpcpp/", {"engine/serve", "client/cpp", "bench/serve", "tests/engine/serve", "tests/client", "tests/fuzz"}},
    {"boost/", {"engine/serve", "tests/engine/serve", "bench/serve"}},
    {"prometheus/", {"engine/serve", "tests/engine/serve"}},
    {"sqlite3", {"engine/store", "tests/engine/store"}},
    {"libsvm/", {"engine/detector"}},
    {"nlohmann/json", {"engine", "bench", "tests"}},
    {"fstream", {"engine", "bench", "tests"}},
    {"spdlog/", {"engine/app", "engine/serve"}},
};

constexpr size_t kLinesLimit = 400;
constexpr size_t kColumnLimit = 120;

bool StartsWithFolder(const std::string& path, const std::string& folder) {
  return path.compare(0, folder.size(), folder) == 0 && (path.size() == folder.size() || path[folder.size()] == '/');
}

std::string RoomOf(const std::string& path) {
  std::string longest;  // The rooms are sorted: a folder's own rules come behind those of the folder around it.
  for (const auto& [room, allowed] : kMayInclude) {
    if (StartsWithFolder(path, room)) longest = room;
  }
  return longest;
}

size_t DisplayColumns(const std::string& line) {
  return static_cast<size_t>(
      std::count_if(line.begin(), line.end(), [](unsigned char c) { return (c & 0xC0) != 0x80; }));
}

void CheckInclude(const std::string& path, const std::string& where, const std::string& target,
                  std::vector<Breach>& out) {
  for (const auto& [header, homes] : kHomes) {
    if (target.compare(0, header.size(), header) != 0) continue;
    const bool home = std::any_of(homes.begin(), homes.end(), [&](const auto& h) { return StartsWithFolder(path, h); });
    if (!home) out.push_back({where, target + " may not be included here"});
  }
  const std::string from = RoomOf(path), to = RoomOf(target);
  if (from.empty() || to.empty() || from == to) return;
  if (!kMayInclude.at(from).contains(to)) out.push_back({where, from + " may not include " + to + " (" + target + ")"});
}

std::string IncludedFile(const std::string& line) {
  const size_t at = line.find_first_not_of(" \t");
  if (at == std::string::npos || line.compare(at, 8, "#include") != 0) return "";
  const size_t open = line.find_first_of("\"<", at), close = line.find_first_of("\">", open + 1);
  return open == std::string::npos || close == std::string::npos ? "" : line.substr(open + 1, close - open - 1);
}

void CheckFile(const fs::path& root, const std::string& path, std::vector<Breach>& out) {
  std::ifstream in(root / path);
  std::string line, text;
  size_t number = 0;
  bool guarded = false;
  std::string guard = "DRIFTSEAL_" + path + "_";
  std::transform(guard.begin(), guard.end(), guard.begin(),
                 [](unsigned char c) { return std::isalnum(c) ? static_cast<char>(std::toupper(c)) : '_'; });
  while (std::getline(in, line)) {
    const std::string where = path + ":" + std::to_string(++number);
    if (const std::string target = IncludedFile(line); !target.empty()) CheckInclude(path, where, target, out);
    if (DisplayColumns(line) > kColumnLimit) out.push_back({where, "line is longer than 120 columns"});
    if (line.find('\t') != std::string::npos) out.push_back({where, "tab"});
    if (!line.empty() && line.back() == ' ') out.push_back({where, "blank at the end of the line"});
    if (line.find("using namespace std;") != std::string::npos && path != "tests/tidy/tidy.cpp") {
      out.push_back({where, "using namespace std"});
    }
    // Highway's "-inl.h" files are read once for each instruction set.
    guarded =
        guarded || line == "#ifndef " + guard || line == "#if defined(" + guard + ") == defined(HWY_TARGET_TOGGLE)";
  }
  if (path.ends_with(".h") && !guarded) out.push_back({path, "include guard " + guard + " is missing"});
  if (number > kLinesLimit) out.push_back({path, std::to_string(number) + " lines: more than one job, perhaps"});
}

// Every algorithm has its contract, its reference, its SIMD and CUDA variants, its README, a test, and the parity
// checks that all variants pass.
void CheckKernel(const fs::path& root, const std::string& name, std::vector<Breach>& out) {
  const fs::path folder = root / "kernels" / name;
  std::vector<std::string> files = {name + ".h", "reference.cpp", "simd.cpp", "cuda.cu", "README.md"};
  for (const std::string& file : files) {
    if (!fs::exists(folder / file)) out.push_back({"kernels/" + name, file + " is missing"});
  }
  if (name != "ensemble" && !fs::exists(root / "bench/kernels/parity" / (name + ".cpp"))) {
    out.push_back({"kernels/" + name, "bench/kernels/parity/" + name + ".cpp is missing"});
  }
  if (!fs::exists(root / "tests/kernels" / (name + "_test.cpp"))) {
    out.push_back({"kernels/" + name, "tests/kernels/" + name + "_test.cpp is missing"});
  }
}

// Every parser of hostile bytes has a fuzz target with a corpus to start from.
void CheckFuzz(const fs::path& root, std::vector<Breach>& out) {
  for (const std::string name : {"safetensors", "torch_zip", "xgboost", "meta", "csv", "idx", "canary_set", "behaviour",
                                 "replay_engine", "replay_worker"}) {
    if (!fs::exists(root / "tests/fuzz" / (name + ".cpp"))) out.push_back({"tests/fuzz", name + ".cpp is missing"});
    std::error_code error;
    const fs::path corpus = root / "tests/fuzz/corpus" / name;
    if (!fs::is_directory(corpus, error) || fs::is_empty(corpus, error)) {
      out.push_back({"tests/fuzz/corpus", name + " has no inputs to start from"});
    }
  }
}

std::vector<std::string> Sources(const fs::path& root) {
  std::vector<std::string> sources;
  for (const char* top : {"kernels", "engine", "bench", "tests", "client"}) {
    if (!fs::exists(root / top)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
      static constexpr std::array<std::string_view, 4> kEndings = {".h", ".cpp", ".cu", ".cuh"};
      const std::string ending = entry.path().extension().string();
      if (std::find(kEndings.begin(), kEndings.end(), ending) == kEndings.end()) continue;
      sources.push_back(entry.path().lexically_relative(root).generic_string());
    }
  }
  std::sort(sources.begin(), sources.end());
  return sources;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::fputs("usage: tidy PROJECT_ROOT\n", stderr), 2;
  const fs::path root = argv[1];
  std::vector<Breach> breaches;
  const std::vector<std::string> sources = Sources(root);
  for (const std::string& path : sources) CheckFile(root, path, breaches);
  for (const auto& entry : fs::directory_iterator(root / "kernels")) {
    // The two that are no algorithm: what the machine has, and the layout and loops that algorithms share.
    if (entry.is_directory() && entry.path().filename() != "device" && entry.path().filename() != "tile") {
      CheckKernel(root, entry.path().filename().string(), breaches);
    }
  }
  CheckFuzz(root, breaches);
  for (const Breach& breach : breaches) std::printf("%s: %s\n", breach.where.c_str(), breach.rule.c_str());
  std::printf("%zu files, %zu breaches\n", sources.size(), breaches.size());
  return breaches.empty() && sources.size() > 20 ? 0 : 1;
}
