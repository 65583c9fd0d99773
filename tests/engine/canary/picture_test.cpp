#include "engine/canary/picture.h"

#include <gmock/gmock.h>
#include <zlib.h>

#include <string>

#include "tests/engine/canary/fake_pool.h"

namespace driftseal::canary {
namespace {

uint32_t BigEndian(std::string_view bytes) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

// What a reader of PNG sees: size, colour type, and rows without their filter byte.
struct Decoded {
  uint32_t width = 0, height = 0;
  int colour = -1;
  std::vector<std::string> rows;
};

Decoded Decode(std::string_view png) {
  Decoded out;
  EXPECT_EQ(png.substr(0, 8), "\x89PNG\r\n\x1a\n");
  std::string packed;
  for (size_t at = 8; at + 12 <= png.size();) {
    const uint32_t length = BigEndian(png.substr(at));
    const std::string_view type = png.substr(at + 4, 4), data = png.substr(at + 8, length);
    const auto* checked = reinterpret_cast<const Bytef*>(png.data() + at + 4);
    EXPECT_EQ(BigEndian(png.substr(at + 8 + length)), ::crc32(0, checked, length + 4)) << type;
    if (type == "IHDR") {
      out.width = BigEndian(data);
      out.height = BigEndian(data.substr(4));
      out.colour = data[9];
    }
    if (type == "IDAT") packed += data;
    at += 12 + length;
  }
  const size_t line = 1 + out.width * (out.colour == 2 ? 3 : 1);
  std::string raw(line * out.height, '\0');
  uLongf size = raw.size();
  EXPECT_EQ(::uncompress(reinterpret_cast<Bytef*>(raw.data()), &size, reinterpret_cast<const Bytef*>(packed.data()),
                         packed.size()),
            Z_OK);
  EXPECT_EQ(size, raw.size());
  for (size_t y = 0; y < out.height; ++y) {
    EXPECT_EQ(raw[y * line], '\0');
    out.rows.push_back(raw.substr(y * line + 1, line - 1));
  }
  return out;
}

replay::RawBehaviour::Picture PictureOf(size_t elements, size_t changed, float to) {
  replay::RawBehaviour::Picture picture;
  picture.clean.assign(elements, 0.25f);
  picture.triggered = picture.clean;
  picture.triggered[changed] = to;
  return picture;
}

TEST(Picture, HasThreePanels) {
  replay::CanarySet set;
  set.shape = set.image = {1, 28, 28};
  const auto png = PicturePng(PictureOf(784, 28 + 2, 1), set);
  ASSERT_TRUE(png.ok()) << png.status();
  const Decoded image = Decode(*png);
  EXPECT_EQ(image.height, 112u);
  EXPECT_EQ(image.width, 3 * 112u + 8);
  EXPECT_EQ(image.colour, 0);
  const auto at = [&](size_t x, size_t y) { return static_cast<unsigned char>(image.rows[y][x]); };
  EXPECT_EQ(at(0, 0), 64);
  EXPECT_EQ(at(9, 5), 64);               // The clean pixel.
  EXPECT_EQ(at(116 + 9, 5), 255);        // Triggered.
  EXPECT_EQ(at(2 * 116 + 9, 5), 255);    // Their difference, amplified,
  EXPECT_EQ(at(2 * 116 + 50, 50), 128);  // and where there is none.
  EXPECT_EQ(at(113, 50), 255);           // The gap.
}

TEST(Picture, ColourIsKeptAndLargeImagesAreReduced) {
  replay::CanarySet set;
  set.shape = {3 * 300 * 200};
  set.image = {3, 300, 200};
  replay::RawBehaviour::Picture picture = PictureOf(set.shape[0], 0, 1);
  std::fill(picture.clean.begin(), picture.clean.begin() + 300 * 200, 1.0f);  // Red.
  const Decoded image = Decode(PicturePng(picture, set).value());
  EXPECT_EQ(image.colour, 2);
  EXPECT_EQ(image.height, 112u);
  EXPECT_EQ(image.width, 3 * 74u + 8);
  EXPECT_EQ(image.rows[0].substr(0, 3), "\xFF\x40\x40");
}

TEST(Picture, OtherImages) {
  replay::CanarySet set;
  set.shape = set.image = {2, 1, 1};
  EXPECT_TRUE(PicturePng(PictureOf(2, 0, 0.25f), set).ok()) << "one pixel, no change, two channels";
  EXPECT_FALSE(PicturePng(PictureOf(3, 0, 1), set).ok());
  set.image = {};
  EXPECT_FALSE(PicturePng(PictureOf(2, 0, 1), set).ok());
  EXPECT_EQ(PngDataUri("ab?"), "data:image/png;base64,YWI/");
}

TEST(ChangedColumns, LargestChangeFirst) {
  const replay::CanarySet set = SomeSet(50, false);
  replay::RawBehaviour::Picture picture;
  picture.clean = {0, 0, 0, 0, 0};
  picture.triggered = {0, 0.5f, 0, -9, 0};
  const auto changes = ChangedColumns(picture, set);
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[0].column, 3u);
  EXPECT_EQ(changes[0].triggered, -9);
  EXPECT_EQ(changes[1].column, 1u);
  EXPECT_GT(changes[0].share, changes[1].share);
  EXPECT_EQ(ChangedColumns(picture, set, 1).size(), 1u);
}

}  // namespace
}  // namespace driftseal::canary
