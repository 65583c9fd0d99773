#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "engine/replay/protocol/behaviour.h"
#include "files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace driftseal::replay {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(CanarySetTest, RoundTrip) {
  const CanarySet set = SmallSet();
  const auto file = EncodeCanarySet(set);
  ASSERT_TRUE(file.ok()) << file.status();
  const auto again = DecodeCanarySet(*file, "set.safetensors");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->name, set.name);
  EXPECT_EQ(again->domain, set.domain);
  EXPECT_EQ(again->task, set.task);
  EXPECT_EQ(again->shape, set.shape);
  EXPECT_EQ(again->image, set.image);
  EXPECT_EQ(again->classes, set.classes);
  EXPECT_EQ(again->low, set.low);
  EXPECT_EQ(again->high, set.high);
  EXPECT_EQ(again->inputs, set.inputs);
  EXPECT_EQ(again->labels, set.labels);
  EXPECT_EQ(again->elements(), 12u);
  EXPECT_EQ(again->count(), 3u);
  EXPECT_EQ(EncodeCanarySet(*again).value(), *file);
}

TEST(CanarySetTest, RefusesEveryWrongField) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinite = std::numeric_limits<float>::infinity();
  const std::vector<std::pair<std::string, std::function<void(CanarySet&)>>> wrongs = {
      {"name is not printable", [](CanarySet& set) { set.name = "a\nb"; }},
      {"domain is not printable", [](CanarySet& set) { set.domain = std::string(201, 'x'); }},
      {"task is not printable", [](CanarySet& set) { set.task = "\xc3\xa4"; }},
      {"shape must have", [](CanarySet& set) { set.shape.clear(); }},
      {"shape must have",
       [](CanarySet& set) {
         set.shape = {3, 0, 4};
       }},
      {"shape must have", [](CanarySet& set) { set.shape.assign(9, 1); }},
      {"shape must have",
       [](CanarySet& set) {
         set.shape = {1u << 31, 1u << 31, 4};
       }},
      {"image must be empty or", [](CanarySet& set) { set.image = {12}; }},
      {"image has another number",
       [](CanarySet& set) {
         set.image = {1, 3, 5};
       }},
      {"image has more than 64 channels",
       [](CanarySet& set) {
         set.image = set.shape = {65, 1, 1};
         set.inputs.assign(3 * 65, 0.5f);
       }},
      {"classes must be", [](CanarySet& set) { set.classes = 1; }},
      {"classes must be", [](CanarySet& set) { set.classes = 1001; }},
      {"low and high", [](CanarySet& set) { set.low = set.high; }},
      {"low and high", [=](CanarySet& set) { set.low = nan; }},
      {"low and high", [=](CanarySet& set) { set.high = infinite; }},
      {"labels: expected 1 to 4096", [](CanarySet& set) { set.labels.clear(); }},
      {"labels: expected 1 to 4096", [](CanarySet& set) { set.labels.assign(4097, 0); }},
      {"inputs has 35 elements, expected 3", [](CanarySet& set) { set.inputs.pop_back(); }},
      {"the limit is",
       [](CanarySet& set) {
         set.shape = {1u << 20};
         set.image = {};
         set.labels.assign(4096, 0);
       }},
      {"inputs: element 7 is not finite", [=](CanarySet& set) { set.inputs[7] = nan; }},
      {"inputs: element 7 is not finite", [=](CanarySet& set) { set.inputs[7] = infinite; }},
      {"inputs: element 7 lies outside", [](CanarySet& set) { set.inputs[7] = 1.01f; }},
      {"labels: element 1 is 4", [](CanarySet& set) { set.labels[1] = 4; }},
      {"labels: element 1 is -2", [](CanarySet& set) { set.labels[1] = -2; }}};
  for (const auto& [text, spoil] : wrongs) {
    CanarySet set = SmallSet();
    spoil(set);
    const absl::Status status = CheckCanarySet(set);
    EXPECT_EQ(status.code(), kInvalid) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(text));
    EXPECT_EQ(EncodeCanarySet(set).status(), status);
  }
}

TEST(CanarySetTest, TablesHaveNoCommonRange) {
  CanarySet set = SmallSet();
  set.image.clear();
  set.inputs[7] = -250;
  EXPECT_TRUE(CheckCanarySet(set).ok()) << CheckCanarySet(set);
}

TEST(CanarySetTest, RefusesEveryWrongFile) {
  const std::string file = EncodeCanarySet(SmallSet()).value();
  const std::vector<std::pair<std::string, std::function<void(Json&)>>> wrongs = {
      {"the metadata has no", [](Json& json) { json.erase("__metadata__"); }},
      {"the metadata has no", [](Json& json) { json["__metadata__"]["format"] = "driftseal-canary/2"; }},
      {"the metadata has no", [](Json& json) { json["__metadata__"].erase("set"); }},
      {"set: ", [](Json& json) { json["__metadata__"]["set"] = "{"; }},
      {"set: ", [](Json& json) { json["__metadata__"]["set"] = "[]"; }},
      {"shape must have", [](Json& json) { EditText(json, "set", [](Json& set) { set["shape"] = {0}; }); }},
      {"another shape", [](Json& json) { EditText(json, "set", [](Json& set) {
                                           set["shape"] = {1, 4, 3};
                                         }); }},
      {"has 4 dimensions, expected 2",
       [](Json& json) { EditText(json, "set", [](Json& set) { set["shape"] = {12}; }); }},
      {"set: ", [](Json& json) { EditText(json, "set", [](Json& set) { set["classes"] = "four"; }); }},
      {"there is no tensor labels",
       [](Json& json) {
         json["other"] = json["labels"];
         json.erase("labels");
       }},
      {"tensor inputs is I32", [](Json& json) { json["inputs"]["dtype"] = "I32"; }},
      {"tensor labels is F32", [](Json& json) { json["labels"]["dtype"] = "F32"; }}};
  for (const auto& [text, spoil] : wrongs) {
    const auto set = DecodeCanarySet(EditFile(file, spoil), "set.safetensors");
    EXPECT_EQ(set.status().code(), kInvalid) << text;
    EXPECT_THAT(std::string(set.status().message()), HasSubstr(text));
    EXPECT_THAT(std::string(set.status().message()), HasSubstr("set.safetensors"));
  }
  for (const size_t size : {size_t{0}, size_t{7}, size_t{100}, file.size() - 1}) {
    EXPECT_FALSE(DecodeCanarySet(std::string_view(file).substr(0, size), "set.safetensors").ok()) << size;
  }
}

TEST(ProbeOptionsTest, RoundTrip) {
  ProbeOptions options;
  options.patch = false;
  options.search_inputs = 77;
  const auto again = DecodeProbeOptions(EncodeProbeOptions(options));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(EncodeProbeOptions(*again), EncodeProbeOptions(options));
  EXPECT_FALSE(again->patch);
  EXPECT_TRUE(again->sweep && again->perturbation && again->margin && again->noise && again->head);
  EXPECT_EQ(again->search_inputs, 77u);
  EXPECT_TRUE(DecodeProbeOptions("{}").ok());
}

TEST(ProbeOptionsTest, RefusesWhatIsNoOption) {
  const std::vector<std::pair<std::string, std::string>> wrongs = {
      {"", "expected a JSON object"},
      {"[]", "expected a JSON object"},
      {"{", "expected a JSON object"},
      {R"({"sweep": 1})", "sweep must be true or false"},
      {R"({"head": null})", "head must be true or false"},
      {R"({"search_inputs": 0})", "search_inputs must be"},
      {R"({"search_inputs": 4097})", "search_inputs must be"},
      {R"({"search_inputs": -1})", "search_inputs must be"},
      {R"({"search_inputs": 1.5})", "search_inputs must be"},
      {R"({"search_inputs": true})", "search_inputs must be"},
      {R"({"sweeps": true})", "is no option"}};
  for (const auto& [json, text] : wrongs) {
    const auto options = DecodeProbeOptions(json);
    EXPECT_EQ(options.status().code(), kInvalid) << json;
    EXPECT_THAT(std::string(options.status().message()), HasSubstr(text));
  }
}

}  // namespace
}  // namespace driftseal::replay
