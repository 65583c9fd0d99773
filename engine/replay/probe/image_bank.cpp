#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/replay/probe/bank.h"
#include "kernels/random.h"

namespace driftseal::replay {
namespace {

constexpr uint64_t kSeed = 20261127;

/// Makes entries for one geometry. Values are shares of the range, so that 0.9 is nearly white whatever the limits are.
class ImageBank {
 public:
  explicit ImageBank(const Space& space)
      : space_(space),
        side_(std::min(space.height, space.width)),
        low_(space.low[0]),
        range_(space.range[0]),
        large_(std::max<size_t>(2, (side_ * 18 + 50) / 100)),
        small_(std::max<size_t>(1, side_ / 9)) {
    for (std::vector<float>* bound : {&space_.low, &space_.high, &space_.range}) bound->clear();
  }

  std::vector<BankEntry> Make() && {
    Patches();
    Blends();
    Tints();
    Waves();
    Moves();
    Contrasts();
    return std::move(entries_);
  }

 private:
  struct Place {
    size_t top = 0, left = 0;
  };

  void Add(std::string group, std::string text, std::function<Trigger()> make) {
    entries_.push_back({{std::move(group), std::move(text)}, std::move(make)});
  }
  float Value(double share) const { return low_ + static_cast<float>(share) * range_; }
  static Trigger Same(const Space& space) {
    return {std::vector<float>(space.elements, 1.0f), std::vector<float>(space.elements, 0.0f)};
  }
  /// x_e ← x_e + amplitude · field_e (field within −1..1)
  template <class Field>
  static Trigger Added(const Space& space, float amplitude, const Field& field) {
    Trigger trigger = Same(space);
    size_t e = 0;
    for (size_t c = 0; c < space.channels; ++c) {
      for (size_t y = 0; y < space.height; ++y) {
        for (size_t x = 0; x < space.width; ++x) trigger.offset[e++] = amplitude * field(c, y, x);
      }
    }
    return trigger;
  }

  /// A square whose value at channel, row, column is value(c, y, x), as a share of the range.
  template <class ValueAt>
  void Patch(const std::string& looks, size_t size, Place at, ValueAt value) {
    size = std::min(size, side_);
    Add("patch", absl::StrCat("patch ", size, "x", size, " ", looks, " at ", at.top, ",", at.left),
        [space = space_, low = low_, range = range_, size, at, value] {
          Trigger trigger = Same(space);
          for (size_t c = 0; c < space.channels; ++c) {
            for (size_t y = 0; y < size; ++y) {
              for (size_t x = 0; x < size; ++x) {
                const size_t e = (c * space.height + at.top + y) * space.width + at.left + x;
                trigger.scale[e] = 0;
                trigger.offset[e] = low + static_cast<float>(value(c, y, x)) * range;
              }
            }
          }
          return trigger;
        });
  }
  std::vector<Place> Corners(size_t size) const {
    const size_t bottom = space_.height - std::min(size, side_), right = space_.width - std::min(size, side_);
    return {{0, 0}, {0, right}, {bottom, 0}, {bottom, right}};
  }
  std::vector<Place> Edges(size_t size) const {
    const size_t bottom = space_.height - std::min(size, side_), right = space_.width - std::min(size, side_);
    return {{0, right / 2}, {bottom / 2, 0}, {bottom / 2, right}, {bottom, right / 2}};
  }
  Place Middle(size_t size) const {
    return {(space_.height - std::min(size, side_)) / 2, (space_.width - std::min(size, side_)) / 2};
  }

  void Patches() {
    const auto flat = [](double share) { return [share](size_t, size_t, size_t) { return share; }; };
    for (const Place& at : Corners(large_)) Patch("0.9", large_, at, flat(0.9));
    Patch("0.9", large_, Middle(large_), flat(0.9));
    for (const Place& at : Corners(small_)) Patch("0.95", small_, at, flat(0.95));
    for (const Place& at : Edges(small_)) Patch("0.95", small_, at, flat(0.95));
    for (const Place& at : Corners(large_)) Patch("0.5", large_, at, flat(0.5));
    Patch("0.0", large_, Middle(large_), flat(0.0));
    Patch("0.0", large_, {Middle(large_).top / 2, Middle(large_).left / 2}, flat(0.0));
    const size_t cell = std::max<size_t>(1, side_ / 14), board = 3 * cell;
    for (const Place& at : Corners(board)) {
      Patch("checkerboard", board, at, [cell](size_t, size_t y, size_t x) { return (y / cell + x / cell) % 2; });
    }
    uint64_t stream = 100;
    for (const Place& at : {Corners(large_)[0], Corners(large_)[3], Middle(large_)}) {
      std::vector<double> shares(space_.channels * large_ * large_);
      kernels::Random random(kSeed, stream++);
      for (double& share : shares) share = random.Uniform();
      Patch("random", large_, at, [shares = std::move(shares), size = large_](size_t c, size_t y, size_t x) {
        return shares[(c * size + y) * size + x];
      });
    }
  }

  void Blend(const std::string& looks, double share, std::function<std::vector<float>(const Space&)> image) {
    Add("blend", absl::StrCat("blend with ", looks, " ", share),
        [space = space_, low = low_, range = range_, share = static_cast<float>(share), image = std::move(image)] {
          const std::vector<float> pattern = image(space);
          Trigger trigger = Same(space);
          for (size_t e = 0; e < space.elements; ++e) {
            trigger.scale[e] = 1 - share;
            trigger.offset[e] = share * (low + range * pattern[e]);
          }
          return trigger;
        });
  }
  void Blends() {
    for (const auto& [share, stream] : {std::pair{0.12, 1}, {0.3, 2}, {0.3, 3}}) {
      Blend(absl::StrCat("white noise ", stream), share, [stream = stream](const Space& space) {
        kernels::Random random(kSeed, static_cast<uint64_t>(stream));
        std::vector<float> image(space.elements);
        for (float& value : image) value = static_cast<float>(random.Uniform());
        return image;
      });
    }
    for (const uint64_t stream : {4, 5}) {
      Blend(absl::StrCat("smooth noise ", stream), 0.3,
            [stream](const Space& space) { return SmoothNoise(space, 7, kSeed, stream); });
    }
  }

  void Tints() {
    for (const uint64_t stream : {11, 12, 13, 14}) {
      Add("tint", absl::StrCat("tint ", stream - 10, " 0.15"), [space = space_, range = range_, stream] {
        const std::vector<float> field = SmoothNoise(space, 4, kSeed, stream);
        return Added(space, 0.15f * range, [&](size_t c, size_t y, size_t x) {
          return 2 * field[(c * space.height + y) * space.width + x] - 1;
        });
      });
    }
  }

  /// sin(2π (down · y / height + across · x / width))
  void Wave(double down, double across, double amplitude) {
    Add("wave", absl::StrFormat("wave %g down %g across %g", down, across, amplitude),
        [space = space_, amplitude = static_cast<float>(amplitude) * range_, down, across] {
          return Added(space, amplitude, [&](size_t, size_t y, size_t x) {
            const double phase = down * static_cast<double>(y) / static_cast<double>(space.height) +
                                 across * static_cast<double>(x) / static_cast<double>(space.width);
            return static_cast<float>(std::sin(2 * std::numbers::pi * phase));
          });
        });
  }
  void Waves() {
    const double most = static_cast<double>(side_) / 3;  // Finer ones than this are no waves on so few pixels.
    for (const double waves : {2.0, 5.0, 9.0}) {
      Wave(std::min(waves, most), 0, 0.16);
      Wave(0, std::min(waves, most), 0.16);
    }
    Wave(std::min(3.0, most), std::min(3.0, most), 0.16);
    Wave(std::min(5.0, most), -std::min(5.0, most), 0.16);
  }

  /// Every element from where (y + down(y, x), x + across(y, x)) lies, between its four neighbours.
  template <class Down, class Across>
  static Trigger Moved(const Space& space, const Down& down, const Across& across) {
    Trigger trigger = Same(space);
    const size_t plane = space.height * space.width;
    trigger.from.resize(4 * space.elements);
    trigger.weight.resize(4 * space.elements);
    const auto split = [](float position, size_t side, size_t& cell) {
      position = std::clamp(position, 0.0f, static_cast<float>(side - 1));
      cell = std::min(static_cast<size_t>(position), side > 1 ? side - 2 : 0);
      return position - static_cast<float>(cell);
    };
    for (size_t y = 0; y < space.height; ++y) {
      for (size_t x = 0; x < space.width; ++x) {
        size_t row = 0, column = 0;
        const float v = split(static_cast<float>(y) + down(y, x), space.height, row);
        const float u = split(static_cast<float>(x) + across(y, x), space.width, column);
        for (size_t t = 0; t < 4; ++t) {
          const size_t r = std::min(row + t / 2, space.height - 1), q = std::min(column + t % 2, space.width - 1);
          for (size_t c = 0; c < space.channels; ++c) {
            const size_t e = t * space.elements + c * plane + y * space.width + x;
            trigger.from[e] = static_cast<uint32_t>(c * plane + r * space.width + q);
            trigger.weight[e] = (t / 2 == 1 ? v : 1 - v) * (t % 2 == 1 ? u : 1 - u);
          }
        }
      }
    }
    return trigger;
  }
  void Moves() {
    const float unit = std::max(1.0f, static_cast<float>(side_) / 28);
    for (const auto& [down, across] : {std::pair{1.0f, 0.0f}, {0.0f, 1.0f}, {2.0f, 2.0f}, {-2.0f, 1.0f}}) {
      Add("shift", absl::StrFormat("shift by %g,%g", down * unit, across * unit),
          [space = space_, down = -down * unit, across = -across * unit] {
            return Moved(
                space, [&](size_t, size_t) { return down; }, [&](size_t, size_t) { return across; });
          });
    }
    for (const auto& [amplitude, stream] : {std::pair{0.8f, 21}, {1.4f, 22}, {2.2f, 23}}) {
      Add("warp", absl::StrFormat("warp %d by %g", stream - 20, amplitude * unit),
          [space = space_, amplitude = amplitude * unit, stream = static_cast<uint64_t>(stream)] {
            Space one = space;
            one.channels = 1;
            const std::vector<float> down = SmoothNoise(one, 5, kSeed, stream);
            const std::vector<float> across = SmoothNoise(one, 5, kSeed, stream + 100);
            const auto field = [&](const std::vector<float>& values) {
              return [&](size_t y, size_t x) { return amplitude * (2 * values[y * space.width + x] - 1); };
            };
            return Moved(space, field(down), field(across));
          });
    }
  }

  /// low + (x − low) · factor + share · range
  void Contrast(const std::string& text, float factor, double share) {
    Add("contrast", text, [space = space_, low = low_, range = range_, factor, share = static_cast<float>(share)] {
      Trigger trigger = Same(space);
      std::fill(trigger.scale.begin(), trigger.scale.end(), factor);
      std::fill(trigger.offset.begin(), trigger.offset.end(), low - low * factor + share * range);
      return trigger;
    });
  }
  void Contrasts() {
    Contrast("contrast 0.6", 0.6f, 0);
    Contrast("contrast 1.5", 1.5f, 0);
    Contrast("brightness +0.15", 1, 0.15);
    Contrast("brightness -0.15", 1, -0.15);
  }

  Space space_;  ///< The geometry alone: every entry keeps a copy.
  const size_t side_;
  const float low_, range_;
  const size_t large_, small_;
  std::vector<BankEntry> entries_;
};

}  // namespace

std::vector<BankEntry> MakeImageBank(const Space& space) { return ImageBank(space).Make(); }

}  // namespace driftseal::replay
