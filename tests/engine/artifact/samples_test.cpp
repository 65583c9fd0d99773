// The files of samples/, written by torch, safetensors and XGBoost, hold what these libraries read back from them
// (samples/expected.json; make_samples.py made both).
#include <algorithm>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "fixtures.h"

namespace driftseal::artifact {
namespace {

const nlohmann::json& Expected() {
  static const nlohmann::json expected = nlohmann::json::parse(Sample("expected.json"));
  return expected;
}

std::vector<std::string> Names(std::string_view kind) {
  std::vector<std::string> names;
  for (const auto& [name, unused] : Expected().at(std::string(kind)).items()) names.push_back(name);
  return names;
}

// Equal, where any NaN equals any other.
void ExpectSameBits(const std::vector<float>& found, const std::vector<int32_t>& bits) {
  ASSERT_EQ(found.size(), bits.size());
  for (size_t i = 0; i < found.size(); ++i) {
    const float expected = std::bit_cast<float>(bits[i]);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(found[i])) << i;
    } else {
      EXPECT_EQ(std::bit_cast<int32_t>(found[i]), bits[i]) << i << ": " << found[i] << " for " << expected;
    }
  }
}

class TensorSample : public testing::TestWithParam<std::string> {};

TEST_P(TensorSample, HoldsTheTensorsThatItsWriterReads) {
  const absl::StatusOr<Source> source = Source::Open(SamplePath(GetParam()));
  ASSERT_THAT(source, IsOk());
  const absl::StatusOr<ModelFile> model = ReadModelFile(*source);
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->format, GetParam().ends_with(".pt") ? Format::kTorchZip : Format::kSafetensors);
  const auto& table = std::get<TensorTable>(model->content);
  const nlohmann::json& expected = Expected().at("tensors").at(GetParam());
  ASSERT_EQ(table.tensors.size(), expected.size());
  std::vector<std::string> order;
  for (const nlohmann::json& want : expected) {
    SCOPED_TRACE(want.at("name").dump());
    const auto found = std::find_if(table.tensors.begin(), table.tensors.end(),
                                    [&](const TensorInfo& t) { return t.name == want.at("name"); });
    ASSERT_NE(found, table.tensors.end());
    EXPECT_EQ(DTypeName(found->dtype), want.at("dtype"));
    EXPECT_EQ(found->shape, want.at("shape").get<std::vector<uint64_t>>());
    std::vector<float> values;
    ASSERT_THAT(ReadTensor(*source, *found, 1 << 20, values), IsOk());
    ExpectSameBits(values, want.at("bits").get<std::vector<int32_t>>());
  }
  // Torch keeps the order of its dictionary; safetensors sorts as it likes.
  if (model->format == Format::kTorchZip) {
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(table.tensors[i].name, expected[i].at("name"));
  }
}

std::string TestName(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, TensorSample, testing::ValuesIn(Names("tensors")), TestName);

// Margin of one row by the definition of the trees: go left when x < threshold.
std::vector<double> Margins(const Booster& booster, const std::vector<float>& row) {
  std::vector<double> margins;
  for (size_t k = 0; k < std::max(1u, booster.classes); ++k) {
    const double base = booster.base_scores.at(booster.base_scores.size() == 1 ? 0 : k);
    margins.push_back(booster.objective == "binary:logistic" ? std::log(base / (1 - base)) : base);
  }
  for (size_t t = 0; t < booster.trees.size(); ++t) {
    const BoostedTree& tree = booster.trees[t];
    int32_t node = 0;
    while (tree.left[node] != -1) {
      const bool left = row.at(tree.feature[node]) < tree.value[node];
      node = left ? tree.left[node] : tree.right[node];
    }
    margins.at(booster.tree_class[t]) += tree.value[node];
  }
  return margins;
}

class BoosterSample : public testing::TestWithParam<std::string> {};

TEST_P(BoosterSample, PredictsAsXgboostDoes) {
  const absl::StatusOr<Source> source = Source::Open(SamplePath(GetParam()));
  ASSERT_THAT(source, IsOk());
  const absl::StatusOr<ModelFile> model = ReadModelFile(*source);
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->format, GetParam().ends_with(".json") ? Format::kXgboostJson : Format::kXgboostUbj);
  const auto& booster = std::get<Booster>(model->content);
  const nlohmann::json& expected = Expected().at("boosters").at(GetParam());
  EXPECT_EQ(booster.objective, expected.at("objective"));
  EXPECT_EQ(booster.features, expected.at("features"));
  EXPECT_EQ(booster.classes, expected.at("classes"));
  EXPECT_THAT(booster.version, testing::AnyOf("3.2.0", "1.7.4"));
  const auto rows = expected.at("rows").get<std::vector<std::vector<float>>>();
  const auto margins = expected.at("margins").get<std::vector<std::vector<double>>>();
  ASSERT_EQ(rows.size(), margins.size());
  for (size_t r = 0; r < rows.size(); ++r) {
    EXPECT_THAT(Margins(booster, rows[r]), testing::Pointwise(testing::DoubleNear(2e-6), margins[r])) << "row " << r;
  }
  for (const BoostedTree& tree : booster.trees) {
    EXPECT_EQ(tree.gain.size(), tree.left.size());
    EXPECT_EQ(tree.cover.size(), tree.left.size());
    EXPECT_GT(tree.cover.at(0), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(All, BoosterSample, testing::ValuesIn(Names("boosters")), TestName);

Digest Architecture(std::string_view sample) {
  const absl::StatusOr<Source> source = Source::Open(SamplePath(sample));
  EXPECT_THAT(source, IsOk());
  const absl::StatusOr<ModelFile> model = ReadModelFile(*source);
  EXPECT_THAT(model, IsOk()) << sample;
  return ArchitectureDigest(*model);
}

TEST(Architecture, IsTheSameInEveryFormatOfOneNetwork) {
  const Digest expected = Architecture("net.safetensors");
  for (const char* name :
       {"net.state_dict.pt", "net.torchscript.pt", "net.traced.pt", "net.protocol4.pt", "net.nocrc.pt"}) {
    EXPECT_EQ(Architecture(name).Hex(), expected.Hex()) << name;
  }
  EXPECT_EQ(Architecture("binary.json"), Architecture("binary.ubj"));
  EXPECT_EQ(Architecture("binary.json"), Architecture("binary17.ubj"));
}

TEST(Architecture, DiffersWithNamesShapesTypesAndKinds) {
  const auto digest = [](TensorTable table) {
    return ArchitectureDigest({.format = Format::kSafetensors, .content = std::move(table)}).Hex();
  };
  const auto table = [](std::string name, std::vector<uint64_t> shape, DType type) {
    TensorInfo info;
    info.name = std::move(name);
    info.shape = std::move(shape);
    info.dtype = type;
    return TensorTable{.tensors = {info}, .metadata = {}};
  };
  std::set<std::string> digests = {digest({}),
                                   digest(table("w", {2, 3}, DType::kF32)),
                                   digest(table("w", {3, 2}, DType::kF32)),
                                   digest(table("w", {23}, DType::kF32)),
                                   digest(table("w", {2, 3}, DType::kF16)),
                                   digest(table("v", {2, 3}, DType::kF32)),
                                   digest(table("w\nF32 2 3\n", {}, DType::kF32)),
                                   Architecture("dart.json").Hex(),
                                   Architecture("multi.json").Hex(),
                                   Architecture("binary.json").Hex()};
  EXPECT_EQ(digests.size(), 10u);
  TensorTable two = table("a", {1}, DType::kF32), reversed = two;
  two.tensors.push_back(table("b", {2}, DType::kF32).tensors[0]);
  reversed.tensors.insert(reversed.tensors.begin(), two.tensors[1]);
  EXPECT_EQ(digest(two), digest(reversed)) << "the order of the file does not count";
}

struct Refusal {
  const char* sample;
  absl::StatusCode code;
  const char* text;
};

TEST(Samples, ThatAreNotUnderstoodSayWhy) {
  const Refusal refusals[] = {
      {"net.module.pt", absl::StatusCode::kUnimplemented, "needs the code of \"__main__.Net\" to be rebuilt"},
      {"quantized.pt", absl::StatusCode::kUnimplemented, "torch._utils._rebuild_qtensor"},
      {"sparse.pt", absl::StatusCode::kUnimplemented, "torch._utils._rebuild_sparse_tensor"},
      {"linear.ubj", absl::StatusCode::kUnimplemented, "gblinear"},
      {"multi_output.ubj", absl::StatusCode::kUnimplemented, "size_leaf_vector is 2"},
      {"categories.json", absl::StatusCode::kUnimplemented, "splits by categories"},
      {"binary17.deprecated", absl::StatusCode::kUnimplemented, "XGBoost's old binary format"},
      {"expected.json", absl::StatusCode::kUnimplemented, "JSON without XGBoost's \"learner\""},
  };
  for (const Refusal& refusal : refusals) {
    const absl::StatusOr<Source> source = Source::Open(SamplePath(refusal.sample));
    ASSERT_THAT(source, IsOk());
    EXPECT_THAT(ReadModelFile(*source), Fails(refusal.code, refusal.text)) << refusal.sample;
    EXPECT_THAT(ReadModelFile(*source), Fails(refusal.code, SamplePath(refusal.sample))) << "names the file";
  }
}

class AnySample : public testing::TestWithParam<std::string> {};

TEST_P(AnySample, CutAnywhereIsAnError) {
  const std::string bytes = Sample(GetParam());
  for (size_t length = 0; length < bytes.size(); ++length) {
    const absl::StatusOr<ModelFile> model = ReadBytes(std::string_view(bytes).substr(0, length));
    ASSERT_FALSE(model.ok()) << length << " of " << bytes.size() << " bytes";
    ASSERT_TRUE(std::string(model.status().message()).starts_with("m: ")) << model.status();
  }
}

TEST_P(AnySample, WithAByteChangedNeitherCrashesNorReadsOutside) {
  std::string bytes = Sample(GetParam());
  for (size_t at = 0; at < bytes.size(); ++at) {
    const char change = static_cast<char>(at % 9 == 8 ? 0xff : 1 << at % 9);
    bytes[at] ^= change;
    const Source source = SourceOf("m", bytes);
    const absl::StatusOr<ModelFile> model = ReadModelFile(source);
    bytes[at] ^= change;
    if (!model.ok() || !std::holds_alternative<TensorTable>(model->content)) continue;
    std::vector<float> values;
    for (const TensorInfo& tensor : std::get<TensorTable>(model->content).tensors) {
      ASSERT_THAT(ReadTensor(source, tensor, 1 << 16, values), IsOk()) << at << " " << tensor.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, AnySample,
                         testing::Values("net.safetensors", "dtypes.safetensors", "tensor.pt", "net.state_dict.pt",
                                         "net.protocol4.pt", "checkpoint.pt", "net.torchscript.pt", "binary.json",
                                         "binary.ubj", "dart.ubj", "binary17.ubj"),
                         TestName);

}  // namespace
}  // namespace driftseal::artifact
