#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "gpu_check_bench.h"

namespace driftseal::kernels::gpu_check {
namespace {

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return quoted + "\"";
}

}  // namespace

void Bench::ReadPeers(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  double best = 0;
  while (std::getline(in, line)) {
    const size_t tab = line.find('\t');
    if (tab == std::string::npos) continue;
    const std::string name = line.substr(0, tab);
    const double rate = std::strtod(line.c_str() + tab + 1, nullptr);
    if (name.find("seconds") != std::string::npos) {
      lines_.push_back({"peer: " + name, "s", rate, 0, false, ""});
      if (fit_seconds_ > 0) {
        lines_.push_back({"svm fit against libsvm on one core", "x", rate / fit_seconds_, 0, false,
                          "20 x of 16 cores that scale perfectly would be 320"});
      }
      continue;
    }
    peers_[name] = rate;
    lines_.push_back({"peer: " + name, "G rows/s", rate * 1e-9, 0, false, ""});
    if (name.find("forest") != std::string::npos) best = std::max(best, rate);
  }
  if (best > 0) {
    lines_.push_back(
        {"forest, 100 trees x 64 features, against PyTorch's best", "x", forest_rate_ / best, 10, false, ""});
  }
}

void Bench::Print() const {
  std::printf("\n%-58s %12s %10s  %-14s %s\n", "measured", "", "target", "", "");
  for (const Line& line : lines_) {
    char target[32] = "";
    if (line.target > 0) std::snprintf(target, sizeof(target), "%s %.4g", line.at_most ? "<=" : ">=", line.target);
    const char* met = line.target > 0 ? (line.met() ? "met" : "MISSED") : "";
    std::printf("%-58s %12.4g %10s  %-14s %s%s%s\n", line.name.c_str(), line.measured, target, line.unit.c_str(), met,
                *met != '\0' && !line.note.empty() ? "; " : "", line.note.c_str());
  }
}

bool Bench::Save(const std::string& path, const std::vector<ParityResult>& parity) const {
  std::ofstream out(path);
  out.precision(6);
  out << "{\"device\": " << Quoted(device_.name) << ",\n \"compute_capability\": " << device_.compute_capability
      << ",\n \"parity\": [";
  for (size_t i = 0; i < parity.size(); ++i) {
    out << (i > 0 ? ",\n  " : "\n  ") << "{\"name\": " << Quoted(parity[i].name) << ", \"cases\": " << parity[i].cases
        << ", \"rows\": " << parity[i].rows << ", \"largest_error_of_bound\": " << parity[i].largest
        << ", \"passed\": " << (parity[i].passed() ? "true" : "false") << "}";
  }
  out << "],\n \"measured\": [";
  for (size_t i = 0; i < lines_.size(); ++i) {
    const Line& line = lines_[i];
    out << (i > 0 ? ",\n  " : "\n  ") << "{\"name\": " << Quoted(line.name) << ", \"value\": " << line.measured
        << ", \"unit\": " << Quoted(line.unit) << ", \"note\": " << Quoted(line.note);
    if (line.target > 0) out << ", \"target\": " << line.target << ", \"met\": " << (line.met() ? "true" : "false");
    out << "}";
  }
  out << "]}\n";
  out.flush();
  if (!out) std::fprintf(stderr, "%s: cannot be written\n", path.c_str());
  return static_cast<bool>(out);
}

}  // namespace driftseal::kernels::gpu_check
