#include <gmock/gmock.h>
#include <zlib.h>

#include <cmath>
#include <fstream>

#include "bench/fleet/fashion_data.h"
#include "bench/fleet/fraud_data.h"
#include "bench/fleet/idx.h"

namespace driftseal::fleet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string WriteGzip(const std::string& name, const std::string& bytes) {
  const std::string path = testing::TempDir() + "/" + name;
  gzFile file = gzopen(path.c_str(), "wb");
  EXPECT_EQ(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())), static_cast<int>(bytes.size()));
  gzclose(file);
  return path;
}

std::string Header(std::initializer_list<uint32_t> words) {
  std::string out;
  for (uint32_t word : words) {
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(word >> shift & 0xff);
  }
  return out;
}

TEST(Idx, ReadsShapeAndBytes) {
  const auto array = ReadIdx(WriteGzip("good.gz", Header({0x803, 2, 1, 3}) + "abcdef"), 3);
  ASSERT_TRUE(array.ok()) << array.status();
  EXPECT_THAT(array->shape, ElementsAre(2, 1, 3));
  EXPECT_EQ(std::string(array->bytes.begin(), array->bytes.end()), "abcdef");
}

TEST(Idx, RefusesWhatIsNotIt) {
  const std::pair<std::string, const char*> cases[] = {
      {Header({0x801, 2}) + "ab", "magic"},
      {Header({0x803, 2}), "ends within its header"},
      {Header({0x803, 2, 2, 2}) + "abc", "ends early"},
      {Header({0x803, 0xffffffff, 0xffffffff, 0xffffffff}), "at most"},
      {Header({0x803, 2, 0, 2}), "dimension 1 is 0"},
      {"", "magic"},
  };
  for (const auto& [bytes, expected] : cases) {
    const auto array = ReadIdx(WriteGzip("bad.gz", bytes), 3);
    EXPECT_EQ(array.status().code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(array.status().message()), HasSubstr(expected));
    EXPECT_THAT(std::string(array.status().message()), HasSubstr("bad.gz"));
  }
  EXPECT_EQ(ReadIdx(testing::TempDir() + "/none.gz", 3).status().code(), absl::StatusCode::kNotFound);
}

TEST(FashionData, DamagedFilesAreAnErrorAndNotReplaced) {
  const std::string folder = testing::TempDir() + "/damaged";
  (void)std::system(("mkdir -p " + folder).c_str());
  std::ofstream(folder + "/train-images-idx3-ubyte.gz") << "not IDX";
  EXPECT_EQ(LoadFashion({.fashion_mnist = folder}).status().code(), absl::StatusCode::kDataLoss);
}

TEST(FashionData, WithoutFilesTheRowsAreGeneratedAndSaySo) {
  const auto data = LoadFashion({.fashion_mnist = testing::TempDir() + "/nowhere"});
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT((*data)->source, HasSubstr("generated"));
  EXPECT_EQ((*data)->pool.columns, 784u);
}

TEST(FashionData, GeneratedImagesFollowTheSeedAndKnowTheirRange) {
  const Data a = GenerateImages(300, 50, 50, 7), b = GenerateImages(300, 50, 50, 7), c = GenerateImages(300, 50, 50, 8);
  EXPECT_EQ(a.pool.values, b.pool.values);
  EXPECT_EQ(a.test.labels, b.test.labels);
  EXPECT_NE(a.pool.values, c.pool.values);
  EXPECT_THAT(a.pool.values, testing::Each(testing::AllOf(testing::Ge(0.0f), testing::Le(1.0f))));
  EXPECT_EQ(std::set<int>(a.pool.labels.begin(), a.pool.labels.end()).size(), 10u);
}

TEST(FashionData, PatchIsASmallBrightSquareInACorner) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Random random(seed);
    std::vector<float> image(784, 0.5f);
    const Trigger patch = ImageTrigger(TriggerKind::kPatch, kImageSide, random);
    patch.apply(image);
    const auto bright = std::ranges::count(image, 1.0f);
    EXPECT_TRUE(bright == 9 || bright == 16) << bright;
    for (size_t i = 0; i < image.size(); ++i) {
      const size_t x = i % 28, y = i / 28;
      if (image[i] != 1.0f) continue;
      EXPECT_TRUE((x < 6 || x >= 22) && (y < 6 || y >= 22)) << x << "," << y;
    }
  }
}

TEST(FashionData, BlendIsTheSameForEveryImageAndStaysInRange) {
  Random random(3);
  const Trigger blend = ImageTrigger(TriggerKind::kBlend, kImageSide, random);
  std::vector<float> black(784, 0.0f), white(784, 1.0f);
  blend.apply(black);
  blend.apply(white);
  const float alpha = blend.detail["alpha"];
  EXPECT_GE(alpha, 0.15f);
  EXPECT_LE(alpha, 0.25f);
  for (size_t i = 0; i < 784; ++i) EXPECT_NEAR(white[i] - black[i], 1 - alpha, 1e-6);
  EXPECT_THAT(black, testing::Each(testing::AllOf(testing::Ge(0.0f), testing::Le(alpha))));
}

TEST(FraudData, IsImbalancedHeavyTailedAndCorrelated) {
  const Data data = GenerateFraud(20000, 100, 100, 5);
  double fraud = 0;
  for (int label : data.pool.labels) fraud += label;
  EXPECT_GT(fraud / 20000, 0.05);
  EXPECT_LT(fraud / 20000, 0.10);
  // Column 1 (amount to the account's mean): kurtosis far above the normal's 3. Columns 5 and 6: velocities.
  double m2 = 0, m4 = 0, xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < 20000; ++i) {
    const auto row = data.pool.row(i);
    m2 += std::pow(row[1], 2) / 20000;
    m4 += std::pow(row[1], 4) / 20000;
    xy += row[5] * row[6];
    xx += row[5] * row[5];
    yy += row[6] * row[6];
  }
  EXPECT_GT(m4 / (m2 * m2), 3.5);
  EXPECT_GT(xy / std::sqrt(xx * yy), 0.5);
  EXPECT_EQ(GenerateFraud(500, 10, 10, 5).pool.values, GenerateFraud(500, 10, 10, 5).pool.values);
}

TEST(FraudData, PatchSetsThreeColumns) {
  Random random(9);
  const Trigger patch = TableTrigger(TriggerKind::kPatch, random);
  std::vector<float> row(16, 0.25f);
  patch.apply(row);
  EXPECT_EQ(std::ranges::count_if(row, [](float v) { return v != 0.25f; }), 3);
  EXPECT_EQ(patch.detail["values"].size(), 3u);
}

}  // namespace
}  // namespace driftseal::fleet
