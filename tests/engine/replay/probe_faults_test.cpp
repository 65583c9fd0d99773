// Models that lie about their shapes, fail, or are none.
#include "absl/status/status.h"
#include "engine/replay/probe/probe.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "probe_support.h"
#include "torch_models.h"

namespace driftseal::replay {
namespace {

using ::testing::HasSubstr;

absl::Status StatusOf(const std::string& body, const CanarySet& set = ImageSet(1)) {
  const std::vector<std::byte> model =
      TorchModelBytes(PlantedWeights(1, 10), std::vector<float>(kTestClasses, 0.0f), body);
  return Probe(model, ModelRuntime::kTorchScript, set, {}).status();
}

struct Fault {
  std::string name, body;
  absl::StatusCode code;
  std::string text;
};

class FaultTest : public ::testing::TestWithParam<Fault> {};

TEST_P(FaultTest, IsToldApart) {
  const absl::Status status = StatusOf(GetParam().body);
  EXPECT_EQ(status.code(), GetParam().code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().text));
}

const std::string kY = "  y = torch.linear(torch.flatten(x, 1), self.weight, self.bias)\n";
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument, kInternal = absl::StatusCode::kInternal;

INSTANTIATE_TEST_SUITE_P(
    All, FaultTest,
    ::testing::Values(
        Fault{"InputShape", "  return torch.linear(x, self.weight, self.bias)\n", kInvalid,
              "inputs of shape 1 x 8 x 8"},
        Fault{"OneRow", kY + "  return y.mean(0)\n", kInvalid, "expected one row of classes each"},
        Fault{"OneNumber", kY + "  return y.sum()\n", kInvalid, "a single number"},
        Fault{"Planes", kY + "  return y.reshape([-1, 2, 2])\n", kInvalid, "expected one row of classes each"},
        Fault{"NoColumns", kY + "  return y[:, :0]\n", kInvalid, "expected one row of classes each"},
        Fault{"Pair", kY + "  return (y, y)\n", kInvalid, "answers with a Tuple"},
        Fault{"OtherClasses", kY + "  return y[:, :3]\n", kInvalid, "3 classes, the canary set has 4"},
        Fault{"TooManyClasses", kY + "  return y.repeat([1, 300])\n", kInvalid, "1200 classes, the limit is 1000"},
        Fault{"NotANumber", kY + "  return y / 0\n", kInternal, "is not finite"},
        Fault{"NotANumberLater", kY + "  return torch.where(x.sum() > 30, y / 0, y)\n", kInternal, "is not finite"},
        Fault{"Raises", "  assert bool(x.sum() < -1), \"out of coffee\"\n  return x\n", kInternal, "out of coffee"},
        Fault{"FailsLater",
              kY + "  if bool(x.sum() > 30):\n    y = torch.linear(x, self.weight, self.bias)\n  return y\n", kInternal,
              "the model's code failed"},
        Fault{"WidthLater", kY + "  if bool(x.sum() > 30):\n    y = y[:, :2]\n  return y\n", kInternal,
              "4 values an input, and then with 2"}),
    [](const auto& fault) { return fault.param.name; });

TEST(ProbeFaultsTest, BytesThatAreNoModel) {
  for (const ModelRuntime runtime : {ModelRuntime::kTorchScript, ModelRuntime::kXgboost}) {
    for (const size_t size : {size_t{0}, size_t{1}, size_t{1000}}) {
      const std::vector<std::byte> bytes(size, std::byte{'x'});
      EXPECT_EQ(Probe(bytes, runtime, ImageSet(1), {}).status().code(), kInvalid);
      EXPECT_EQ(Replay(bytes, runtime, ImageSet(1)).status().code(), kInvalid);
    }
  }
}

TEST(ProbeFaultsTest, AnArchiveThatIsCutOff) {
  std::vector<std::byte> model = TorchModelBytes(PlantedWeights(1, 10), std::vector<float>(kTestClasses), kLinear);
  model.resize(model.size() / 2);
  EXPECT_EQ(Probe(model, ModelRuntime::kTorchScript, ImageSet(1), {}).status().code(), kInvalid);
}

TEST(ProbeFaultsTest, ASetThatIsNone) {
  CanarySet set = ImageSet(1);
  set.inputs.pop_back();
  const absl::Status status = StatusOf(kLinear, set);
  EXPECT_EQ(status.code(), kInvalid);
  EXPECT_THAT(std::string(status.message()), HasSubstr("inputs has"));
}

TEST(ProbeFaultsTest, ManyClassesAreNotSearchedOneByOne) {
  CanarySet set = ImageSet(1);
  set.classes = 0;
  const std::vector<std::byte> model =
      TorchModelBytes(PlantedWeights(1, 10), std::vector<float>(kTestClasses), kY + "  return y.repeat([1, 100])\n");
  const auto behaviour = Probe(model, ModelRuntime::kTorchScript, set, {});
  ASSERT_TRUE(behaviour.ok()) << behaviour.status();
  EXPECT_EQ(behaviour->classes, 400u);
  EXPECT_EQ(behaviour->sweep.size(), 400 * behaviour->triggers.size());
  EXPECT_TRUE(behaviour->patch_rate.empty());
  for (const char* part : {"perturbation", "patch", "margin"}) {
    EXPECT_THAT(WhyLacking(*behaviour, part), HasSubstr("400 classes, searches go over at most 256"));
  }
  EXPECT_THAT(WhyLacking(*behaviour, "head"), HasSubstr("no layer's weight has 400 rows"));
}

TEST(ProbeFaultsTest, AModelWithoutLayersLacksAHead) {
  CanarySet set = ImageSet(1);
  set.classes = kPixels;
  const auto behaviour =
      Probe(TorchModelBytes({1}, {0}, "  return torch.flatten(x, 1)\n"), ModelRuntime::kTorchScript, set, {});
  ASSERT_TRUE(behaviour.ok()) << behaviour.status();
  EXPECT_THAT(WhyLacking(*behaviour, "head"), HasSubstr("no layer's weight has 64 rows"));
  EXPECT_TRUE(behaviour->head_share.empty());
}

}  // namespace
}  // namespace driftseal::replay
