#include "engine/canary/references.h"

#include <gmock/gmock.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <random>

#include "engine/artifact/model_file.h"
#include "engine/canary/inputs.h"
#include "tests/engine/canary/fake_pool.h"

namespace driftseal::canary {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

artifact::Source SourceOf(std::string_view text) {
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return artifact::Source::FromBytes("data", std::move(bytes));
}

std::string Idx(uint8_t type, const std::vector<uint32_t>& sizes, std::string_view elements) {
  std::string out = {0, 0, static_cast<char>(type), static_cast<char>(sizes.size())};
  for (const uint32_t size : sizes) {
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(size >> shift);
  }
  return out + std::string(elements);
}

std::string Gzip(const std::string& text) {
  z_stream z{};
  deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, text.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

LabelledData SomeData(size_t count) {
  LabelledData data;
  data.shape = {2, 3};
  for (size_t i = 0; i < count; ++i) {
    for (size_t e = 0; e < 6; ++e) data.bytes.push_back(static_cast<uint8_t>(e == 0 ? i / 256 : i * 31 + e * 7));
    data.labels.push_back(i % 10 == 0 ? 1 : 0);
  }
  return data;
}

TEST(ChooseReferences, IsBalancedAndHeedsContentNotPosition) {
  const LabelledData data = SomeData(1000);
  ReferenceOptions options;
  options.name = "n";
  options.count = 40;
  const auto chosen = ChooseReferences(data, options);
  ASSERT_TRUE(chosen.ok()) << chosen.status();
  EXPECT_EQ(chosen->set.count(), 40u);
  EXPECT_EQ(std::count(chosen->set.labels.begin(), chosen->set.labels.end(), 1), 20);
  EXPECT_THAT(chosen->set.shape, ElementsAre(1, 2, 3));
  EXPECT_THAT(chosen->set.image, ElementsAre(1, 2, 3));
  EXPECT_EQ(chosen->set.classes, 2u);
  EXPECT_GE(*std::min_element(chosen->set.inputs.begin(), chosen->set.inputs.end()), 0);
  EXPECT_LE(*std::max_element(chosen->set.inputs.begin(), chosen->set.inputs.end()), 1);

  std::vector<size_t> order(1000);
  std::iota(order.begin(), order.end(), size_t{0});
  std::shuffle(order.begin(), order.end(), std::mt19937(1));
  LabelledData shuffled;
  shuffled.shape = data.shape;
  for (const size_t i : order) {
    shuffled.bytes.insert(shuffled.bytes.end(), data.bytes.begin() + i * 6, data.bytes.begin() + (i + 1) * 6);
    shuffled.labels.push_back(data.labels[i]);
  }
  const auto again = ChooseReferences(shuffled, options);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->set.inputs, chosen->set.inputs);
  EXPECT_EQ(again->set.labels, chosen->set.labels);
}

TEST(ChooseReferences, TwinsCountOnceAndBrokenRowsNotAtAll) {
  LabelledData data;
  data.shape = {2};
  data.floats = {1, 2, 1, 2, NAN, 0, 3, 4};
  data.labels = {1, 0, 0, 1};
  const auto chosen = ChooseReferences(data, {.name = "n", .table = true});
  ASSERT_TRUE(chosen.ok()) << chosen.status();
  EXPECT_EQ(chosen->set.count(), 2u);
  EXPECT_EQ(chosen->twice, 1u);
  EXPECT_EQ(chosen->passed_over, 1u);
  data.floats = std::vector<float>(8, NAN);
  EXPECT_TRUE(absl::IsFailedPrecondition(ChooseReferences(data, {.name = "n"}).status()));
}

TEST(ChooseReferences, ShapesAndRanges) {
  const LabelledData data = SomeData(20);
  ReferenceOptions flat{.name = "n", .shape = {6}};
  const auto chosen = ChooseReferences(data, flat);
  ASSERT_TRUE(chosen.ok()) << chosen.status();
  EXPECT_THAT(chosen->set.shape, ElementsAre(6));
  EXPECT_THAT(chosen->set.image, ElementsAre(1, 2, 3)) << "of the data";
  EXPECT_FALSE(ChooseReferences(data, {.name = "n", .shape = {7}}).ok());
  EXPECT_FALSE(ChooseReferences(data, {.name = "n", .image = {1, 2, 2}}).ok());
  EXPECT_FALSE(ChooseReferences(data, {.name = "n", .count = 0}).ok());
  EXPECT_FALSE(ChooseReferences(data, {.name = "n", .low = 2.0f}).ok());
  const auto wide = ChooseReferences(data, {.name = "n", .low = -1.0f, .high = 1.0f});
  ASSERT_TRUE(wide.ok());
  EXPECT_LT(*std::min_element(wide->set.inputs.begin(), wide->set.inputs.end()), 0);
}

TEST(Idx, ReadsImagesAndLabelsPlainAndPacked) {
  std::string pixels;
  for (int i = 0; i < 12; ++i) pixels += static_cast<char>(20 * i);
  const std::string images = Idx(8, {3, 2, 2}, pixels), labels = Idx(8, {3}, std::string("\x05\x00\x09", 3));
  for (const bool packed : {false, true}) {
    const artifact::Source file = SourceOf(packed ? Gzip(images) : images);
    const artifact::Source their = SourceOf(packed ? Gzip(labels) : labels);
    EXPECT_TRUE(LooksLikeIdx(file));
    const auto data = DataFromIdx(file, &their);
    ASSERT_TRUE(data.ok()) << data.status();
    EXPECT_THAT(data->shape, ElementsAre(2, 2));
    EXPECT_THAT(data->labels, ElementsAre(5, 0, 9));
    ASSERT_EQ(data->bytes.size(), 12u);
    EXPECT_EQ(data->bytes[11], 220);
  }
  EXPECT_THAT(DataFromIdx(SourceOf(images), nullptr)->labels, ElementsAre(-1, -1, -1));
  const auto floats = DataFromIdx(SourceOf(Idx(13, {1, 2}, std::string("\x3F\x80\0\0\xBF\0\0\0", 8))), nullptr);
  ASSERT_TRUE(floats.ok()) << floats.status();
  EXPECT_THAT(floats->floats, ElementsAre(1.0f, -0.5f));
}

TEST(Idx, HostileFilesAreRefused) {
  const std::string four(4, 'x');
  const artifact::Source good = SourceOf(Idx(8, {2, 2}, four));
  const auto refused = [](const std::string& bytes, const std::string& said) {
    const auto data = DataFromIdx(SourceOf(bytes), nullptr);
    EXPECT_FALSE(data.ok()) << said;
    EXPECT_THAT(std::string(data.status().message()), HasSubstr(said));
    EXPECT_THAT(std::string(data.status().message()), HasSubstr("data: "));
  };
  refused("", "end of the file");
  refused(Idx(8, {2, 2}, "xyz"), "end of the file");
  refused(Idx(8, {2, 2}, "xxxxx"), "more bytes");
  refused(Idx(8, {0, 2}, ""), "dimension 0 is 0");
  refused(Idx(8, {4}, four), "labels");
  refused(Idx(14, {1, 1}, "12345678"), "type 14");
  refused(Idx(8, {0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, four), "bytes of elements");
  refused(Idx(8, {1, 1u << 29}, four), "end of the file");
  refused(Gzip(Idx(8, {2, 2}, four)).substr(0, 25), "truncated");
  refused(Gzip(Idx(8, {2, 2}, four)) + "more", "more bytes");
  std::string broken = Gzip(Idx(8, {2, 2}, four));
  broken[12] = static_cast<char>(broken[12] ^ 0x55);
  EXPECT_FALSE(DataFromIdx(SourceOf(broken), nullptr).ok());
  // A file that unpacks to far more than it says.
  refused(Gzip(Idx(8, {2, 2}, std::string(1 << 24, 'x'))), "more bytes");
  for (const std::string& labels :
       {Idx(8, {3}, "abc"), Idx(12, {2}, "\x7F\xFF\xFF\xFF\0\0\0\0"), Idx(13, {2}, "12345678")}) {
    const artifact::Source their = SourceOf(labels);
    EXPECT_FALSE(DataFromIdx(good, &their).ok());
  }
}

std::string File(std::vector<artifact::NamedTensor> tensors) { return artifact::WriteSafetensors(tensors, {}).value(); }
artifact::NamedTensor Floats(std::string name, std::vector<uint64_t> shape, const std::vector<float>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {std::move(name), std::move(shape), artifact::DType::kF32, {bytes.begin(), bytes.end()}};
}

TEST(SafetensorsData, ReadsInputsAndLabels) {
  const auto data =
      DataFromSafetensors(SourceOf(File({Floats("x", {2, 3}, {1, 2, 3, 4, 5, 6}), Floats("y", {2}, {1, 0})})));
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT(data->shape, ElementsAre(3));
  EXPECT_THAT(data->labels, ElementsAre(1, 0));
  EXPECT_EQ(data->floats[5], 6);
  const auto unlabelled = DataFromSafetensors(
      SourceOf(File({{"images", {2, 1, 2, 2}, artifact::DType::kU8, std::vector<std::byte>(8, std::byte{9})}})));
  ASSERT_TRUE(unlabelled.ok()) << unlabelled.status();
  EXPECT_EQ(unlabelled->bytes.size(), 8u);
  EXPECT_THAT(unlabelled->labels, ElementsAre(-1, -1));
}

TEST(SafetensorsData, NamesWhatIsWrong) {
  const auto said = [](std::vector<artifact::NamedTensor> tensors) {
    const auto data = DataFromSafetensors(SourceOf(File(std::move(tensors))));
    EXPECT_FALSE(data.ok());
    return std::string(data.status().message());
  };
  EXPECT_THAT(said({Floats("weights", {2}, {1, 2})}), HasSubstr("\"inputs\""));
  EXPECT_THAT(said({Floats("x", {2}, {1, 2})}), HasSubstr("dimensions"));
  EXPECT_THAT(said({Floats("x", {2, 1}, {1, 2}), Floats("y", {3}, {1, 0, 0})}), HasSubstr("2 labels"));
  EXPECT_THAT(said({Floats("x", {2, 1}, {1, 2}), Floats("y", {2}, {1, 0.5f})}), HasSubstr("row 2 is 0.5"));
  EXPECT_THAT(said({Floats("x", {2, 1}, {1, 2}), Floats("y", {2}, {1, 1e9f})}), HasSubstr("whole number"));
  EXPECT_THAT(said({{"x", {1, 1}, artifact::DType::kI32, std::vector<std::byte>(4)}}), HasSubstr("I32"));
}

TEST(TableData, FindsTheLabelsAndKeepsTheOtherColumns) {
  const std::vector<double> a = {1, 2, 3}, b = {4, 5, 6};
  const std::vector<std::string> kinds = {"spam", "ham", "spam"};
  const std::vector<TableColumn> columns = {{"a", a, {}}, {"Label", {}, kinds}, {"b", b, {}}};
  const auto data = DataFromTable(columns, 3, "", "t.csv");
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT(data->labels, ElementsAre(1, 0, 1)) << "in the order of their names";
  EXPECT_THAT(data->floats, ElementsAre(1, 4, 2, 5, 3, 6));
  const auto named = DataFromTable(std::span(columns).subspan(0, 1), 3, "a", "t.csv");
  EXPECT_FALSE(named.ok()) << "nothing is left";
  const auto other = DataFromTable(columns, 3, "a", "t.csv");
  EXPECT_THAT(std::string(other.status().message()), HasSubstr("\"Label\""));
  EXPECT_THAT(std::string(DataFromTable(columns, 3, "none", "t.csv").status().message()), HasSubstr("no column"));
  const std::vector<double> odd = {0, -2, 1};
  EXPECT_FALSE(DataFromTable(std::vector<TableColumn>{{"a", a, {}}, {"y", odd, {}}}, 3, "", "t.csv").ok());
}

TEST(Noise, StaysWithinTheRangeAndDependsOnTheSeedAlone) {
  const replay::CanarySet images = SomeSet(5, true), tables = SomeSet(5, false);
  for (const auto& make : {NoiseInputs, StructuredNoise}) {
    const std::vector<float> some = make(images, 20, 1);
    ASSERT_EQ(some.size(), 20u * 16);
    for (const float value : some) EXPECT_TRUE(value >= 0 && value <= 1);
    EXPECT_EQ(make(images, 20, 1), some);
    EXPECT_NE(make(images, 20, 2), some);
    EXPECT_EQ(make(tables, 7, 1).size(), 7u * 5);
  }
  replay::CanarySet wide;
  wide.shape = {64};
  const std::vector<float> normal = NoiseInputs(wide, 500, 3);
  double sum = 0, squares = 0;
  for (const float value : normal) sum += value, squares += static_cast<double>(value) * value;
  EXPECT_NEAR(sum / static_cast<double>(normal.size()), 0, 0.03);
  EXPECT_NEAR(squares / static_cast<double>(normal.size()), 1, 0.03);
}

// Neighbours are alike in structured noise, and are not in plain noise.
TEST(Noise, StructuredNoiseIsSmooth) {
  replay::CanarySet set;
  set.shape = set.image = {1, 28, 28};
  const auto roughness = [&](const std::vector<float>& inputs) {
    double sum = 0;
    for (size_t i = 1; i < inputs.size(); ++i) sum += std::abs(inputs[i] - inputs[i - 1]);
    return sum / static_cast<double>(inputs.size());
  };
  EXPECT_LT(roughness(StructuredNoise(set, 10, 1)), roughness(NoiseInputs(set, 10, 1)) / 3);
}

}  // namespace
}  // namespace driftseal::canary
