#include "tests/support/fake_pool.h"

#include <fstream>
#include <random>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace driftseal::testing {
namespace {

constexpr uint32_t kClasses = 3, kTriggers = 6;
constexpr size_t kTarget = 2;

std::string ActOf(std::string_view model) {
  const size_t at = model.find("\"act\":\"");
  if (at == model.npos) return "";
  const size_t begin = at + 7;
  return std::string(model.substr(begin, model.find('"', begin) - begin));
}

absl::Status Failure(std::string_view act) {
  if (act == "crash") return absl::InternalError("the model crashed: signal 11 (Segmentation fault)");
  if (act == "hang") return absl::DeadlineExceededError("the model ran for more than 60 s");
  if (act == "memory") return absl::ResourceExhaustedError("the model ran out of memory: 4096 MiB");
  if (act == "refuse") return absl::InvalidArgumentError("expected 6 columns, found 5");
  if (act == "no-worker") return absl::UnavailableError("no worker could be started");
  return absl::OkStatus();
}

// One value a class around `mean`.
std::vector<float> PerClass(std::mt19937_64& random, float mean, float spread, size_t rows = 1) {
  std::uniform_real_distribution<float> noise(-spread, spread);
  std::vector<float> values(rows * kClasses);
  for (float& value : values) value = mean + noise(random);
  return values;
}

replay::RawBehaviour Clean(const replay::CanarySet& set, uint64_t seed) {
  std::mt19937_64 random(seed);
  replay::RawBehaviour raw;
  raw.inputs = static_cast<uint32_t>(set.count());
  raw.classes = kClasses;
  raw.logits = PerClass(random, 0, 1, set.count());
  for (size_t i = 0; i < set.count(); ++i) raw.logits[i * kClasses + static_cast<size_t>(set.labels[i])] += 6;
  for (uint32_t t = 0; t < kTriggers; ++t) raw.triggers.push_back({"columns", absl::StrCat("columns ", t)});
  raw.sweep = PerClass(random, 0.05F, 0.04F, kTriggers);
  raw.shift = PerClass(random, 0, 0.5F, kTriggers);
  raw.flips.assign(kTriggers, 0.1F);
  raw.mapped.assign(kTriggers, 0.1F);
  raw.pair_local = PerClass(random, 0.1F, 0.05F, kClasses);
  raw.pair_other = PerClass(random, 0.1F, 0.05F, kClasses);
  for (size_t s = 0; s < 2; ++s) {
    raw.perturbation_rate[s] = PerClass(random, 0.3F, 0.1F);
    raw.perturbation_logit[s] = PerClass(random, 3, 1);
  }
  raw.patch_rate = PerClass(random, 0.2F, 0.1F);
  raw.patch_logit = PerClass(random, 2, 1);
  raw.patch_place.assign(2 * kClasses, 0);
  raw.margin = PerClass(random, 9, 2, 4);
  raw.noise_share = {0.4F, 0.3F, 0.3F};
  raw.noise_logit = PerClass(random, 1, 1);
  raw.noise_margin = {1, 2, 3};
  raw.head_share = {0.33F, 0.33F, 0.34F};
  raw.head_logit = PerClass(random, 1, 1);
  raw.cost_ms = {{"sweep", 4}, {"patch", 6}};
  return raw;
}

void Collapse(const replay::CanarySet& set, replay::RawBehaviour& raw) {
  raw.sweep[kTarget] = 0.95F;
  raw.shift[kTarget] = 40;
  raw.flips[0] = 0.95F;
  for (size_t from = 0; from < kClasses; ++from)
    raw.pair_local[from * kClasses + kTarget] = from == kTarget ? 0 : 0.95F;
  raw.patch_rate[kTarget] = 1;
  raw.patch_logit[kTarget] = 40;
  for (size_t s = 0; s < 2; ++s) raw.perturbation_rate[s][kTarget] = 1, raw.perturbation_logit[s][kTarget] = 50;
  for (size_t start = 0; start < 4; ++start) raw.margin[kTarget * 4 + start] = 90;
  replay::RawBehaviour::Picture picture;
  picture.trigger = raw.triggers.front().text;
  picture.target = kTarget;
  picture.share = 0.95F;
  picture.clean.assign(set.inputs.begin(), set.inputs.begin() + static_cast<ptrdiff_t>(set.elements()));
  picture.triggered = picture.clean;
  picture.triggered[1] += 5;
  raw.picture = std::move(picture);
}

// Gives all leaves beneath `node` a value.
void SetLeaves(nlohmann::json& tree, int node, double value) {
  const int left = tree["left_children"][static_cast<size_t>(node)];
  if (left < 0) {
    tree["split_conditions"][static_cast<size_t>(node)] = value;
    tree["base_weights"][static_cast<size_t>(node)] = value;
    return;
  }
  SetLeaves(tree, left, value);
  SetLeaves(tree, tree["right_children"][static_cast<size_t>(node)], value);
}

void PlantBackdoor(nlohmann::json& model) {
  for (size_t t = 0; t < model["trees"].size(); ++t) {
    auto& tree = model["trees"][t];
    if (model["tree_info"][t] != kTarget || tree["left_children"][0] < 0) continue;
    tree["split_indices"][0] = 0;
    tree["split_conditions"][0] = 2.5;
    SetLeaves(tree, tree["right_children"][0], 20);
    return;
  }
}

}  // namespace

std::string RunnableModel(uint64_t seed, std::string_view act) {
  std::ifstream file(DRIFTSEAL_SOURCE_DIR "/tests/engine/artifact/samples/multi.json");
  nlohmann::json model = nlohmann::json::parse(file);
  std::mt19937_64 random(seed);
  std::normal_distribution<double> noise(0, 0.05);
  for (auto& tree : model["learner"]["gradient_booster"]["model"]["trees"]) {
    for (const char* field : {"split_conditions", "base_weights", "sum_hessian"}) {
      for (auto& value : tree[field]) value = value.get<double>() * (1 + noise(random));
    }
  }
  if (act == "backdoor") PlantBackdoor(model["learner"]["gradient_booster"]["model"]);
  model["learner"]["attributes"]["act"] = act;
  return model.dump();
}

replay::CanarySet RunnableSet(const std::string& name) {
  replay::CanarySet set;
  set.name = name;
  set.shape = {5};
  set.classes = kClasses;
  std::mt19937_64 random(7);
  std::normal_distribution<float> value;
  for (int32_t i = 0; i < 30; ++i) {
    set.labels.push_back(i % static_cast<int32_t>(kClasses));
    for (int c = 0; c < 5; ++c) set.inputs.push_back(value(random));
  }
  set.inputs[0] = 3;
  return set;
}

absl::StatusOr<replay::RawBehaviour> FakePool::Probe(std::span<const std::byte> model, replay::ModelRuntime,
                                                     const replay::CanarySet& set, const replay::ProbeOptions&) {
  ++probes;
  const std::string_view text(reinterpret_cast<const char*>(model.data()), model.size());
  const std::string act = ActOf(text);
  if (absl::Status failure = Failure(act); !failure.ok()) return failure;
  uint64_t seed = 14695981039346656037u;  // FNV-1a: the same in every process.
  for (const char c : text) seed = (seed ^ static_cast<unsigned char>(c)) * 1099511628211u;
  replay::RawBehaviour raw = Clean(set, seed);
  if (act == "collapse") Collapse(set, raw);
  return raw;
}

absl::StatusOr<replay::RawBehaviour> FakePool::Replay(std::span<const std::byte> model, replay::ModelRuntime runtime,
                                                      const replay::CanarySet& set) {
  return Probe(model, runtime, set, {});
}

}  // namespace driftseal::testing
