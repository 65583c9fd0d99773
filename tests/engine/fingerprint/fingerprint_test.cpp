#include "engine/fingerprint/fingerprint.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>

#include "engine/artifact/zip.h"
#include "fixtures.h"
#include "tests/support/torch_zip.h"

namespace driftseal::fingerprint {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

std::string Model() {
  std::vector<float> values(12);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * i % 7) - 3;
  return *artifact::WriteSafetensors(
      {FloatTensor("fc.weight", {4, 3}, values), FloatTensor("fc.bias", {4}, {1, 2, 3, 9})}, {});
}
constexpr std::string_view kPredictions = "y_true,y_pred,confidence\n0,0,0.9\n1,1,0.8\n1,0,0.6\n";

artifact::Digest DigestOf(std::string_view text) {
  return artifact::Sha256(std::as_bytes(std::span(text.data(), text.size())));
}

class FromMetaTest : public ::testing::Test {
 protected:
  Fingerprint Print(const ModelMeta& meta, const std::string& directory, const Options& options = {}) {
    const auto root = artifact::Root::Open(dir_.path());
    EXPECT_TRUE(root.ok()) << root.status();
    Fingerprint print = FromMeta(meta, directory, *root, options);
    // What holds for every fingerprint: a column is finite, or missing for a reason.
    EXPECT_EQ(print.values.size(), ModelSchema().features.size());
    for (size_t i = 0; i < print.values.size(); ++i) {
      const std::string& name = ModelSchema().features[i].name;
      EXPECT_FALSE(std::isinf(print.values[i])) << name;
      EXPECT_EQ(std::isnan(print.values[i]), !ReasonFor(print, name).empty()) << name;
      EXPECT_NE(ReasonFor(print, name), "not computed") << name;
    }
    return print;
  }
  ModelMeta Meta() const {
    ModelMeta meta;
    meta.model_name = "m";
    meta.domain = "vision";
    meta.task = "classification";
    meta.model_path = "m.safetensors";
    meta.predictions_path = "m.csv";
    return meta;
  }
  TempDir dir_;
};

TEST_F(FromMetaTest, ComputesEverythingOnce) {
  dir_.Write("a/m.safetensors", Model());
  dir_.Write("a/m.csv", kPredictions);
  dir_.Write("a/h.csv", "x");
  ModelMeta meta = Meta();
  meta.related_paths = {"h.csv"};
  meta.related_sha256["h.csv"] = DigestOf("x");
  meta.model_sha256 = DigestOf("something else");
  meta.primary = 0.75, meta.baseline = 0.5, meta.train_score = 0.875;
  meta.training_seconds = std::exp(1.0) - 1;
  meta.parameter_count = 31;
  meta.recipe = {{"epochs", 8}};
  const Fingerprint print = Print(meta, "a");
  ASSERT_EQ(print.files.size(), 3u);
  for (const FileEvidence& file : print.files) EXPECT_TRUE(file.status.ok()) << file.status;
  EXPECT_EQ(print.files[0].role, "model");
  EXPECT_EQ(print.files[0].actual, DigestOf(Model()));
  EXPECT_EQ(print.files[0].recorded, DigestOf("something else"));
  EXPECT_EQ(print.files[1].role, "predictions");
  EXPECT_EQ(print.files[1].actual, DigestOf(kPredictions));
  EXPECT_FALSE(print.files[1].recorded.has_value());
  EXPECT_EQ(print.files[2].role, "related");
  EXPECT_EQ(print.files[2].actual, print.files[2].recorded);
  EXPECT_EQ(print.format, artifact::Format::kSafetensors);
  EXPECT_EQ(print.family.architecture.size(), 16u);
  EXPECT_EQ(print.family.Key(), "vision/classification/" + print.family.architecture);
  EXPECT_THAT(print.covariates,
              ElementsAre(Pair("epochs", 8), Pair("training_seconds", ::testing::DoubleNear(1.718281828, 1e-8))));
  EXPECT_FALSE(print.scan.has_value());

  EXPECT_EQ(ValueOf(print, "meta.primary_gain"), 0.25f);
  EXPECT_EQ(ValueOf(print, "meta.generalisation_gap"), 0.125f);
  EXPECT_NEAR(ValueOf(print, "meta.parameter_mismatch"), std::log(17.0 / 32), 1e-6);
  EXPECT_EQ(ReasonFor(print, "meta.final_loss"), "the meta file has no training.final_loss");
  EXPECT_NEAR(ValueOf(print, "predictions.accuracy"), 2.0 / 3, 1e-6);
  // Biases 1, 2, 3, 9: median 2.5, MAD 1.
  EXPECT_NEAR(ValueOf(print, "head.bias_z_max"), 6.5 / 1.4826, 1e-5);
  EXPECT_NEAR(ValueOf(print, "head.bias_top_gap"), 6 / 1.4826, 1e-5);
}

TEST_F(FromMetaTest, TheSameInputGivesTheSameBytes) {
  dir_.Write("m.safetensors", Model());
  dir_.Write("m.csv", kPredictions);
  const Fingerprint one = Print(Meta(), ""), other = Print(Meta(), dir_.path());
  EXPECT_EQ(std::memcmp(one.values.data(), other.values.data(), one.values.size() * sizeof(float)), 0);
  EXPECT_EQ(one.family.Key(), other.family.Key());
}

TEST_F(FromMetaTest, LooksBesideTheMetaFileAndThenBeneathTheRoot) {
  dir_.Write("m.csv", kPredictions);
  dir_.Write("a/m.safetensors", Model());
  for (const std::string& directory : {std::string("a"), std::string("a/"), std::string("./a"), dir_.path() + "/a"}) {
    const Fingerprint print = Print(Meta(), directory);
    EXPECT_TRUE(print.files[0].status.ok()) << directory << print.files[0].status;
    EXPECT_TRUE(print.files[1].status.ok()) << directory << print.files[1].status;
  }
  const auto slash = artifact::Root::Open(dir_.path() + "/");
  ASSERT_TRUE(slash.ok()) << slash.status();
  EXPECT_TRUE(FromMeta(Meta(), dir_.path() + "/a", *slash, {}).files[0].status.ok());
  // The file beside wins.
  dir_.Write("a/m.csv", "y_true\n1\n");
  EXPECT_EQ(Print(Meta(), "a").files[1].actual, DigestOf("y_true\n1\n"));
  EXPECT_EQ(Print(Meta(), "").files[1].actual, DigestOf(kPredictions));
}

TEST_F(FromMetaTest, NothingOutsideOfTheRootIsRead) {
  TempDir outside;
  outside.Write("m.csv", kPredictions);
  dir_.Write("a/b.txt", "");
  std::filesystem::create_symlink(outside.path() + "/m.csv", dir_.path() + "/a/link.csv");
  std::filesystem::create_symlink("loop.csv", dir_.path() + "/a/loop.csv");
  for (const std::string& name :
       {outside.path() + "/m.csv", "../../" + std::filesystem::path(outside.path()).filename().string() + "/m.csv",
        std::string("link.csv"), std::string("/etc/passwd")}) {
    ModelMeta meta = Meta();
    meta.model_path = "";
    meta.predictions_path = name;
    const Fingerprint print = Print(meta, "a");
    ASSERT_EQ(print.files.size(), 1u);
    EXPECT_TRUE(absl::IsPermissionDenied(print.files[0].status)) << name << " " << print.files[0].status;
    EXPECT_FALSE(print.files[0].actual.has_value());
  }
  ModelMeta meta = Meta();
  meta.predictions_path = "loop.csv";
  EXPECT_TRUE(absl::IsFailedPrecondition(Print(meta, "a").files[1].status)) << Print(meta, "a").files[1].status;
}

TEST_F(FromMetaTest, MissingAndBrokenFilesAreEvidence) {
  ModelMeta meta = Meta();
  Fingerprint print = Print(meta, "");
  EXPECT_TRUE(absl::IsNotFound(print.files[0].status));
  EXPECT_EQ(ReasonFor(print, "spectral.slot1.sigma1"), Message(print.files[0].status));
  EXPECT_EQ(print.family.architecture, "");
  EXPECT_EQ(print.family.Key(), "vision/classification/-");
  meta.model_path = meta.predictions_path = "";
  print = Print(meta, "");
  EXPECT_TRUE(print.files.empty());
  EXPECT_EQ(ReasonFor(print, "meta.model_bytes"), "the meta file has no artifacts.model_path");
  EXPECT_EQ(ReasonFor(print, "predictions.rows"), "the meta file has no artifacts.predictions_path");

  dir_.Write("m.safetensors", Model().substr(0, 40));
  dir_.Write("m.csv", "a,b\n1\n");
  print = Print(Meta(), "");
  EXPECT_TRUE(absl::IsInvalidArgument(print.files[0].status)) << print.files[0].status;
  EXPECT_EQ(print.files[0].actual, DigestOf(Model().substr(0, 40)));
  EXPECT_THAT(Message(print.files[1].status), AllOf(HasSubstr("m.csv"), HasSubstr("line 2: expected 2 cells")));
  EXPECT_TRUE(print.files[1].actual.has_value());
  EXPECT_EQ(ReasonFor(print, "predictions.rows"), Message(print.files[1].status));
  dir_.Write("m.safetensors", "");
  dir_.Write("m.csv", "y_true,y_pred\n");
  print = Print(Meta(), "");
  EXPECT_FALSE(print.files[0].status.ok());
  EXPECT_TRUE(print.files[1].status.ok());
  EXPECT_EQ(ValueOf(print, "predictions.rows"), 0);
  EXPECT_EQ(ReasonFor(print, "predictions.accuracy"), "the predictions file has no rows");
}

TEST_F(FromMetaTest, DirectoriesAndPipesAreNoModels) {
  std::filesystem::create_directory(dir_.path() + "/m.safetensors");
  ASSERT_EQ(mkfifo((dir_.path() + "/m.csv").c_str(), 0600), 0);
  const Fingerprint print = Print(Meta(), "");
  EXPECT_TRUE(absl::IsFailedPrecondition(print.files[0].status)) << print.files[0].status;
  EXPECT_TRUE(absl::IsFailedPrecondition(print.files[1].status)) << print.files[1].status;
}

TEST_F(FromMetaTest, ScansOnlyWhenAsked) {
  std::string csv = "a,b\n";
  for (int i = 0; i < 100; ++i) csv += std::to_string(i % 7) + "," + std::to_string(i % 5) + "\n";
  dir_.Write("m.csv", csv + "1000,1000\n");
  const Fingerprint print = Print(Meta(), "", {.scan_predictions = true});
  ASSERT_TRUE(print.scan.has_value());
  EXPECT_EQ(print.scan->worst[0].first, 101u);
}

TEST_F(FromMetaTest, ManyRelatedFiles) {
  ModelMeta meta = Meta();
  meta.model_path = meta.predictions_path = "";
  for (int i = 0; i < 11; ++i) {
    meta.related_paths.push_back(std::string("r").append(std::to_string(i)));
    if (i != 5) dir_.Write(meta.related_paths.back(), std::to_string(i));
  }
  const Fingerprint print = Print(meta, "");
  ASSERT_EQ(print.files.size(), 11u);
  for (size_t i = 0; i < 11; ++i) {
    EXPECT_EQ(print.files[i].path, meta.related_paths[i]);
    EXPECT_EQ(print.files[i].actual.has_value(), i != 5);
    if (i != 5) {
      EXPECT_EQ(print.files[i].actual, DigestOf(std::to_string(i)));
    }
  }
  EXPECT_TRUE(absl::IsNotFound(print.files[5].status));
}

TEST(FromModelFile, HasAFamilyOfItsOwn) {
  const Fingerprint print = FromModelFile(SourceOf(Model(), "m.safetensors"), {});
  EXPECT_EQ(print.family.Key(), "-/-/" + print.family.architecture);
  EXPECT_EQ(print.files.at(0).actual, DigestOf(Model()));
  EXPECT_EQ(ReasonFor(print, "predictions.accuracy"), "the model has no meta file");
  EXPECT_NEAR(ValueOf(print, "meta.model_bytes"), std::log1p(static_cast<double>(Model().size())), 1e-6);
}

// torch names the folder of its archives after the file: the same weights under a longer name are a larger file.
TEST(FromModelFile, BytesOfATorchArchiveDoNotDependOnItsName) {
  const auto sample = artifact::Source::Open(DRIFTSEAL_SOURCE_DIR "/tests/engine/artifact/samples/net.state_dict.pt");
  ASSERT_TRUE(sample.ok()) << sample.status();
  auto directory = artifact::ReadZipDirectory(*sample);
  ASSERT_TRUE(directory.ok() && artifact::CheckZipLayout(*sample, *directory).ok());
  const auto under = [&](const std::string& folder) {
    std::vector<std::pair<std::string, std::string>> members;
    std::vector<std::byte> scratch;
    for (const artifact::ZipMember& member : directory->members) {
      const auto bytes = sample->Read(member.offset, member.size, scratch);
      const std::string name = folder + member.name.substr(member.name.find('/'));
      members.emplace_back(name, std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size()));
    }
    return testing::StoredZip(members);
  };
  const std::string brief = under("m"), lengthy = under("a-much-longer-name-of-the-same-model");
  ASSERT_LT(brief.size(), lengthy.size());
  const Fingerprint a = FromModelFile(SourceOf(brief, "m.pt"), {}), b = FromModelFile(SourceOf(lengthy, "l.pt"), {});
  ASSERT_TRUE(a.files.at(0).status.ok()) << a.files[0].status;
  EXPECT_GT(ValueOf(a, "meta.model_bytes"), 0);
  EXPECT_EQ(ValueOf(a, "meta.model_bytes"), ValueOf(b, "meta.model_bytes"));
  EXPECT_EQ(a.family.Key(), b.family.Key());
}

TEST(FromModelFile, FilesThatAreNoModels) {
  for (const std::string& bytes :
       {std::string(), std::string("\x80\x04K\x01."), std::string(64, '\0'), std::string("hello")}) {
    const Fingerprint print = FromModelFile(SourceOf(bytes, "odd.bin"), {});
    EXPECT_FALSE(print.files.at(0).status.ok());
    EXPECT_THAT(Message(print.files[0].status), HasSubstr("odd.bin"));
    EXPECT_EQ(print.family.Key(), "-/-/-");
    EXPECT_EQ(ReasonFor(print, "spectral.slot1.sigma1"), Message(print.files[0].status));
  }
}

TEST(Family, KeysHaveThreeParts) { EXPECT_EQ((Family{"a/b", "", "c"}.Key()), "a_b/-/c"); }

}  // namespace
}  // namespace driftseal::fingerprint
