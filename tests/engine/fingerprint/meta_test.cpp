#include "engine/fingerprint/meta.h"

#include <gmock/gmock.h>

#include "fixtures.h"

namespace driftseal::fingerprint {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

constexpr std::string_view kHex = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

std::string ErrorOf(std::string_view json) {
  const auto meta = ParseMeta(json, "x.meta.json");
  EXPECT_FALSE(meta.ok()) << json;
  EXPECT_TRUE(absl::IsInvalidArgument(meta.status())) << meta.status();
  return Message(meta.status());
}

TEST(ParseMeta, ReadsEveryField) {
  const std::string text =
      std::string(R"({"model_name":"m","domain":"vision","model_kind":"cnn","framework":"libtorch 2",
    "artifacts":{"metadata_path":"m.meta.json","model_path":"m.pt","predictions_path":"m.csv",
      "related_paths":["a","b/c"]},
    "promotion":{"task":"classification","primary_metric":"accuracy","primary":0.9,"baseline":1,"eligible":true},
    "training":{"seconds":1.5,"parameters":1000,"samples":18446744073709551615,"final_loss":-0.25,"score":0.95,
      "recipe":{"epochs":8,"optimizer":"adam","augment":true,"betas":[0.9,0.99],"note":null}},
    "fingerprint":{"model_sha256":")") +
      std::string(kHex) + R"(","related_sha256":{"a":"sha256:)" + std::string(kHex) +
      R"("}},"unknown":{"x":[1,{"y":2}]}})";
  const auto meta = ParseMeta(text, "x.meta.json");
  ASSERT_TRUE(meta.ok()) << meta.status();
  EXPECT_EQ(meta->model_name, "m");
  EXPECT_EQ(meta->domain, "vision");
  EXPECT_EQ(meta->model_kind, "cnn");
  EXPECT_EQ(meta->framework, "libtorch 2");
  EXPECT_EQ(meta->metadata_path, "m.meta.json");
  EXPECT_EQ(meta->model_path, "m.pt");
  EXPECT_EQ(meta->predictions_path, "m.csv");
  EXPECT_THAT(meta->related_paths, ElementsAre("a", "b/c"));
  EXPECT_EQ(meta->task, "classification");
  EXPECT_EQ(meta->primary_metric, "accuracy");
  EXPECT_EQ(meta->primary, 0.9);
  EXPECT_EQ(meta->baseline, 1.0);
  EXPECT_EQ(meta->eligible, true);
  EXPECT_EQ(meta->training_seconds, 1.5);
  EXPECT_EQ(meta->parameter_count, 1000.0);
  EXPECT_EQ(meta->training_samples, 18446744073709551615.0);
  EXPECT_EQ(meta->final_loss, -0.25);
  EXPECT_EQ(meta->train_score, 0.95);
  EXPECT_THAT(meta->recipe, ElementsAre(Pair("epochs", 8.0)));
  EXPECT_THAT(meta->recipe_category, UnorderedElementsAre(Pair("optimizer", "adam"), Pair("augment", "true")));
  ASSERT_TRUE(meta->model_sha256.has_value());
  EXPECT_EQ(meta->model_sha256->Hex(), kHex);
  EXPECT_FALSE(meta->predictions_sha256.has_value());
  ASSERT_EQ(meta->related_sha256.size(), 1u);
  EXPECT_EQ(meta->related_sha256.at("a").Hex(), kHex);
}

TEST(ParseMeta, MissingAndNullAreTheSame) {
  for (const std::string_view text :
       {R"({"model_name":"m"})", R"({"model_name":"m","promotion":null,"training":{"seconds":null}})"}) {
    const auto meta = ParseMeta(text, "x");
    ASSERT_TRUE(meta.ok()) << meta.status();
    EXPECT_FALSE(meta->primary.has_value());
    EXPECT_FALSE(meta->training_seconds.has_value());
    EXPECT_FALSE(meta->eligible.has_value());
    EXPECT_EQ(meta->model_path, "");
  }
}

TEST(ParseMeta, WrongTypesNameTheField) {
  EXPECT_EQ(ErrorOf(R"({"model_name":"m","promotion":{"primary":"0.9"}})"),
            "x.meta.json: promotion.primary: expected a finite number, found a string");
  EXPECT_EQ(ErrorOf(R"({"model_name":"m","promotion":[]})"),
            "x.meta.json: promotion: expected an object, found an array");
  EXPECT_EQ(ErrorOf(R"({"model_name":"m","promotion":{"eligible":1}})"),
            "x.meta.json: promotion.eligible: expected true or false, found a number");
  EXPECT_EQ(ErrorOf(R"({"model_name":"m","artifacts":{"related_paths":["a",3]}})"),
            "x.meta.json: artifacts.related_paths[1]: expected a string, found a number");
  EXPECT_EQ(ErrorOf(R"({"model_name":"m","training":{"recipe":"adam"}})"),
            "x.meta.json: training.recipe: expected an object, found a string");
  EXPECT_EQ(ErrorOf(R"([1])"), "x.meta.json: expected a JSON object, found an array");
  EXPECT_EQ(ErrorOf(R"({"model_name":7})"), "x.meta.json: model_name: expected a string, found a number");
}

TEST(ParseMeta, ModelNameIsRequired) {
  const std::string expected = "x.meta.json: model_name: expected a string that is not empty, found none";
  EXPECT_EQ(ErrorOf(R"({})"), expected);
  EXPECT_EQ(ErrorOf(R"({"model_name":""})"), expected);
  EXPECT_EQ(ErrorOf(R"({"model_name":null})"), expected);
}

TEST(ParseMeta, NegativeCountsAreRefused) {
  for (const std::string field : {"seconds", "parameters", "samples"}) {
    EXPECT_EQ(ErrorOf(R"({"model_name":"m","training":{")" + field + R"(":-1}})"),
              "x.meta.json: training." + field + ": expected a number of at least 0, found -1");
  }
}

TEST(ParseMeta, DigestsAndPathsAreChecked) {
  EXPECT_THAT(ErrorOf(R"({"model_name":"m","fingerprint":{"model_sha256":"abc"}})"),
              AllOf(HasSubstr("fingerprint.model_sha256"), HasSubstr("64 hexadecimal digits"), HasSubstr("abc")));
  EXPECT_THAT(ErrorOf(R"({"model_name":"m","fingerprint":{"related_sha256":{"a/b":5}}})"),
              AllOf(HasSubstr("fingerprint.related_sha256.a/b"), HasSubstr("found a number")));
  EXPECT_THAT(ErrorOf(R"({"model_name":"m","artifacts":{"model_path":"a\u0000b"}})"),
              AllOf(HasSubstr("artifacts.model_path"), HasSubstr("NUL")));
  EXPECT_THAT(ErrorOf(R"({"model_name":"m","artifacts":{"model_path":")" + std::string(5000, 'a') + "\"}}"),
              AllOf(HasSubstr("artifacts.model_path"), HasSubstr("4096")));
  std::string related = R"({"model_name":"m","artifacts":{"related_paths":["a")";
  for (int i = 0; i < 1000; ++i) related += ",\"a\"";
  EXPECT_THAT(ErrorOf(related + "]}}"), AllOf(HasSubstr("artifacts.related_paths"), HasSubstr("at most 1000")));
}

TEST(ParseMeta, NonFiniteLiteralsAreNamed) {
  EXPECT_THAT(
      ErrorOf("{\"model_name\":\"m\",\n\"training\":{\"final_loss\": NaN}}"),
      AllOf(HasSubstr("x.meta.json: training.final_loss: line 2: "), HasSubstr("found NaN"), HasSubstr("Python")));
  EXPECT_THAT(ErrorOf(R"({"model_name":"m","promotion":{"primary":Infinity}})"), HasSubstr("found Infinity"));
  EXPECT_THAT(ErrorOf(R"({"model_name":"m","promotion":{"primary":-Infinity}})"), HasSubstr("found -Infinity"));
  // The word is no news when it stands in a string before the flaw.
  EXPECT_THAT(ErrorOf(R"({"model_name":"m NaN","promotion":{"primary":0x1}})"), testing::Not(HasSubstr("found NaN")));
  EXPECT_THAT(ErrorOf(R"({"model_name":"m","promotion":{"primary":1e999}})"), HasSubstr("promotion.primary"));
}

TEST(ParseMeta, BrokenTextsSayWhatIsWrong) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("found an empty file"));
  EXPECT_THAT(ErrorOf(" \n\t"), HasSubstr("found an empty file"));
  EXPECT_THAT(ErrorOf(R"({"model_name":"m","promotion":{"primary":0.)"),
              AllOf(HasSubstr("promotion.primary"), HasSubstr("line 1")));
  EXPECT_THAT(ErrorOf(R"({"model_name":"m","promotion":{)"), HasSubstr("truncated"));
  EXPECT_THAT(ErrorOf(R"({"model_name":"m"} {})"), HasSubstr("end of the file"));
  EXPECT_THAT(ErrorOf("\xEF\xBB\xBF{\"model_name\":\"m\"}"), HasSubstr("byte order mark"));
  EXPECT_THAT(ErrorOf("{\"model_name\":\"m\",\"domain\":\"\xC3\x28\"}"),
              AllOf(HasSubstr("domain"), HasSubstr("UTF-8")));
  EXPECT_THAT(ErrorOf(R"({"model_name":"m",})"), HasSubstr("x.meta.json"));
  EXPECT_THAT(ErrorOf(R"({'model_name':'m'})"), HasSubstr("strict JSON"));
  EXPECT_THAT(ErrorOf(R"({"model_name":"m","training":{"samples":123456789012345678901234567890}})"),
              AllOf(HasSubstr("training.samples"), HasSubstr("64-bit")));
}

TEST(ParseMeta, EveryPrefixOfAMetaFileIsAnErrorAndNotACrash) {
  const std::string text =
      R"({"model_name":"m","promotion":{"primary":0.5,"eligible":true},"training":{"recipe":{"a":"é"}}})";
  ASSERT_TRUE(ParseMeta(text, "x").ok());
  for (size_t n = 0; n < text.size(); ++n) EXPECT_FALSE(ParseMeta(text.substr(0, n), "x").ok()) << n;
}

TEST(ParseMeta, DuplicateKeysAreRefused) {
  EXPECT_EQ(ErrorOf(R"({"model_name":"m","model_name":"n"})"),
            "x.meta.json: model_name: expected every key once in its object, found it twice");
  EXPECT_THAT(ErrorOf(R"({"model_name":"m","u":[0,{"a":{"b":1,"\u0062":2}}]})"), HasSubstr("u[1].a.b"));
}

TEST(ParseMeta, DepthAndSizeAreLimited) {
  const auto nested = [](int levels) {
    std::string text = R"({"model_name":"m","deep":)";
    for (int i = 1; i < levels; ++i) text += "[";
    for (int i = 1; i < levels; ++i) text += "]";
    return text + "}";
  };
  EXPECT_TRUE(ParseMeta(nested(kMetaDepthLimit), "x").ok()) << ParseMeta(nested(kMetaDepthLimit), "x").status();
  EXPECT_THAT(ErrorOf(nested(kMetaDepthLimit + 1)), HasSubstr("expected at most 32 levels"));
  EXPECT_THAT(ErrorOf(std::string(1 << 20, '[')), HasSubstr("expected at most 32 levels"));
  const std::string large = R"({"model_name":")" + std::string(kMetaLimitBytes, 'a') + "\"}";
  EXPECT_THAT(ErrorOf(large), HasSubstr("4194304"));
  EXPECT_THAT(Message(ReadMeta(SourceOf(large, "big.meta.json")).status()),
              HasSubstr("big.meta.json: expected at most 4194304"));
  // A file at the limit is read, and a small one after it too.
  EXPECT_TRUE(ParseMeta(R"({"model_name":")" + std::string(kMetaLimitBytes - 20, 'a') + "\"}", "x").ok());
  EXPECT_TRUE(ParseMeta(R"({"model_name":"m"})", "x").ok());
}

TEST(WithRecordedDigests, KeepsOrderUnknownFieldsAndLayout) {
  const std::string text =
      "{\n    \"zebra\": [1, 2.5],\n    \"model_name\": \"é\",\n    \"fingerprint\": {\n        \"canary\": 1\n    "
      "},\n    \"alpha\": null\n}\n";
  const artifact::Digest digest = *artifact::ParseDigest(std::string(kHex));
  const auto out = WithRecordedDigests(text, "x", {{"model_sha256", digest}}, {{"a", digest}}, false);
  ASSERT_TRUE(out.ok()) << out.status();
  const std::string hex(kHex);
  EXPECT_EQ(*out,
            "{\n    \"zebra\": [\n        1,\n        2.5\n    ],\n    \"model_name\": \"é\",\n    \"fingerprint\": {\n"
            "        \"canary\": 1,\n        \"model_sha256\": \"" +
                hex + "\",\n        \"related_sha256\": {\n            \"a\": \"" + hex +
                "\"\n        }\n    },\n    \"alpha\": null\n}\n");
  const auto meta = ParseMeta(*out, "x");
  ASSERT_TRUE(meta.ok()) << meta.status();
  EXPECT_EQ(meta->model_sha256, digest);
}

TEST(WithRecordedDigests, KeepsTabsAndSingleLines) {
  const artifact::Digest digest = artifact::Sha256({});
  const std::string field = "\"fingerprint\":";
  EXPECT_EQ(
      *WithRecordedDigests("{\n\t\"model_name\": \"m\"\n}", "x", {{"model_sha256", digest}}, {}, false),
      "{\n\t\"model_name\": \"m\",\n\t\"fingerprint\": {\n\t\t\"model_sha256\": \"" + digest.Hex() + "\"\n\t}\n}");
  EXPECT_EQ(*WithRecordedDigests("{\"model_name\":\"m\"}\n", "x", {{"model_sha256", digest}}, {}, false),
            "{\"model_name\":\"m\"," + field + "{\"model_sha256\":\"" + digest.Hex() + "\"}}\n");
}

TEST(WithRecordedDigests, OverwritesOnlyWhenAsked) {
  const artifact::Digest digest = *artifact::ParseDigest(std::string(kHex)), other = artifact::Sha256({});
  const std::string text = R"({"model_name":"m","fingerprint":{"model_sha256":")" + digest.Hex() + "\"}}";
  EXPECT_EQ(ParseMeta(*WithRecordedDigests(text, "x", {{"model_sha256", other}}, {}, false), "x")->model_sha256,
            digest);
  EXPECT_EQ(ParseMeta(*WithRecordedDigests(text, "x", {{"model_sha256", other}}, {}, true), "x")->model_sha256, other);
  EXPECT_EQ(*WithRecordedDigests(text, "x", {}, {}, true), text);
  EXPECT_FALSE(WithRecordedDigests("{", "x", {{"model_sha256", other}}, {}, true).ok());
  EXPECT_FALSE(
      WithRecordedDigests(R"({"model_name":"m","fingerprint":3})", "x", {{"model_sha256", other}}, {}, true).ok());
}

}  // namespace
}  // namespace driftseal::fingerprint
