#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>

#include "engine/artifact/digest.h"
#include "engine/artifact/model_file.h"
#include "engine/detector/detector.h"
#include "engine/replay/protocol/tensors.h"
#include "fleet.h"

// A detector is read as hostile: whatever is changed in either file, with the digest made to fit, is found and named.
namespace driftseal::detector {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;
using Tensors = std::map<std::string, artifact::NamedTensor>;

class TamperTest : public testing::Test {
 protected:
  void SetUp() override {
    Fleet fleet(5);
    auto samples = fleet.Samples(24, "a");
    for (const Sample& sample : fleet.Samples(24, "b")) samples.push_back(sample);
    for (const Sample& sample : fleet.Samples(2, "c")) samples.push_back(sample);
    for (const Sample& sample : fleet.Samples(2, "d")) samples.push_back(sample);
    for (Sample& sample : samples) sample.values[4] = 1;
    const auto detector = Detector::Fit(fleet.Schema(), samples, WithoutAutoencoder());
    ASSERT_TRUE(detector.ok() && detector->Save(folder_.path()).ok());
    json_ = Json::parse(ReadAll(folder_ / "detector_state.json"));
    const auto source = artifact::Source::Open(folder_ / "detector.safetensors");
    const auto file = artifact::ReadModelFile(*source);
    for (const auto& info : std::get<artifact::TensorTable>(file->content).tensors) {
      std::vector<std::byte> scratch;
      const auto bytes = *source->Read(info.offset, info.Elements() * artifact::DTypeBytes(info.dtype), scratch);
      tensors_[info.name] = {info.name, info.shape, info.dtype, {bytes.begin(), bytes.end()}};
    }
    AddAutoencoder();
  }
  /// A network by hand, for there is no LibTorch here: 4 → 2 → 4.
  void AddAutoencoder() {
    using replay::Tensor;
    const std::vector<double> weights(8, 0.1), two(2, 0.0), four(4, 0.0);
    Put(Tensor("family.0.autoencoder.0.weight", {2, 4}, weights));
    Put(Tensor("family.0.autoencoder.0.bias", {2}, two));
    Put(Tensor("family.0.autoencoder.1.weight", {4, 2}, weights));
    Put(Tensor("family.0.autoencoder.1.bias", {4}, four));
    json_["families"][0]["members"]["autoencoder"] = {{"activations", {"tanh", "identity"}}, {"normaliser", nullptr}};
  }
  void Put(artifact::NamedTensor tensor) { tensors_[tensor.name] = std::move(tensor); }
  template <class T>
  void Set(const std::string& name, size_t index, T value) {
    std::memcpy(tensors_.at(name).data.data() + index * sizeof(T), &value, sizeof(T));
  }

  /// Saves what was changed, with a digest that fits, and loads it.
  absl::Status Load() {
    std::vector<artifact::NamedTensor> list;
    for (const auto& [name, tensor] : tensors_) list.push_back(tensor);
    const auto arrays = artifact::WriteSafetensors(list, {});
    if (!arrays.ok()) return arrays.status();
    if (json_.is_object() && json_.contains("arrays") && json_["arrays"].is_object() && fix_digest_) {
      json_["arrays"]["sha256"] = artifact::Sha256(std::as_bytes(std::span(*arrays))).Hex();
    }
    WriteAll(folder_ / "detector.safetensors", *arrays);
    WriteAll(folder_ / "detector_state.json", json_.dump());
    return Detector::Load(folder_.path()).status();
  }
  void ExpectRefused(const std::string& named) {
    const absl::Status status = Load();
    EXPECT_FALSE(status.ok()) << named;
    EXPECT_THAT(std::string(status.message()), HasSubstr(named));
    EXPECT_THAT(std::string(status.message()), HasSubstr("detector"));  // the file
  }

  TemporaryFolder folder_;
  Json json_;
  Tensors tensors_;
  bool fix_digest_ = true;
};

TEST_F(TamperTest, UnchangedIsAccepted) { EXPECT_TRUE(Load().ok()) << Load(); }

/// Every field of the JSON: gone, and of another type.
TEST_F(TamperTest, EveryFieldIsNeeded) {
  const Json original = json_;
  const std::vector<std::string> fields = {"/format",
                                           "/format_version",
                                           "/name",
                                           "/version",
                                           "/origin",
                                           "/seed",
                                           "/schema",
                                           "/schema/name",
                                           "/schema/version",
                                           "/schema/digest",
                                           "/schema/features",
                                           "/arrays",
                                           "/arrays/file",
                                           "/families",
                                           "/small_families",
                                           "/families/0/key",
                                           "/families/0/fitted_on",
                                           "/families/0/scaling",
                                           "/families/0/scaling/kind",
                                           "/families/0/scaling/clip",
                                           "/families/0/members",
                                           "/families/0/members/autoencoder/activations",
                                           "/families/0/members/forest/sample_size",
                                           "/families/0/members/svm/gamma",
                                           "/families/0/members/svm/rho",
                                           "/families/0/members/mahalanobis/isotropic",
                                           "/families/0/members/knn/k",
                                           "/families/0/members/knn/distance",
                                           "/families/0/members/svm/normaliser/median",
                                           "/families/0/members/svm/normaliser/spread",
                                           "/small_families/0/key",
                                           "/small_families/0/models",
                                           "/small_families/0/reason",
                                           "/global/key",
                                           "/global/members/forest/sample_size"};
  for (const std::string& field : fields) {
    const Json::json_pointer pointer(field);
    const std::string name = pointer.back();
    json_ = original;
    json_.at(pointer.parent_pointer()).erase(name);
    ExpectRefused(name);
    for (const Json& wrong : {Json(true), Json(-1.5), Json::array({Json::array()}), Json("\xE2\x82\xAC")}) {
      const bool allowed = (wrong.is_string() && original.at(pointer).is_string()) ||
                           (wrong.is_number() && original.at(pointer).is_number_float());
      if (allowed) continue;
      json_ = original;
      json_.at(pointer) = wrong;
      ExpectRefused(name);
    }
  }
}

TEST_F(TamperTest, ValuesOutOfRange) {
  const Json original = json_;
  const std::vector<std::tuple<std::string, Json, std::string>> cases = {
      {"/format", "other", "$.format"},
      {"/format_version", 4, "this program reads 1 to 3"},
      {"/arrays/file", "../elsewhere.safetensors", "$.arrays.file"},
      {"/version", 4294967296, "$.version"},
      {"/schema/features", Json::array(), "$.schema.features"},
      {"/schema/features", {"a", "b", "a", "c", "d"}, "$.schema.features"},
      {"/schema/features", {"a", "b"}, "no column of the schema"},
      {"/families/0/key", "z", "$.families[1].key"},
      {"/families/0/key", "*", "$.families[0].key"},
      {"/small_families/0/key", "z", "$.small_families[1].key"},
      {"/small_families/0/key", "a", "$.small_families[0].key"},
      {"/global/key", "a", "$.global.key"},
      {"/families/0/scaling/kind", "quantile", "robust, standard"},
      {"/families/0/scaling/clip", 0, "scaling.clip"},
      {"/families/0/members", Json::object(), "members"},
      {"/families/0/members/oracle", Json::object(), "members.oracle"},
      {"/families/0/members/svm", 3, "members.svm"},
      {"/families/0/members/svm/gamma", 0, "svm.gamma"},
      {"/families/0/members/svm/normaliser/spread", 0, "normaliser.spread"},
      {"/families/0/members/mahalanobis/isotropic", -1, "mahalanobis.isotropic"},
      {"/families/0/members/knn/k", 0, "knn.k"},
      {"/families/0/members/knn/k", 1000, "knn.k"},
      {"/families/0/members/knn/distance", "median", "mean, kth"},
      {"/families/0/members/autoencoder/activations", {"tanh", "softmax"}, "activations[1]"},
      {"/families/0/members/autoencoder/activations", {"tanh"}, "gives back 2 values for a row of 4"},
      {"/families/0/members/autoencoder/activations", Json::array(), "activations"},
  };
  for (const auto& [field, value, named] : cases) {
    json_ = original;
    json_[Json::json_pointer(field)] = value;
    ExpectRefused(named);
  }
}

TEST_F(TamperTest, EveryArrayIsNeededInItsTypeAndShape) {
  const Tensors original = tensors_;
  for (const auto& [name, tensor] : original) {
    tensors_ = original;
    tensors_.erase(name);
    ExpectRefused(name);
    tensors_ = original;
    tensors_.at(name).shape.push_back(1);
    ExpectRefused(name);
    tensors_ = original;  // the same bytes as another type
    artifact::NamedTensor& changed = tensors_.at(name);
    changed.dtype = changed.dtype == artifact::DType::kF64 ? artifact::DType::kI64 : artifact::DType::kU32;
    ExpectRefused(name);
  }
}

TEST_F(TamperTest, NumbersThatAreNotFinite) {
  const Tensors original = tensors_;
  for (const auto& [name, tensor] : original) {
    if (tensor.data.empty() || tensor.dtype == artifact::DType::kI32) continue;
    tensors_ = original;
    if (tensor.dtype == artifact::DType::kF64) Set(name, 0, std::nan(""));
    if (tensor.dtype == artifact::DType::kF32) Set(name, 0, std::numeric_limits<float>::infinity());
    ExpectRefused(name);
  }
}

TEST_F(TamperTest, IndicesAndOrders) {
  const Tensors original = tensors_;
  const std::vector<std::pair<std::string, std::function<void()>>> cases = {
      {"columns.feature", [&] { Set<int32_t>("family.0.columns.feature", 0, -1); }},
      {"columns.feature", [&] { Set<int32_t>("family.0.columns.feature", 3, 5); }},
      {"columns.feature", [&] { Set<int32_t>("family.0.columns.feature", 1, 0); }},
      {"constants.feature", [&] { Set<int32_t>("global.constants.feature", 0, 77); }},
      {"columns.scale", [&] { Set<double>("family.0.columns.scale", 0, 0); }},
      {"columns.scale", [&] { Set<double>("family.0.columns.scale", 0, -1); }},
      {"calibration", [&] { Set<double>("family.0.calibration", 0, 1e9); }},
      {"forest.feature", [&] { Set<int32_t>("family.0.forest.feature", 0, 4); }},
      {"forest.feature", [&] { Set<int32_t>("family.0.forest.feature", 0, -2); }},
      {"forest.feature", [&] { Set<int32_t>("family.0.forest.feature", 0, -1); }},  // a leaf with children
      {"node 0", [&] { Set<int32_t>("family.0.forest.left", 0, 0); }},              // its own child: a cycle
      {"node 0", [&] { Set<int32_t>("family.0.forest.right", 0, 2000000000); }},
      {"node 0", [&] { Set<int32_t>("family.0.forest.right", 0, -5); }},
      {"forest.roots", [&] { Set<int32_t>("family.0.forest.roots", 1, -1); }},
      {"forest.roots", [&] { Set<int32_t>("family.0.forest.roots", 1, 2000000000); }},
  };
  for (const auto& [named, change] : cases) {
    tensors_ = original;
    change();
    ExpectRefused(named);
  }
}

TEST_F(TamperTest, CalibrationNeedsNormalisers) {
  for (auto& [name, member] : json_["families"][0]["members"].items()) member["normaliser"] = nullptr;
  ExpectRefused("family.0.calibration");
}

TEST_F(TamperTest, StateThatIsNoState) {
  ASSERT_TRUE(Load().ok());
  const std::string good = ReadAll(folder_ / "detector_state.json");
  const std::string deep(200000, '[');
  for (const std::string& text :
       {std::string(), std::string("null"), std::string("[]"), std::string("{}"), deep, good.substr(0, good.size() / 2),
        good + "x", "\xff" + good, std::string(R"({"format": "driftseal-detector", "format_version": 1e999})")}) {
    WriteAll(folder_ / "detector_state.json", text);
    const absl::Status status = Detector::Load(folder_.path()).status();
    EXPECT_FALSE(status.ok()) << text.substr(0, 40);
    EXPECT_THAT(std::string(status.message()), HasSubstr("detector_state.json"));
  }
}

TEST_F(TamperTest, ArraysThatAreNoSafetensors) {
  ASSERT_TRUE(Load().ok());
  for (const std::string& bytes : {std::string(), std::string(100, '\xff'), std::string("PK\x03\x04 zip")}) {
    json_["arrays"]["sha256"] = artifact::Sha256(std::as_bytes(std::span(bytes))).Hex();
    WriteAll(folder_ / "detector_state.json", json_.dump());
    WriteAll(folder_ / "detector.safetensors", bytes);
    EXPECT_THAT(std::string(Detector::Load(folder_.path()).status().message()), HasSubstr("detector.safetensors"));
  }
}

TEST_F(TamperTest, DigestMustBeOne) {
  fix_digest_ = false;
  json_["arrays"]["sha256"] = "abc";
  ExpectRefused("$.arrays.sha256");
}

}  // namespace
}  // namespace driftseal::detector
