// What the replay process says of a model is believed only as far as it can be checked.
#include "engine/replay/protocol/behaviour.h"

#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace driftseal::replay {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr size_t kInputs = 3, kClasses = 4, kTriggers = 2;

std::vector<float> Ramp(size_t size) {
  std::vector<float> values(size);
  for (size_t i = 0; i < size; ++i) values[i] = static_cast<float>(i) / static_cast<float>(size);
  return values;
}

RawBehaviour Whole() {
  RawBehaviour b;
  b.inputs = kInputs;
  b.classes = kClasses;
  b.probabilities = true;
  b.logits = Ramp(kInputs * kClasses);
  b.triggers = {{"patch", "patch 2x2 0.9 at 0,0"}, {"warp", "warp 1 by 0.8"}};
  b.sweep = b.shift = Ramp(kTriggers * kClasses);
  b.flips = b.mapped = Ramp(kTriggers);
  b.pair_local = b.pair_other = Ramp(kClasses * kClasses);
  b.perturbation_rate = {Ramp(kClasses), Ramp(kClasses)};
  b.perturbation_logit = {Ramp(kClasses), {-1, -2, -3, -4}};
  b.patch_rate = b.patch_logit = Ramp(kClasses);
  b.patch_place = {0, 1, 2, 3, 1, 0, 2, 2};
  b.margin = Ramp(kClasses * 5);
  b.noise_share = b.noise_logit = Ramp(kClasses);
  b.noise_margin = {1, 2, 3};
  b.head_share = b.head_logit = Ramp(kClasses);
  b.picture = {"search: patch 2x2 at 0,1", 2, 0.5f, Ramp(12), Ramp(12)};
  b.lacking = {{"head", "no layer's weight has 4 rows"}};
  b.cost_ms = {{"sweep", 41.25f}, {"patch", 0}};
  return b;
}

TEST(BehaviourTest, RoundTrip) {
  const RawBehaviour b = Whole();
  const auto payload = EncodeBehaviour(b);
  ASSERT_TRUE(payload.ok()) << payload.status();
  const auto again = DecodeBehaviour(*payload, SmallSet());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->inputs, b.inputs);
  EXPECT_EQ(again->classes, b.classes);
  EXPECT_EQ(again->probabilities, b.probabilities);
  EXPECT_EQ(again->logits, b.logits);
  EXPECT_EQ(again->sweep, b.sweep);
  EXPECT_EQ(again->shift, b.shift);
  EXPECT_EQ(again->flips, b.flips);
  EXPECT_EQ(again->mapped, b.mapped);
  EXPECT_EQ(again->pair_local, b.pair_local);
  EXPECT_EQ(again->pair_other, b.pair_other);
  EXPECT_EQ(again->perturbation_rate, b.perturbation_rate);
  EXPECT_EQ(again->perturbation_logit, b.perturbation_logit);
  EXPECT_EQ(again->patch_rate, b.patch_rate);
  EXPECT_EQ(again->patch_logit, b.patch_logit);
  EXPECT_EQ(again->patch_place, b.patch_place);
  EXPECT_EQ(again->margin, b.margin);
  EXPECT_EQ(again->noise_share, b.noise_share);
  EXPECT_EQ(again->noise_logit, b.noise_logit);
  EXPECT_EQ(again->noise_margin, b.noise_margin);
  EXPECT_EQ(again->head_share, b.head_share);
  EXPECT_EQ(again->head_logit, b.head_logit);
  ASSERT_EQ(again->triggers.size(), 2u);
  EXPECT_EQ(again->triggers[1].group, "warp");
  EXPECT_EQ(again->triggers[1].text, "warp 1 by 0.8");
  ASSERT_EQ(again->lacking.size(), 1u);
  EXPECT_EQ(again->lacking[0].part, "head");
  EXPECT_EQ(again->lacking[0].reason, b.lacking[0].reason);
  EXPECT_EQ(again->cost_ms, b.cost_ms);
  ASSERT_TRUE(again->picture.has_value());
  EXPECT_EQ(again->picture->trigger, b.picture->trigger);
  EXPECT_EQ(again->picture->target, 2u);
  EXPECT_EQ(again->picture->share, 0.5f);
  EXPECT_EQ(again->picture->clean, b.picture->clean);
  EXPECT_EQ(again->picture->triggered, b.picture->triggered);
}

TEST(BehaviourTest, PartsMayBeMissing) {
  RawBehaviour b;
  b.inputs = kInputs;
  b.classes = kClasses;
  b.logits = Ramp(kInputs * kClasses);
  const auto again = DecodeBehaviour(EncodeBehaviour(b).value(), SmallSet());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->sweep.empty() && again->triggers.empty() && again->margin.empty() && !again->picture);
}

TEST(BehaviourTest, TextOfTheModelsOwnIsCleaned) {
  RawBehaviour b = Whole();
  b.lacking = {{"head", "\x1b[31m\xff" + std::string(5000, 'x')}};
  const auto again = DecodeBehaviour(EncodeBehaviour(b).value(), SmallSet());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_THAT(again->lacking[0].reason, ::testing::StartsWith("?[31m?xxx"));
  EXPECT_LT(again->lacking[0].reason.size(), 1000u);
}

/// A wrong behaviour is refused by the reader, or cannot even be written.
void ExpectRefused(const RawBehaviour& b, const std::string& text) {
  const auto payload = EncodeBehaviour(b);
  const absl::Status status = payload.ok() ? DecodeBehaviour(*payload, SmallSet()).status() : payload.status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
  EXPECT_THAT(std::string(status.message()), HasSubstr(text));
}

struct VectorField {
  std::string name;
  std::function<std::vector<float>&(RawBehaviour&)> get;
  bool share;
};
using Values = std::vector<float>&;
const std::vector<VectorField> kVectors = {
    {"logits", [](RawBehaviour& b) -> Values { return b.logits; }, false},
    {"sweep", [](RawBehaviour& b) -> Values { return b.sweep; }, true},
    {"shift", [](RawBehaviour& b) -> Values { return b.shift; }, false},
    {"flips", [](RawBehaviour& b) -> Values { return b.flips; }, true},
    {"mapped", [](RawBehaviour& b) -> Values { return b.mapped; }, true},
    {"pair_local", [](RawBehaviour& b) -> Values { return b.pair_local; }, true},
    {"pair_other", [](RawBehaviour& b) -> Values { return b.pair_other; }, true},
    {"perturbation_rate.0", [](RawBehaviour& b) -> Values { return b.perturbation_rate[0]; }, true},
    {"perturbation_rate.1", [](RawBehaviour& b) -> Values { return b.perturbation_rate[1]; }, true},
    {"perturbation_logit.0", [](RawBehaviour& b) -> Values { return b.perturbation_logit[0]; }, false},
    {"perturbation_logit.1", [](RawBehaviour& b) -> Values { return b.perturbation_logit[1]; }, false},
    {"patch_rate", [](RawBehaviour& b) -> Values { return b.patch_rate; }, true},
    {"patch_logit", [](RawBehaviour& b) -> Values { return b.patch_logit; }, false},
    {"margin", [](RawBehaviour& b) -> Values { return b.margin; }, false},
    {"noise_share", [](RawBehaviour& b) -> Values { return b.noise_share; }, true},
    {"noise_logit", [](RawBehaviour& b) -> Values { return b.noise_logit; }, false},
    {"head_share", [](RawBehaviour& b) -> Values { return b.head_share; }, true},
    {"head_logit", [](RawBehaviour& b) -> Values { return b.head_logit; }, false},
    {"picture_clean", [](RawBehaviour& b) -> Values { return b.picture->clean; }, false},
    {"picture_triggered", [](RawBehaviour& b) -> Values { return b.picture->triggered; }, false}};

TEST(BehaviourTest, RefusesEveryWrongVector) {
  for (const VectorField& field : kVectors) {
    RawBehaviour longer = Whole();
    std::vector<float>& values = field.get(longer);
    values.resize(field.name == "margin" ? kClasses * 65 : 2 * values.size());
    ExpectRefused(longer, field.name);
    for (const float wrong : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      RawBehaviour b = Whole();
      field.get(b).back() = wrong;
      ExpectRefused(b, field.name);
    }
    for (const float wrong : {-0.01f, 1.01f}) {
      if (!field.share) continue;
      RawBehaviour b = Whole();
      field.get(b).front() = wrong;
      ExpectRefused(b, field.name + " has a share that is not within 0..1");
    }
  }
}

TEST(BehaviourTest, APartIsThereOrIsNot) {
  for (const VectorField& field : kVectors) {
    RawBehaviour b = Whole();
    field.get(b).clear();
    const std::string text = field.name == "logits"              ? "logits is missing"
                             : field.name.starts_with("picture") ? "has the wrong shape"
                                                                 : "lacks some of its tensors";
    if (field.name != "margin") ExpectRefused(b, text);
  }
  RawBehaviour b = Whole();
  b.patch_place.clear();
  ExpectRefused(b, "patch lacks some");
  b = Whole();
  b.sweep.clear();
  b.shift.clear();
  b.flips.clear();
  b.mapped.clear();
  ExpectRefused(b, "triggers stand without a sweep");
}

TEST(BehaviourTest, ManyClassesHaveNoPairs) {
  CanarySet set = SmallSet();
  set.classes = 0;
  for (auto& label : set.labels) label = 0;
  RawBehaviour b;
  b.inputs = kInputs;
  b.classes = kMostPairClasses + 1;
  b.logits = Ramp(b.inputs * b.classes);
  ASSERT_TRUE(DecodeBehaviour(EncodeBehaviour(b).value(), set).ok());
  b.pair_local = b.pair_other = Ramp(b.classes * b.classes);
  const auto payload = EncodeBehaviour(b);
  ASSERT_TRUE(payload.ok()) << payload.status();
  EXPECT_THAT(std::string(DecodeBehaviour(*payload, set).status().message()),
              HasSubstr("pair is there for 33 classes"));
}

TEST(BehaviourTest, RefusesEveryWrongHead) {
  const std::vector<std::pair<std::string, std::function<void(Json&)>>> wrongs = {
      {"inputs is 4", [](Json& head) { head["inputs"] = 4; }},
      {"inputs is", [](Json& head) { head["inputs"] = -3; }},
      {"inputs is", [](Json& head) { head["inputs"] = 4294967299; }},
      {"classes is 1,", [](Json& head) { head["classes"] = 1; }},
      {"classes is 1001", [](Json& head) { head["classes"] = 1001; }},
      {"classes is 5, the canary set has 4", [](Json& head) { head["classes"] = 5; }},
      {"metadata", [](Json& head) { head["probabilities"] = 1; }},
      {"metadata", [](Json& head) { head.erase("triggers"); }},
      {"has the group", [](Json& head) { head["triggers"][0]["group"] = "sticker"; }},
      {"triggers has a text", [](Json& head) { head["triggers"][0]["text"] = ""; }},
      {"triggers has a text", [](Json& head) { head["triggers"][0]["text"] = "a\nb"; }},
      {"triggers has a text", [](Json& head) { head["triggers"][0]["text"] = std::string(601, 'x'); }},
      {"triggers are too many", [](Json& head) { head["triggers"] = Json(Json::array_t(257, head["triggers"][0])); }},
      {"sweep has the wrong shape", [](Json& head) { head["triggers"].erase(1); }},
      {"lacking has a text", [](Json& head) { head["lacking"][0]["part"] = ""; }},
      {"lacking has a text", [](Json& head) { head["lacking"][0]["reason"] = "\x1b"; }},
      {"lacking has too many", [](Json& head) { head["lacking"] = Json(Json::array_t(33, head["lacking"][0])); }},
      {"cost_ms has a text", [](Json& head) { head["cost_ms"][0]["part"] = ""; }},
      {"cost_ms is not", [](Json& head) { head["cost_ms"][0]["ms"] = -1; }},
      {"cost_ms is not", [](Json& head) { head["cost_ms"][0]["ms"] = 1e300; }},
      {"cost_ms has too many", [](Json& head) { head["cost_ms"] = Json(Json::array_t(33, head["cost_ms"][0])); }},
      {"picture must both be there", [](Json& head) { head.erase("picture"); }},
      {"picture.trigger", [](Json& head) { head["picture"]["trigger"] = ""; }},
      {"picture.target", [](Json& head) { head["picture"]["target"] = 4; }},
      {"picture.share", [](Json& head) { head["picture"]["share"] = 1.5; }},
      {"metadata", [](Json& head) { head["picture"] = nullptr; }},
      {"metadata", [](Json& head) { head = Json::array(); }}};
  const std::string payload = EncodeBehaviour(Whole()).value();
  for (const auto& [text, spoil] : wrongs) {
    const auto edit = spoil;
    const std::string edited = EditFile(payload, [&](Json& header) { EditText(header, "behaviour", edit); });
    const auto behaviour = DecodeBehaviour(edited, SmallSet());
    EXPECT_EQ(behaviour.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(behaviour.status().message()), HasSubstr(text));
  }
}

TEST(BehaviourTest, RefusesEveryWrongFile) {
  const std::string payload = EncodeBehaviour(Whole()).value();
  const std::vector<std::pair<std::string, std::function<void(Json&)>>> wrongs = {
      {"metadata has no", [](Json& header) { header.erase("__metadata__"); }},
      {"metadata has no", [](Json& header) { header["__metadata__"]["format"] = "driftseal-behaviour/2"; }},
      {"metadata has no", [](Json& header) { header["__metadata__"].erase("behaviour"); }},
      {"metadata", [](Json& header) { header["__metadata__"]["behaviour"] = "{"; }},
      {"belongs to no field",
       [](Json& header) {
         header["extra"] = header["margin"];
         header.erase("margin");
       }},
      {"tensor flips is I32", [](Json& header) { header["flips"]["dtype"] = "I32"; }},
      {"tensor patch_place is F32", [](Json& header) { header["patch_place"]["dtype"] = "F32"; }},
      {"has 1 dimensions, expected 2", [](Json& header) { header["logits"]["shape"] = {kInputs * kClasses}; }},
      {"logits has the wrong shape",
       [](Json& header) {
         header["logits"]["shape"] = {kClasses, kInputs};
       }},
      {"patch_place has the wrong shape", [](Json& header) {
         header["patch_place"]["shape"] = {2, 4};
       }}};
  for (const auto& [text, spoil] : wrongs) {
    const auto behaviour = DecodeBehaviour(EditFile(payload, spoil), SmallSet());
    EXPECT_EQ(behaviour.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(behaviour.status().message()), HasSubstr(text));
  }
  for (const size_t size : {size_t{0}, size_t{7}, size_t{100}, payload.size() - 1}) {
    EXPECT_FALSE(DecodeBehaviour(std::string_view(payload).substr(0, size), SmallSet()).ok()) << size;
  }
}

TEST(BehaviourTest, PlacesLieInTheInput) {
  for (const auto& [index, value] : {std::pair{0u, 3u}, {1u, 4u}, {6u, 4294967295u}}) {
    RawBehaviour b = Whole();
    b.patch_place[index] = value;
    ExpectRefused(b, "patch_place lies outside");
  }
  CanarySet table = SmallSet();
  table.image.clear();
  table.shape = {12};
  RawBehaviour b = Whole();
  b.patch_place = {11, 0, 0, 0, 0, 0, 0, 0};
  EXPECT_TRUE(DecodeBehaviour(EncodeBehaviour(b).value(), table).ok());
  b.patch_place[1] = 1;
  EXPECT_THAT(DecodeBehaviour(EncodeBehaviour(b).value(), table).status().ToString(), HasSubstr("patch_place lies"));
}

}  // namespace
}  // namespace driftseal::replay
