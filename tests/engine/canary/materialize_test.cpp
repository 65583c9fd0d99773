#include "engine/canary/materialize.h"

#include <gmock/gmock.h>

#include <cstring>

#include "engine/canary/expected.h"
#include "engine/canary/inputs.h"
#include "tests/engine/canary/fake_pool.h"

namespace driftseal::canary {
namespace {

using ::testing::HasSubstr;

const std::vector<std::byte> kModel(10);

artifact::Source SourceOf(std::string_view text) {
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return artifact::Source::FromBytes("m.canary.safetensors", std::move(bytes));
}

CanaryFile Made(FakePool& pool, bool image, size_t count = 60) {
  const auto file = Materialize(pool, kModel, replay::ModelRuntime::kTorchScript, artifact::Sha256(kModel),
                                SomeSet(count, image), {});
  EXPECT_TRUE(file.ok()) << file.status();
  return *file;
}

std::string Encoded(const CanaryFile& file) { return EncodeCanaryFile(file).value(); }

TEST(Materialize, HasAllKindsAndTheModelsAnswers) {
  for (const bool image : {false, true}) {
    FakePool pool(Linear);
    const CanaryFile file = Made(pool, image);
    EXPECT_EQ(file.set.count(), 60u + 3 * 64);
    for (const InputKind kind : {InputKind::kNoise, InputKind::kStructured, InputKind::kBoundary}) {
      EXPECT_EQ(std::count(file.kinds.begin(), file.kinds.end(), kind), 64) << KindName(kind);
    }
    for (size_t i = 0; i < file.set.count(); ++i) {
      const auto input = std::span(file.set.inputs).subspan(i * file.set.elements(), file.set.elements());
      const std::vector<float> row = Linear(input);
      EXPECT_EQ(std::vector<float>(file.outputs.begin() + i * 3, file.outputs.begin() + i * 3 + 3), row);
      if (file.kinds[i] == InputKind::kBoundary) {
        EXPECT_LT(TopOf(row).margin, 0.1f) << i;
      }
      EXPECT_EQ(file.set.labels[i], file.kinds[i] == InputKind::kReference ? static_cast<int32_t>(i % 3) : -1);
    }
  }
}

TEST(Materialize, IsTheSameEveryTimeAndAsksForAllPairsAtOnce) {
  FakePool pool(Linear), again(Linear);
  EXPECT_EQ(Encoded(Made(pool, true)), Encoded(Made(again, true)));
  EXPECT_EQ(pool.calls, 1 + 8 + 1);
}

TEST(Materialize, NeedsNoReferences) {
  FakePool pool(Linear);
  replay::CanarySet shape;
  shape.name = "generated";
  shape.shape = {3};
  const auto file = Materialize(pool, kModel, replay::ModelRuntime::kTorchScript, {}, shape, {});
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->set.count(), 3 * 64u);
}

TEST(Materialize, AModelOfOneAnswerHasNoBoundary) {
  FakePool pool([](std::span<const float>) { return std::vector<float>{1, 0}; });
  const CanaryFile file = Made(pool, true);
  EXPECT_EQ(file.set.count(), 60u + 2 * 64);
}

TEST(Materialize, LargeInputsHaveFewerCanariesAndFailuresAreTold) {
  FakePool pool(Linear);
  replay::CanarySet large;
  large.name = "large";
  large.shape = {1u << 20};
  const auto file = Materialize(pool, kModel, replay::ModelRuntime::kTorchScript, {}, large, {});
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->set.count(), 3 * 21u);
  pool.fails = absl::DeadlineExceededError("too slow");
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      Materialize(pool, kModel, replay::ModelRuntime::kTorchScript, {}, SomeSet(3, true), {}).status()));
  large.shape = {};
  large.inputs = {1};
  EXPECT_FALSE(Materialize(pool, kModel, replay::ModelRuntime::kTorchScript, {}, large, {}).ok());
}

TEST(CanaryFile, ComesBackAsItWas) {
  FakePool pool(Linear);
  const CanaryFile file = Made(pool, true);
  const auto read = ReadCanaryFile(SourceOf(Encoded(file)));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->set.inputs, file.set.inputs);
  EXPECT_EQ(read->outputs, file.outputs);
  EXPECT_EQ(read->kinds, file.kinds);
  EXPECT_EQ(read->model_sha256, file.model_sha256);
  EXPECT_EQ(read->behaviour.hash, file.behaviour.hash);
  EXPECT_EQ(read->behaviour.parameters, file.behaviour.parameters);
  EXPECT_EQ(Encoded(*read), Encoded(file));
  EXPECT_TRUE(IsCanaryFile(SourceOf(Encoded(file))));
  EXPECT_FALSE(IsCanaryFile(SourceOf("no file")));
  EXPECT_FALSE(IsCanaryFile(SourceOf(replay::EncodeCanarySet(file.set).value())));
}

// Whoever changes an answer in the file changes the hash that stands beside it.
TEST(CanaryFile, ChangedPartsAreFoundOut) {
  FakePool pool(Linear);
  const CanaryFile good = Made(pool, true, 10);
  const auto refused = [](const CanaryFile& file, std::string_view what) {
    const auto read = ReadCanaryFile(SourceOf(Encoded(file)));
    EXPECT_TRUE(absl::IsInvalidArgument(read.status())) << what << ": " << read.status();
    EXPECT_THAT(std::string(read.status().message()), HasSubstr(std::string(what)));
    EXPECT_THAT(std::string(read.status().message()), HasSubstr("m.canary.safetensors"));
  };
  CanaryFile file = good;
  file.outputs[4] += 10;
  refused(file, "behaviour.hash");
  file = good;
  file.set.inputs[4] = 0.125f;
  refused(file, "inputs_sha256");
  file = good;
  file.behaviour.parameters.step = 0;
  refused(file, "step");
  file = good;
  file.kinds[0] = static_cast<InputKind>(9);
  refused(file, "kind");
  file = good;
  file.set.image = {2, 2, 2};
  refused(file, "image");
  file = good;
  file.set.inputs[0] = 7;
  refused(file, "outside");
}

TEST(CanaryFile, TruncatedAndForeignFilesAreRefused) {
  FakePool pool(Linear);
  const std::string bytes = Encoded(Made(pool, false, 5));
  for (size_t length = 0; length < bytes.size(); length += 97) {
    EXPECT_FALSE(ReadCanaryFile(SourceOf(bytes.substr(0, length))).ok()) << length;
  }
  EXPECT_FALSE(ReadCanaryFile(SourceOf("{}")).ok());
}

TEST(CheckExpected, TheSameModelAnswersAsRecorded) {
  FakePool pool(Linear);
  const CanaryFile file = Made(pool, true);
  const auto same = CheckExpected(pool, kModel, replay::ModelRuntime::kTorchScript, file.model_sha256, file);
  ASSERT_TRUE(same.ok());
  EXPECT_TRUE(same->bound);
  EXPECT_TRUE(same->equal);
  EXPECT_EQ(same->changed_class, 0u);
  EXPECT_EQ(TextOf(*same), "answers as recorded on 252 canaries");
  const auto other = CheckExpected(pool, kModel, replay::ModelRuntime::kTorchScript, {}, file);
  EXPECT_FALSE(other->bound);
  EXPECT_TRUE(other->equal);
  EXPECT_THAT(TextOf(*other), HasSubstr("re-serialised"));
}

TEST(CheckExpected, ADifferentModelIsToldApart) {
  FakePool pool(Linear);
  const CanaryFile file = Made(pool, true);
  // A backdoor: the last element, when it is large, decides.
  FakePool poisoned([](std::span<const float> input) {
    std::vector<float> row = Linear(input);
    if (input.back() > 0.9f) row[2] += 20;
    return row;
  });
  const auto found = CheckExpected(poisoned, kModel, replay::ModelRuntime::kTorchScript, file.model_sha256, file);
  ASSERT_TRUE(found.ok());
  EXPECT_FALSE(found->equal);
  EXPECT_NE(found->found, found->expected);
  EXPECT_GT(found->distance, 0);
  EXPECT_GT(found->changed_class, 0u);
  ASSERT_FALSE(found->changed.empty());
  EXPECT_LE(found->changed.size(), Comparison::kMostListed);
  for (const auto& change : found->changed) {
    EXPECT_EQ(change.after, 2);
    EXPECT_NE(change.before, 2);
    EXPECT_GT(file.set.inputs[(change.input + 1) * 16 - 1], 0.9f);
  }
  EXPECT_NEAR(found->largest, 20, 1e-3);
  FakePool narrow([](std::span<const float>) { return std::vector<float>{1, 0}; });
  EXPECT_TRUE(
      absl::IsFailedPrecondition(CheckExpected(narrow, kModel, replay::ModelRuntime::kTorchScript, {}, file).status()));
}

TEST(OpenExpected, AnExchangedFileIsDataLoss) {
  FakePool pool(Linear);
  const CanaryFile file = Made(pool, true);
  const std::string bytes = Encoded(file);
  const artifact::Digest digest = artifact::Sha256(std::as_bytes(std::span(bytes.data(), bytes.size())));
  EXPECT_TRUE(OpenExpected(SourceOf(bytes), {digest, file.behaviour.hash}).ok());
  EXPECT_TRUE(OpenExpected(SourceOf(bytes), {}).ok());
  EXPECT_TRUE(absl::IsDataLoss(OpenExpected(SourceOf(bytes), {artifact::Digest{}, {}}).status()));
  EXPECT_TRUE(absl::IsDataLoss(OpenExpected(SourceOf(bytes), {digest, artifact::Digest{}}).status()));
}

}  // namespace
}  // namespace driftseal::canary
