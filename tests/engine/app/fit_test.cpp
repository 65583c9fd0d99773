#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/engine/app/fleet.h"
#include "tests/support/torch_zip.h"

namespace driftseal::testing {
namespace {

using nlohmann::ordered_json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FitTest : public FleetTest {
 protected:
  ProcessResult Fit(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"fit", "models", "--model-dir", "detector"});
    return DriftsealIn(folder_, more);
  }
  void WriteModels(int count, const Architecture& architecture = SmallMlp()) const {
    for (int i = 0; i < count; ++i) {
      folder_.Write(absl::StrCat("models/", i, ".safetensors"), Safetensors(architecture, static_cast<uint64_t>(i)));
    }
  }
};

TEST_F(FitTest, AFolderOfBareFilesIsAFleet) {
  const ProcessResult& fit = fleet().fit();
  EXPECT_THAT(fit.err, IsEmpty());
  EXPECT_THAT(fit.out, AllOf(HasSubstr("FAMILY"), HasSubstr("own"), HasSubstr("global"), HasSubstr("113 models"),
                             HasSubstr("Next: driftseal verify_all FOLDER --model-dir")));
  EXPECT_THAT(NamesIn(fleet().detector()), ElementsAre("detector.safetensors", "detector_state.json"));
}

TEST_F(FitTest, JsonNamesFamiliesAndWhatTheyPromise) {
  const ProcessResult result =
      Driftseal({"fit", fleet().models(), "--model-dir", (folder_ / "again").string(), "--format", "json"});
  EXPECT_THAT(result, ExitsWith(0));
  const ordered_json fit = JsonOf(result, "fit");
  EXPECT_EQ(fit["models"], TrustedFleet::kModels);
  EXPECT_THAT(fit["left_out"], IsEmpty());
  int own = 0, shared = 0, all = 0;
  for (const ordered_json& family : fit["families"]) {
    const int models = family["fitted_on"].get<int>() + family["calibrated_on"].get<int>();
    if (family["family"] == "*") {
      all += models;
    } else if (family["own_detector"].get<bool>()) {
      own += models;
      EXPECT_GE(family["calibrated_on"].get<int>(), 19) << "enough for alpha = 5 %";
      EXPECT_EQ(family["guarantee"]["models_needed"], 59);
      EXPECT_EQ(family["guarantee"]["threshold"], nullptr) << "too few for the stronger promise";
    } else {
      shared += models;
    }
  }
  EXPECT_EQ(own, TrustedFleet::kSmall + TrustedFleet::kWide);
  EXPECT_EQ(shared, TrustedFleet::kBottleneck);
  EXPECT_EQ(all, TrustedFleet::kModels);
  for (const char* file : {"detector_state.json", "detector.safetensors"}) {
    EXPECT_EQ(folder_.Read(std::string("again/") + file), ReadFile(fleet().detector() + "/" + file))
        << "the same models and seed give the same bytes";
  }
}

TEST_F(FitTest, NoModelsOneAndFiveAreTooFew) {
  EXPECT_THAT(Fit(), ExitsWith(3));
  for (const int count : {1, 5}) {
    WriteModels(count);
    const ProcessResult result = Fit();
    EXPECT_THAT(result, ExitsWith(3)) << count;
    EXPECT_THAT(result.err, AllOf(HasSubstr("at least 20 models"), HasSubstr(absl::StrCat("there are ", count))));
    EXPECT_THAT(result.out, IsEmpty());
    EXPECT_FALSE(folder_.Exists("detector")) << "nothing is left of a fit that failed";
  }
}

TEST_F(FitTest, ModelsThatAreAllTheSameGiveNothingToLearn) {
  for (int i = 0; i < 30; ++i) {
    folder_.Write(absl::StrCat("models/", i, ".safetensors"), Safetensors(SmallMlp(), 1));
  }
  const ProcessResult result = Fit();
  EXPECT_THAT(result, ExitsWith(3));
  EXPECT_THAT(result.err, HasSubstr("30 models"));
  EXPECT_FALSE(folder_.Exists("detector"));
}

// A frozen layer: its features are the same in all models, and one that differs there is news.
TEST_F(FitTest, ConstantFeaturesAreLeftOutAndADepartureFromThemIsSeen) {
  const std::string frozen = Safetensors(SmallMlp(), 1);
  const auto with_head_of = [&](uint64_t seed) {
    // fc1.weight and fc1.bias of model 1, fc2.weight and fc2.bias of another: the last 4·12 + 4 floats.
    const std::string other = Safetensors(SmallMlp(), seed);
    return frozen.substr(0, frozen.size() - 208) + other.substr(other.size() - 208);
  };
  for (int i = 0; i < 60; ++i) {
    folder_.Write(absl::StrCat("models/", i, ".safetensors"), with_head_of(static_cast<uint64_t>(100 + i)));
  }
  EXPECT_THAT(Fit(), ExitsWith(0));
  const std::string other = Safetensors(SmallMlp(), 7);
  folder_.Write("thawed.safetensors",
                other.substr(0, other.size() - 208) + with_head_of(130).substr(frozen.size() - 208));
  const ProcessResult result =
      DriftsealIn(folder_, {"verify", "thawed.safetensors", "--model-dir", "detector", "--format", "json"});
  EXPECT_THAT(result, ExitsWith(1));
  EXPECT_THAT(JsonOf(result, "report#/$defs/model")["score"]["remark"].get<std::string>(),
              HasSubstr("the one value that all 30 fitted models have"));
}

TEST_F(FitTest, WhatCannotBeTrustedOrReadTeachesNothingAndIsNamed) {
  WriteModels(30);
  const std::string model = Safetensors(SmallMlp(), 50);
  folder_.Write("models/torn.safetensors", model.substr(0, 300));
  folder_.Write("models/hostile.pt", HostileTorchArchive("true"));
  folder_.Write("models/other.onnx", "some bytes of another format");
  folder_.Write("models/broken.meta.json", "{");
  folder_.Write("models/swapped.bin", model);
  ordered_json meta = BareMeta("swapped", "swapped.bin");
  meta["fingerprint"]["model_sha256"] = std::string(64, '1');
  folder_.Write("models/swapped.meta.json", meta.dump());
  const ProcessResult result = Fit({"--format", "json"});
  EXPECT_THAT(result, ExitsWith(0));
  const ordered_json fit = JsonOf(result, "fit");
  EXPECT_EQ(fit["models"], 30);
  std::vector<std::string> paths;
  for (const ordered_json& left : fit["left_out"]) paths.push_back(left["path"]);
  EXPECT_THAT(paths,
              ElementsAre("broken.meta.json", "hostile.pt", "other.onnx", "swapped.meta.json", "torn.safetensors"));
  EXPECT_THAT(fit["left_out"][1]["reason"].get<std::string>(), HasSubstr("system"));
  EXPECT_THAT(fit["left_out"][3]["reason"].get<std::string>(), HasSubstr("not the file that was recorded"));
}

TEST_F(FitTest, OnlyEligibleLeavesTheOthersOut) {
  for (int i = 0; i < 40; ++i) {
    const std::string name = std::to_string(i);
    folder_.Write("models/" + name + ".safetensors", Safetensors(SmallMlp(), static_cast<uint64_t>(i)));
    ordered_json meta = Meta(name, name + ".safetensors", "", static_cast<uint64_t>(i));
    if (i >= 30) meta["promotion"]["eligible"] = false;
    folder_.Write("models/" + name + ".meta.json", meta.dump());
  }
  const ordered_json fit = JsonOf(Fit({"--only-eligible", "--format", "json"}), "fit");
  EXPECT_EQ(fit["models"], 30);
  EXPECT_EQ(fit["left_out"].size(), 10u);
  EXPECT_EQ(fit["left_out"][0]["reason"], "promotion.eligible is not true");
  ASSERT_FALSE(fit["families"].empty());
  bool named = false;
  for (const ordered_json& family : fit["families"]) {
    named |= family["family"].get<std::string>().starts_with("vision/classification/");
  }
  EXPECT_TRUE(named);
}

TEST_F(FitTest, AFolderThatCannotBeWrittenIsAnError) {
  folder_.Write("file", "not a folder");
  const ProcessResult result =
      Driftseal({"fit", fleet().models(), "--model-dir", (folder_ / "file/detector").string()});
  EXPECT_THAT(result, ExitsWith(3));
  EXPECT_THAT(result.err, HasSubstr("file/detector"));
}

TEST_F(FitTest, SelfTestPassesAndItsJsonIsJson) {
  const ProcessResult result = DriftsealIn(folder_, {"selftest", "--format", "json"});
  EXPECT_THAT(result, ExitsWith(0));
  for (const ordered_json& check : JsonOf(result, "selftest")["checks"]) EXPECT_EQ(check["ok"], true) << check;
}

TEST_F(FitTest, SelfTestWithTooFewModelsSaysSoBesideItsJson) {
  WriteModels(3);
  const ProcessResult result = DriftsealIn(folder_, {"selftest", "models", "--format", "json"});
  EXPECT_THAT(result, ExitsWith(0));
  EXPECT_THAT(result.err, HasSubstr("3 models are too few"));
  JsonOf(result, "selftest");
}

}  // namespace
}  // namespace driftseal::testing
