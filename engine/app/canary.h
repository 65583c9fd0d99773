#ifndef DRIFTSEAL_ENGINE_APP_CANARY_H_
#define DRIFTSEAL_ENGINE_APP_CANARY_H_

#include <optional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "engine/app/arguments.h"
#include "engine/canary/references.h"

// The commands that make canaries.
namespace driftseal::app {

/// Add `materialize_canary`, `materialize_canary_all` and `make_canary_set` with their flags; when one is run, its exit
/// code goes to `code`.
void AddCanaryCommands(CLI::App& app, Arguments& arguments, int& code);

/// What data a user gave, and how it is to be read.
struct DataFlags {
  std::string data, labels, label_column;
  std::string name, domain, task;
  size_t count = 400;
  std::string shape, image;  ///< "1,28,28"
  bool table = false;
  std::optional<float> low, high;
};
/// "1,28,28" or "1x28x28" as sizes. InvalidArgument naming `flag`.
absl::StatusOr<std::vector<uint32_t>> SizesOf(const std::string& text, const std::string& flag);
/// References of --data: a canary set, safetensors, IDX (plain or gzip) or a CSV, told by content.
absl::StatusOr<canary::References> ReadReferences(const DataFlags& flags);

}  // namespace driftseal::app

#endif  // DRIFTSEAL_ENGINE_APP_CANARY_H_
