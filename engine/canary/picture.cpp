#include "engine/canary/picture.h"

#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "absl/strings/escaping.h"
#include "engine/artifact/text.h"

namespace driftseal::canary {
namespace {

using replay::CanarySet;
using Picture = replay::RawBehaviour::Picture;

constexpr size_t kPanel = 112, kGap = 4;

void AppendBigEndian(uint32_t value, std::string& out) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
}

// A chunk: length, type, data, CRC-32 of type and data (PNG, ISO/IEC 15948, 5.3).
void AppendChunk(std::string_view type, std::string_view data, std::string& png) {
  AppendBigEndian(static_cast<uint32_t>(data.size()), png);
  const size_t begin = png.size();
  png += type;
  png += data;
  const auto* bytes = reinterpret_cast<const Bytef*>(png.data() + begin);
  AppendBigEndian(static_cast<uint32_t>(::crc32(0, bytes, static_cast<uInt>(png.size() - begin))), png);
}

// `rows` hold a filter byte (0: none) and then the samples of a line.
absl::StatusOr<std::string> Png(const std::string& rows, size_t width, size_t height, bool colour) {
  uLongf length = ::compressBound(rows.size());
  std::string packed(length, '\0');
  if (::compress2(reinterpret_cast<Bytef*>(packed.data()), &length, reinterpret_cast<const Bytef*>(rows.data()),
                  rows.size(), Z_BEST_COMPRESSION) != Z_OK) {
    return absl::ResourceExhaustedError("picture: no memory to pack it");
  }
  packed.resize(length);
  std::string head;
  AppendBigEndian(static_cast<uint32_t>(width), head);
  AppendBigEndian(static_cast<uint32_t>(height), head);
  head += {8, static_cast<char>(colour ? 2 : 0), 0, 0, 0};  // Bits, colour type, deflate, filters, not interlaced.
  std::string png = "\x89PNG\r\n\x1a\n";
  AppendChunk("IHDR", head, png);
  AppendChunk("IDAT", packed, png);
  AppendChunk("IEND", "", png);
  return png;
}

// An image of one or three samples a pixel in [0, 1], height × width × samples.
struct Panel {
  std::vector<float> values;
  size_t height = 0, width = 0, samples = 1;
};

Panel ToPanel(const std::vector<float>& input, const CanarySet& set, float low, float high) {
  const size_t channels = set.image[0], height = set.image[1], width = set.image[2];
  Panel panel{{}, height, width, channels == 3 ? size_t{3} : size_t{1}};
  panel.values.resize(height * width * panel.samples);
  for (size_t at = 0; at < height * width; ++at) {
    for (size_t s = 0; s < panel.samples; ++s) {
      double value = 0;
      if (channels == 3) {
        value = input[s * height * width + at];
      } else {
        for (size_t c = 0; c < channels; ++c) value += input[c * height * width + at];
        value /= static_cast<double>(channels);
      }
      const double share = (value - low) / (static_cast<double>(high) - low);
      panel.values[at * panel.samples + s] = static_cast<float>(std::clamp(share, 0.0, 1.0));
    }
  }
  return panel;
}

Panel Difference(const Picture& picture, const CanarySet& set) {
  std::vector<float> difference(picture.clean.size());
  float largest = 0;
  for (size_t i = 0; i < difference.size(); ++i) {
    difference[i] = picture.triggered[i] - picture.clean[i];
    largest = std::max(largest, std::abs(difference[i]));
  }
  if (!(largest > 0)) largest = 1;
  return ToPanel(difference, set, -largest, largest);
}

struct Size {
  size_t height, width;
};

// Whole multiples where an image is small, so that its pixels stay squares.
Size ShownSize(size_t height, size_t width) {
  const size_t side = std::max(height, width);
  if (side <= kPanel) {
    const size_t factor = std::max<size_t>(1, (kPanel + side / 2) / side);
    return {height * factor, width * factor};
  }
  return {std::max<size_t>(1, height * kPanel / side), std::max<size_t>(1, width * kPanel / side)};
}

}  // namespace

absl::StatusOr<std::string> PicturePng(const Picture& picture, const CanarySet& set) {
  if (set.image.size() != 3) return absl::InvalidArgumentError("picture: the canary set holds no images");
  const size_t elements = set.elements();
  if (elements == 0 || picture.clean.size() != elements || picture.triggered.size() != elements ||
      size_t{set.image[0]} * set.image[1] * set.image[2] != elements) {
    return absl::InvalidArgumentError(artifact::Cat("picture: ", picture.clean.size(), " and ",
                                                    picture.triggered.size(), " values, expected ", elements));
  }
  const Panel panels[] = {ToPanel(picture.clean, set, set.low, set.high),
                          ToPanel(picture.triggered, set, set.low, set.high), Difference(picture, set)};
  const Size shown = ShownSize(set.image[1], set.image[2]);
  const size_t samples = panels[0].samples;
  std::string rows;
  for (size_t y = 0; y < shown.height; ++y) {
    rows += '\0';
    for (const Panel& panel : panels) {
      if (&panel != panels) rows.append(kGap * samples, '\xFF');
      const size_t line = y * panel.height / shown.height;
      for (size_t x = 0; x < shown.width; ++x) {
        const float* pixel = &panel.values[(line * panel.width + x * panel.width / shown.width) * samples];
        for (size_t s = 0; s < samples; ++s) rows += static_cast<char>(std::lround(255 * pixel[s]));
      }
    }
  }
  return Png(rows, 3 * shown.width + 2 * kGap, shown.height, samples == 3);
}

std::string PngDataUri(std::string_view png) {
  return artifact::Cat("data:image/png;base64,", absl::Base64Escape(artifact::ForAbsl(png)));
}

std::vector<ColumnChange> ChangedColumns(const Picture& picture, const CanarySet& set, size_t limit) {
  const size_t elements = set.elements();
  std::vector<ColumnChange> changes;
  for (size_t c = 0; c < std::min({elements, picture.clean.size(), picture.triggered.size()}); ++c) {
    if (picture.clean[c] == picture.triggered[c]) continue;
    float least = std::numeric_limits<float>::infinity(), most = -least;
    for (size_t r = 0; r < set.count(); ++r) {
      least = std::min(least, set.inputs[r * elements + c]);
      most = std::max(most, set.inputs[r * elements + c]);
    }
    const double change = std::abs(static_cast<double>(picture.triggered[c]) - picture.clean[c]);
    const double range = static_cast<double>(most) - least;
    changes.push_back({c, picture.clean[c], picture.triggered[c],
                       range > 0 ? change / range : std::numeric_limits<double>::infinity()});
  }
  std::stable_sort(changes.begin(), changes.end(), [](const auto& a, const auto& b) { return a.share > b.share; });
  if (changes.size() > limit) changes.resize(limit);
  return changes;
}

}  // namespace driftseal::canary
