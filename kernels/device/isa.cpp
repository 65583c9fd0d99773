#include "kernels/device/isa.h"

#include <hwy/highway.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

namespace driftseal::kernels::device {
namespace {

struct Table {
  std::vector<std::string> names;
  std::vector<Isa> isas;

  Table() {
    // Highway numbers its targets so that the better one has the lower bit.
    std::vector<int64_t> targets;
    for (int64_t left = hwy::SupportedTargets() & HWY_TARGETS; left != 0; left &= left - 1)
      targets.push_back(left & -left);
    if (targets.empty()) targets.push_back(HWY_STATIC_TARGET);
    for (int64_t target : targets) {
      std::string name = hwy::TargetName(target);
      std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
      names.push_back(std::move(name));
    }
    for (size_t i = 0; i < targets.size(); ++i) isas.push_back({targets[i], names[i]});
  }
};

const Table& Isas() {
  static const Table table;
  return table;
}

}  // namespace

std::span<const Isa> SupportedIsas() { return Isas().isas; }

const Isa* FindIsa(std::string_view name) {
  const auto isas = SupportedIsas();
  const auto found = std::find_if(isas.begin(), isas.end(), [&](const Isa& isa) { return isa.name == name; });
  return found == isas.end() ? nullptr : &*found;
}

}  // namespace driftseal::kernels::device
