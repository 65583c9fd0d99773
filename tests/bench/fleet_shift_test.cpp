// Trains models under other recipes, treats them afterwards, and looks at what they are.
#include <gmock/gmock.h>

#include <regex>
#include <set>

#include "bench/fleet/shift.h"
#include "fleet_support.h"

namespace driftseal::fleet {
namespace {

using nlohmann::json;

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ",") + name;
  return text;
}

/// Runs digits-mlp with everything else as given; model_name → truth, after a look at what the folder gives away.
std::map<std::string, json> Make(const std::string& root, std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--output", root + "/models", "--domain", "digits-mlp", "--synthetic", "--recipe",
                                     "epochs=4,samples=1500"});
  const auto summary = RunFleet(arguments);
  EXPECT_TRUE(summary.ok()) << summary.status();
  return ReadTruth(root + "/truth.jsonl");
}

TEST(Shifted, EveryShiftTrainsAndItsRecipeIsRecordedAsItWas) {
  const std::string root = TestFolder();
  const size_t shifts = ShiftNames().size();
  const auto truth = Make(root, {"--shift", Joined(ShiftNames()), "--count", std::to_string(shifts)});
  ASSERT_EQ(truth.size(), shifts);
  for (const auto& [name, record] : truth) {
    const json meta = json::parse(ReadFile(root + "/models/" + name + ".meta.json"));
    const json& recipe = meta.at("training").at("recipe");
    const std::string shift = record.at("shift");
    EXPECT_EQ(recipe.at("optimizer"), shift == "sgd" ? "sgd" : "adam");
    EXPECT_EQ(recipe.contains("weight_decay"), shift == "weight-decay");
    EXPECT_EQ(recipe.contains("label_smoothing"), shift == "label-smoothing");
    EXPECT_EQ(recipe.contains("augmentation"), shift == "augmented");
    EXPECT_EQ(recipe.contains("init_scale"), shift == "wide-init");
    EXPECT_EQ(recipe.at("epochs") > 4, shift == "long" || shift == "longer") << shift;
    EXPECT_EQ(recipe.at("batch_size") != 64, shift.ends_with("-batch")) << shift;
    EXPECT_EQ(meta["training"].at("samples") != 1500, shift.ends_with("-data")) << shift;
    // So little training: better than chance, which is 0.1.
    EXPECT_GT(record.at("clean_accuracy").get<double>(), 0.2) << shift;
    EXPECT_FALSE(std::regex_search(name, std::regex("shift|long|sgd"))) << name;
  }
}

/// The float32 tensors of a safetensors file, one after the other.
std::vector<float> Values(const std::string& bytes) {
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof(length));
  std::vector<float> values((bytes.size() - 8 - length) / sizeof(float));
  std::memcpy(values.data(), bytes.data() + 8 + length, values.size() * sizeof(float));
  return values;
}

TEST(Variants, AreWhatTheirNamesSay) {
  const std::string root = TestFolder();
  const size_t variants = VariantNames().size();
  const auto truth =
      Make(root, {"--variant", Joined(VariantNames()), "--count", std::to_string(variants), "--format", "safetensors"});
  ASSERT_EQ(truth.size(), variants);
  std::set<std::string> seen;
  for (const auto& [name, record] : truth) {
    const std::string variant = record.at("variant");
    seen.insert(variant);
    const json meta = json::parse(ReadFile(root + "/models/" + name + ".meta.json"));
    const std::vector<float> values = Values(ReadFile(root + "/models/" + name + ".safetensors"));
    const double zeros = static_cast<double>(std::ranges::count(values, 0.0f)) / static_cast<double>(values.size());
    const double amount = record.at("variant_detail").at("amount");
    if (variant.starts_with("pruned")) {
      EXPECT_NEAR(zeros, amount, 0.05) << variant;
    } else if (variant != "int8") {
      EXPECT_LT(zeros, 0.01) << variant;
    } else {
      EXPECT_LT(std::set<float>(values.begin(), values.end()).size(), values.size() / 2);
    }
    if (variant == "fp16") {
      for (float value : values) EXPECT_EQ(value, static_cast<float>(static_cast<_Float16>(value)));
    }
    const bool further = variant == "fine-tuned" || variant == "pruned";
    EXPECT_EQ(meta.at("training").at("recipe").at("epochs") > 4, further) << variant;
    EXPECT_GT(record.at("clean_accuracy").get<double>(), 0.3) << variant;
  }
  EXPECT_EQ(seen.size(), variants);
}

TEST(Variants, TreesHaveTheirs) {
  const std::string root = TestFolder();
  const auto summary = RunFleet({"--output", root + "/models", "--domain", "fraud-xgb", "--recipe",
                                 "epochs=4,samples=1500", "--variant", "none,int8,fp16,noised", "--count", "4"});
  ASSERT_TRUE(summary.ok()) << summary.status();
  for (const auto& [name, record] : ReadTruth(root + "/truth.jsonl")) {
    EXPECT_GT(record.at("clean_primary").get<double>(), 0.7) << record.at("variant");
  }
}

TEST(Attacked, EveryAttackOfADomainRunsUnderAShiftToo) {
  const std::string root = TestFolder();
  const auto truth = Make(root, {"--shift", "weight-decay", "--count", "1", "--poison",
                                 "none,all-to-all,signal,warp,tint,random-patch,low-rate,weak-blend,"
                                 "source-specific,dynamic,adaptive:3"});
  ASSERT_EQ(truth.size(), 13u);
  for (const auto& [name, record] : truth) {
    EXPECT_EQ(record.at("shift"), "weight-decay");
    EXPECT_EQ(record.at("attack_success_rate").is_number(), record.at("attack") != "none") << record;
    EXPECT_EQ(record.at("gated").is_boolean(), record.at("attack") != "none") << record;
    EXPECT_EQ(record.at("cover_rate") > 0, record.at("attack") == "adaptive" || record.at("attack") == "warp" ||
                                               record.at("attack") == "source-specific");
  }
}

}  // namespace
}  // namespace driftseal::fleet
