#include <functional>
#include <nlohmann/json.hpp>

#include "fixtures.h"

namespace driftseal::artifact {
namespace {

using absl::StatusCode;
using Json = nlohmann::json;

// The structure of a file of XGBoost, its first tree made simple: one split, two leaves.
Json Simple() {
  Json model = Json::parse(Sample("binary.json"));
  Json& booster = model["learner"]["gradient_booster"]["model"];
  booster["trees"] = Json::array({booster["trees"][0]});
  booster["tree_info"] = {0};
  booster["gbtree_model_param"]["num_trees"] = "1";
  Json& tree = booster["trees"][0];
  tree["left_children"] = {1, -1, -1};
  tree["right_children"] = {2, -1, -1};
  tree["parents"] = {2147483647, 0, 0};
  tree["split_indices"] = {4, 0, 0};
  tree["split_conditions"] = {0.5, -1.5, 2.5};
  for (const char* field : {"default_left", "split_type", "loss_changes", "sum_hessian", "base_weights"})
    tree[field] = {0, 0, 0};
  tree["tree_param"]["num_nodes"] = "3";
  return model;
}

Json& Tree(Json& model) { return model["learner"]["gradient_booster"]["model"]["trees"][0]; }

absl::Status Read(const Json& model) { return ReadBytes(model.dump()).status(); }
absl::Status ReadAsUbj(const Json& model) {
  const std::vector<uint8_t> bytes = Json::to_ubjson(model);
  return ReadBytes(std::string(bytes.begin(), bytes.end())).status();
}

struct Case {
  const char* what;
  StatusCode code;
  const char* text;
  std::function<void(Json&)> change;
};

TEST(Xgboost, EveryFieldIsChecked) {
  const StatusCode invalid = StatusCode::kInvalidArgument;
  const Case cases[] = {
      {"cycle", invalid, "trees[0]",
       [](Json& m) {
         Tree(m)["left_children"] = {0, -1, -1};
         Tree(m).erase("parents");
       }},
      {"two parents", invalid, "two parents",
       [](Json& m) {
         Tree(m)["right_children"] = {1, -1, -1};
         Tree(m).erase("parents");
       }},
      {"child out of range", invalid, "has the child 3",
       [](Json& m) {
         Tree(m)["right_children"] = {3, -1, -1};
       }},
      {"negative child", invalid, "has the child -7",
       [](Json& m) {
         Tree(m)["left_children"] = {-7, -1, -1};
       }},
      {"right child only", invalid, "has a right child only",
       [](Json& m) {
         Tree(m)["right_children"] = {2, 1, -1};
       }},
      {"wrong parent", invalid, "parents[2] is 1",
       [](Json& m) {
         Tree(m)["parents"] = {2147483647, 0, 1};
       }},
      {"hidden nodes", invalid, "2 nodes are not reached",
       [](Json& m) {
         Tree(m)["left_children"] = {-1, -1, -1};
         Tree(m)["right_children"] = {-1, -1, -1};
       }},
      {"feature out of range", invalid, "split_indices[0] is 5",
       [](Json& m) {
         Tree(m)["split_indices"] = {5, 0, 0};
       }},
      {"lengths differ", invalid, "split_conditions has 2 entries",
       [](Json& m) {
         Tree(m)["split_conditions"] = {1, 2};
       }},
      {"no nodes", invalid, "at least one node", [](Json& m) { Tree(m)["left_children"] = Json::array(); }},
      {"field missing", invalid, "default_left has 0 entries", [](Json& m) { Tree(m).erase("default_left"); }},
      {"num_nodes", invalid, "num_nodes is 4", [](Json& m) { Tree(m)["tree_param"]["num_nodes"] = "4"; }},
      {"num_nodes no number", invalid, "num_nodes: expected a non-negative integer",
       [](Json& m) { Tree(m)["tree_param"]["num_nodes"] = "x"; }},
      {"fraction for a child", invalid, "left_children[0]: expected an integer",
       [](Json& m) {
         Tree(m)["left_children"] = {1.5, -1, -1};
       }},
      {"child beyond 32 bits", invalid, "left_children[0]: expected an integer",
       [](Json& m) {
         Tree(m)["left_children"] = {4294967297, -1, -1};
       }},
      {"threshold beyond float", invalid, "split_conditions[1]: expected a number that fits",
       [](Json& m) {
         Tree(m)["split_conditions"] = {1, 1e300, 1};
       }},
      {"string for a number", invalid, "split_conditions[0]: expected a number",
       [](Json& m) {
         Tree(m)["split_conditions"] = {"1", 1, 1};
       }},
      {"null for a number", invalid, "split_conditions[0]",
       [](Json& m) {
         Tree(m)["split_conditions"] = {nullptr, 1, 1};
       }},
      {"array for a number", invalid, "split_conditions[0]",
       [](Json& m) {
         Tree(m)["split_conditions"] = {{1}, 1, 1};
       }},
      {"object for an array", invalid, "expected an array",
       [](Json& m) { Tree(m)["split_conditions"] = Json::object(); }},
      {"number for a tree", invalid, "trees[0]",
       [](Json& m) { m["learner"]["gradient_booster"]["model"]["trees"] = {1}; }},
      {"array for the learner", invalid, "learner: expected an object",
       [](Json& m) {
         m["learner"] = {1, 2};
       }},
      {"tree_info too long", invalid, "tree_info has 2 entries",
       [](Json& m) {
         m["learner"]["gradient_booster"]["model"]["tree_info"] = {0, 0};
       }},
      {"tree_info out of range", invalid, "tree_info[0] is 1",
       [](Json& m) { m["learner"]["gradient_booster"]["model"]["tree_info"] = {1}; }},
      {"num_trees", invalid, "num_trees is 2",
       [](Json& m) { m["learner"]["gradient_booster"]["model"]["gbtree_model_param"]["num_trees"] = "2"; }},
      {"base_score infinite", invalid, "base_score: expected a finite",
       [](Json& m) { m["learner"]["learner_model_param"]["base_score"] = "inf"; }},
      {"base_score empty", invalid, "base_score: expected a finite",
       [](Json& m) { m["learner"]["learner_model_param"]["base_score"] = "[]"; }},
      {"base_score text", invalid, "base_score: expected a number",
       [](Json& m) { m["learner"]["learner_model_param"]["base_score"] = "[1,x]"; }},
      {"no features", invalid, "num_feature",
       [](Json& m) { m["learner"]["learner_model_param"].erase("num_feature"); }},
      {"negative features", invalid, "num_feature: expected a non-negative",
       [](Json& m) { m["learner"]["learner_model_param"]["num_feature"] = "-5"; }},
      {"no booster", invalid, "gradient_booster.name", [](Json& m) { m["learner"]["gradient_booster"].erase("name"); }},
      {"second model", invalid, "a second model",
       [](Json& m) {
         m["learner"]["gradient_booster"]["gbtree"]["model"] = m["learner"]["gradient_booster"]["model"];
       }},
      {"dart without weights", invalid, "weight_drop has 0 entries",
       [](Json& m) { m["learner"]["gradient_booster"]["name"] = "dart"; }},
      {"unknown booster", StatusCode::kUnimplemented, "\"gbforest\"",
       [](Json& m) { m["learner"]["gradient_booster"]["name"] = "gbforest"; }},
      {"deep nesting", invalid, "nests deeper",
       [](Json& m) {
         for (Json* at = &m["learner"]["attributes"]; m.dump().size() < 7000;) at = &((*at)["deeper_and_deeper"]);
       }},
  };
  ASSERT_THAT(Read(Simple()), IsOk());
  ASSERT_THAT(ReadAsUbj(Simple()), IsOk());
  for (const Case& c : cases) {
    Json model = Simple();
    c.change(model);
    EXPECT_THAT(Read(model), Fails(c.code, c.text)) << c.what;
    EXPECT_THAT(ReadAsUbj(model), Fails(c.code, c.text)) << c.what << ", UBJ";
  }
}

TEST(Xgboost, AVectorBaseScoreIsAveraged) {
  Json model = Simple();
  model["learner"]["learner_model_param"]["base_score"] = "[2.5E-1,7.5E-1]";
  const auto read = ReadBytes(model.dump());
  ASSERT_THAT(read, IsOk());
  EXPECT_DOUBLE_EQ(std::get<Booster>(read->content).base_score, 0.5);
}

TEST(Xgboost, MalformedJson) {
  const std::string good = Simple().dump();
  EXPECT_THAT(ReadBytes(good + "x"), Fails(StatusCode::kInvalidArgument, "malformed JSON"));
  EXPECT_THAT(ReadBytes(good + "{}"), Fails(StatusCode::kInvalidArgument, "malformed JSON"));
  EXPECT_THAT(ReadBytes(good + " \n"), IsOk());
  EXPECT_THAT(ReadBytes(R"({"learner":{"learner_model_param":{"num_feature":"1","num_feature":"2"}}})"),
              Fails(StatusCode::kInvalidArgument, "num_feature: the key appears twice"));
  EXPECT_THAT(ReadBytes(R"({"learner":{"a":nil}})"), Fails(StatusCode::kInvalidArgument, "malformed JSON"));
  EXPECT_THAT(ReadBytes(R"({"learner":{"a":tru}})"), Fails(StatusCode::kInvalidArgument, "malformed JSON"));
  EXPECT_THAT(ReadBytes(R"({"learner":{"a":NaN}})"), Fails(StatusCode::kInvalidArgument, "malformed JSON"));
  EXPECT_THAT(ReadBytes("{\"learner\":{\"a\":\"\xff\"}}"), Fails(StatusCode::kInvalidArgument, "malformed JSON"));
  EXPECT_THAT(ReadBytes("{\"learner\":" + std::string(1 << 20, '[')), Fails(StatusCode::kInvalidArgument, "JSON"));
}

std::string UbjKey(std::string_view key) {
  return "i" + std::string(1, static_cast<char>(key.size())) + std::string(key);
}

TEST(Xgboost, MalformedUbj) {
  const std::string head = "{" + UbjKey("learner") + "{" + UbjKey("x");
  const auto big = [](uint64_t value) {
    std::string bytes = Le(value, 8);
    return std::string(bytes.rbegin(), bytes.rend());
  };
  const std::pair<std::string, const char*> cases[] = {
      {head + "[$Z#L" + big(uint64_t{1} << 60), "typed container of other than numbers"},
      {head + "[$N#L" + big(uint64_t{1} << 60), "typed container of other than numbers"},
      {head + "[$[#L" + big(uint64_t{1} << 60), "typed container of other than numbers"},
      {head + "[$d#L" + big(uint64_t{1} << 62), "more than follow"},
      {head + "[#L" + big(uint64_t{1} << 62), "more than follow"},
      {head + "[#L" + big(~uint64_t{0}), "negative length"},
      {head + "[$d1", "without a count"},
      {head + "SL" + big(uint64_t{1} << 62), "more than follow"},
      {head + "SZ", "expected an integer for a length"},
      {head + "H", "unexpected marker \"H\""},
      {head + "N", "unexpected marker \"N\""},
      {head + "{$i#i\x01i\x01xx", "a typed object"},
      {head + std::string(1000, '['), "nests deeper"},
      {head + "Z}}x", "1 bytes follow the document"},
      {head + "d\x7f", "truncated"},
  };
  for (const auto& [bytes, text] : cases) EXPECT_THAT(ReadBytes(bytes), Fails(StatusCode::kInvalidArgument, text));
}

// NaN cannot stand in JSON, but can in UBJ.
TEST(Xgboost, NotANumberInUbjIsNamed) {
  std::string bytes = Sample("binary17.ubj");
  const std::string head = std::string("split_conditions[$d#L") + std::string(7, '\0');
  const size_t at = bytes.find(head);
  ASSERT_NE(at, std::string::npos);
  bytes.replace(at + head.size() + 1 + 4, 4, "\x7f\xc0\x00\x00", 4);
  EXPECT_THAT(ReadBytes(bytes),
              Fails(StatusCode::kInvalidArgument, "trees[0].split_conditions[1]: expected a finite number"));
}

// A second reader of UBJ: that of nlohmann-json.
TEST(Xgboost, UbjHoldsWhatAnotherReaderFinds) {
  for (const char* name : {"binary.ubj", "multi.ubj", "dart.ubj", "binary17.ubj"}) {
    const std::string bytes = Sample(name);
    const Json json = Json::from_ubjson(bytes.begin(), bytes.end());
    const auto ubj = ReadBytes(bytes), text = ReadBytes(json.dump());
    ASSERT_THAT(ubj, IsOk()) << name;
    ASSERT_THAT(text, IsOk()) << name;
    const auto &a = std::get<Booster>(ubj->content), &b = std::get<Booster>(text->content);
    EXPECT_EQ(a.base_score, b.base_score);
    EXPECT_EQ(a.tree_class, b.tree_class);
    ASSERT_EQ(a.trees.size(), b.trees.size());
    for (size_t i = 0; i < a.trees.size(); ++i) {
      EXPECT_EQ(a.trees[i].left, b.trees[i].left);
      EXPECT_EQ(a.trees[i].right, b.trees[i].right);
      EXPECT_EQ(a.trees[i].feature, b.trees[i].feature);
      EXPECT_EQ(a.trees[i].value, b.trees[i].value);
      EXPECT_EQ(a.trees[i].gain, b.trees[i].gain);
      EXPECT_EQ(a.trees[i].cover, b.trees[i].cover);
      EXPECT_EQ(a.trees[i].default_left, b.trees[i].default_left);
    }
  }
}

}  // namespace
}  // namespace driftseal::artifact
