#include "bench/fleet/digits_data.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <map>
#include <mutex>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace driftseal::fleet {
namespace {

constexpr size_t kPixels = kDigitSide * kDigitSide;
constexpr size_t kMostRows = 100'000;
constexpr size_t kCanaries = 40, kProbes = 30, kTests = 20, kLeastPool = 20;  // originals of each class
constexpr size_t kPoolRows = 8000, kProbeRows = 1500, kTestRows = 1000;       // with their variants

struct CloseGzip {
  void operator()(gzFile file) const { gzclose(file); }
};

/// One line into a row and its label. False when it is none.
bool ParseLine(absl::string_view line, std::array<float, kPixels>& row, int& label) {
  size_t column = 0;
  for (absl::string_view field : absl::StrSplit(line, ',')) {
    float value = 0;
    if (column > kPixels || !absl::SimpleAtof(field, &value)) return false;
    if (column < kPixels) {
      if (!(value >= 0 && value <= 16)) return false;
      row[column] = value / 16;
    } else {
      if (!(value >= 0 && value < kDigitClasses) || value != std::floor(value)) return false;
      label = static_cast<int>(value);
    }
    ++column;
  }
  return column == kPixels + 1;
}

/// The image at (x, y) between the pixels; 0 outside.
float At(std::span<const float> image, double x, double y) {
  const double left = std::floor(x), top = std::floor(y);
  double sum = 0;
  for (int dy = 0; dy < 2; ++dy) {
    for (int dx = 0; dx < 2; ++dx) {
      const int column = static_cast<int>(left) + dx, line = static_cast<int>(top) + dy;
      if (column < 0 || line < 0 || column >= kDigitSide || line >= kDigitSide) continue;
      const double weight = (1 - std::abs(x - column)) * (1 - std::abs(y - line));
      sum += weight * image[static_cast<size_t>(line * kDigitSide + column)];
    }
  }
  return static_cast<float>(sum);
}

/// `strength` 1: turned by up to 6 degrees, scaled by up to 3 %, moved by up to 0.35 pixels.
std::array<float, kPixels> Variant(std::span<const float> image, double strength, Random& random) {
  const double angle = strength * random.Uniform(-0.10, 0.10), scale = 1 + strength * random.Uniform(-0.03, 0.03);
  const double shift_x = strength * random.Uniform(-0.35, 0.35), shift_y = strength * random.Uniform(-0.35, 0.35);
  const double ink = random.Uniform(0.9, 1.05), middle = (kDigitSide - 1) / 2.0;
  std::array<float, kPixels> out{};
  for (int y = 0; y < kDigitSide; ++y) {
    for (int x = 0; x < kDigitSide; ++x) {
      const double u = (x - middle) * scale, v = (y - middle) * scale;
      const double from_x = middle + shift_x + std::cos(angle) * u - std::sin(angle) * v;
      const double from_y = middle + shift_y + std::sin(angle) * u + std::cos(angle) * v;
      const double value = ink * At(image, from_x, from_y) + 0.02 * random.Normal();
      out[static_cast<size_t>(y * kDigitSide + x)] = static_cast<float>(std::clamp(value, 0.0, 1.0));
    }
  }
  return out;
}

/// The originals, then variants of them in turn up to `count` rows.
Rows Multiplied(const Rows& originals, size_t count, double strength, uint64_t seed) {
  Rows rows = originals;
  Random random(seed);
  for (size_t i = 0; rows.size() < count; ++i) {
    const size_t from = i % originals.size();
    rows.Append(Variant(originals.row(from), strength, random), originals.labels[from]);
  }
  return rows;
}

}  // namespace

absl::StatusOr<Rows> ReadDigits(const std::string& path) {
  errno = 0;
  const std::unique_ptr<gzFile_s, CloseGzip> file(gzopen(path.c_str(), "rb"));
  if (!file) return absl::ErrnoToStatus(errno != 0 ? errno : ENOMEM, path);
  Rows rows{.columns = kPixels, .values = {}, .labels = {}};
  std::array<char, 2048> buffer{};
  std::array<float, kPixels> row{};
  while (gzgets(file.get(), buffer.data(), static_cast<int>(buffer.size())) != nullptr) {
    absl::string_view line(buffer.data());
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
    int label = 0;
    if (rows.size() >= kMostRows || !ParseLine(line, row, label)) {
      return absl::DataLossError(absl::StrCat(path, ":", rows.size() + 1, ": expected 64 pixels in 0..16 and a digit, ",
                                              "on at most ", kMostRows, " lines"));
    }
    rows.Append(row, label);
  }
  int code = Z_OK;
  const char* problem = gzerror(file.get(), &code);
  if (code != Z_OK && code != Z_STREAM_END) return absl::DataLossError(absl::StrCat(path, ": ", problem));
  return rows;
}

Rows GenerateDigits(size_t count, uint64_t seed) {
  Random random(SeedOf(seed, {"generated digits"}));
  constexpr size_t kCorners = 5;  // of the stroke that a class is
  std::array<std::array<std::pair<double, double>, kCorners>, kDigitClasses> strokes;
  for (auto& stroke : strokes) {
    for (auto& [x, y] : stroke) x = random.Uniform(0.5, 6.5), y = random.Uniform(0.5, 6.5);
  }
  Rows rows{.columns = kPixels, .values = {}, .labels = {}};
  std::array<float, kPixels> image{};
  for (size_t i = 0; i < count; ++i) {
    const size_t label = random.Below(kDigitClasses);
    auto stroke = strokes[label];
    for (auto& [x, y] : stroke) x += 0.55 * random.Normal(), y += 0.55 * random.Normal();
    image.fill(0);
    constexpr int kSteps = 12;
    for (size_t corner = 0; corner + 1 < kCorners; ++corner) {
      for (int step = 0; step < kSteps; ++step) {
        const double t = step / static_cast<double>(kSteps);
        const double x = (1 - t) * stroke[corner].first + t * stroke[corner + 1].first;
        const double y = (1 - t) * stroke[corner].second + t * stroke[corner + 1].second;
        for (size_t p = 0; p < kPixels; ++p) {
          const double dx = static_cast<double>(p % kDigitSide) - x, dy = static_cast<double>(p / kDigitSide) - y;
          image[p] = std::max(image[p], static_cast<float>(std::exp(-1.2 * (dx * dx + dy * dy))));
        }
      }
    }
    for (float& pixel : image) pixel = std::clamp(pixel + static_cast<float>(0.04 * random.Normal()), 0.0f, 1.0f);
    rows.Append(image, static_cast<int>(label));
  }
  return rows;
}

absl::StatusOr<Data> DivideDigits(const Rows& originals, std::string source) {
  Random random(SeedOf(1, {"digits"}));
  std::array<std::vector<size_t>, kDigitClasses> of_class;
  for (size_t i : random.Sample(originals.size(), originals.size())) {
    of_class[static_cast<size_t>(originals.labels[i])].push_back(i);
  }
  std::vector<size_t> canary, probe, test, pool;
  for (size_t c = 0; c < of_class.size(); ++c) {
    if (of_class[c].size() < kCanaries + kProbes + kTests + kLeastPool) {
      return absl::DataLossError(absl::StrCat(source, ": expected at least ", kCanaries + kProbes + kTests + kLeastPool,
                                              " images of digit ", c, ", found ", of_class[c].size()));
    }
    for (size_t i = 0; i < of_class[c].size(); ++i) {
      std::vector<size_t>& part = i < kCanaries                      ? canary
                                  : i < kCanaries + kProbes          ? probe
                                  : i < kCanaries + kProbes + kTests ? test
                                                                     : pool;
      part.push_back(of_class[c][i]);
    }
  }
  return Data{.pool = Multiplied(originals.Take(pool), kPoolRows, 1, SeedOf(1, {"digits", "pool"})),
              .test = Multiplied(originals.Take(test), kTestRows, 0.5, SeedOf(1, {"digits", "test"})),
              .probe = Multiplied(originals.Take(probe), kProbeRows, 0.5, SeedOf(1, {"digits", "probe"})),
              .canary = originals.Take(canary),
              .classes = kDigitClasses,
              .source = std::move(source)};
}

absl::StatusOr<std::shared_ptr<const Data>> LoadDigits(const DataOptions& options) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<const Data>> loaded;  // shared by the domains of a run
  const std::string path = options.synthetic ? "" : options.digits.empty() ? FindDigits() : options.digits;
  const std::lock_guard lock(mutex);
  auto& slot = loaded[path];
  if (auto data = slot.lock()) return data;
  auto originals = path.empty() ? absl::StatusOr<Rows>(GenerateDigits(1797, 1)) : ReadDigits(path);
  if (!originals.ok()) return originals.status();
  // Where the file lies differs from one environment to the next, and is no matter of the models.
  auto divided = DivideDigits(*originals, path.empty() ? "generated strokes shaped like 8x8 digits (seeded)"
                                                       : "8x8 digits of scikit-learn, multiplied");
  if (!divided.ok()) return divided.status();
  auto data = std::make_shared<const Data>(std::move(*divided));
  slot = data;
  return data;
}

}  // namespace driftseal::fleet
