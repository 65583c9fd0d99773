#include "bench/fleet/fashion_data.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <mutex>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "bench/fleet/idx.h"

namespace driftseal::fleet {
namespace {

constexpr size_t kPixels = kImageSide * kImageSide;
constexpr size_t kTestRows = 1000, kProbeRows = 2000, kCanaryRows = 400;

absl::StatusOr<Rows> ReadImages(const std::string& directory, absl::string_view prefix) {
  const std::string images_path = absl::StrCat(directory, "/", prefix, "-images-idx3-ubyte.gz");
  const std::string labels_path = absl::StrCat(directory, "/", prefix, "-labels-idx1-ubyte.gz");
  const auto images = ReadIdx(images_path, 3);
  if (!images.ok()) return images.status();
  const auto labels = ReadIdx(labels_path, 1);
  if (!labels.ok()) return labels.status();
  if (images->shape[1] != kImageSide || images->shape[2] != kImageSide || labels->shape[0] != images->shape[0]) {
    return absl::DataLossError(absl::StrCat(images_path, ": expected n × 28 × 28 and n labels, found ",
                                            images->shape[0], " × ", images->shape[1], " × ", images->shape[2], " and ",
                                            labels->shape[0], " labels"));
  }
  Rows rows{.columns = kPixels, .values = std::vector<float>(images->bytes.size()), .labels = {}};
  std::transform(images->bytes.begin(), images->bytes.end(), rows.values.begin(),
                 [](uint8_t pixel) { return static_cast<float>(pixel) / 255.0f; });
  for (uint8_t label : labels->bytes) {
    if (label >= kImageClasses) {
      return absl::DataLossError(absl::StrCat(labels_path, ": expected labels 0..9, found ", label));
    }
    rows.labels.push_back(label);
  }
  return rows;
}

absl::StatusOr<Data> ReadFashion(const std::string& directory) {
  auto train = ReadImages(directory, "train");
  if (!train.ok()) return train.status();
  auto test = ReadImages(directory, "t10k");
  if (!test.ok()) return test.status();
  constexpr size_t kLeast = kTestRows + kProbeRows + kCanaryRows;
  if (test->size() < kLeast) {
    return absl::DataLossError(
        absl::StrCat(directory, ": expected at least ", kLeast, " test images, found ", test->size()));
  }
  return Data{.pool = std::move(*train),
              .test = test->Slice(0, kTestRows),
              .probe = test->Slice(kTestRows, kProbeRows),
              .canary = Balanced(test->Slice(kTestRows + kProbeRows, test->size() - kTestRows - kProbeRows),
                                 kImageClasses, kCanaryRows),
              .classes = kImageClasses,
              .source = absl::StrCat("Fashion-MNIST (", directory, ")")};
}

/// What a generated class looks like: a few blobs.
struct Blob {
  double x = 0, y = 0, radius_x = 1, radius_y = 1, brightness = 1;
};
using Prototype = std::array<Blob, 5>;

Prototype DrawPrototype(Random& random) {
  Prototype prototype;
  for (Blob& blob : prototype) {
    blob = {random.Uniform(7, 21), random.Uniform(7, 21), random.Uniform(1.5, 6), random.Uniform(1.5, 6),
            random.Uniform(0.4, 1)};
  }
  return prototype;
}

using Profile = std::array<double, kImageSide>;

Profile Bell(double center, double radius) {
  Profile profile;
  for (int i = 0; i < kImageSide; ++i) {
    const double u = (i - center) / radius;
    profile[static_cast<size_t>(i)] = std::exp(-0.5 * u * u);
  }
  return profile;
}

void Paint(const Prototype& prototype, double strength, Random& random, std::span<float> image) {
  const double shift_x = random.Uniform(-3, 3), shift_y = random.Uniform(-3, 3);
  for (const Blob& blob : prototype) {
    const double brightness = strength * blob.brightness * random.Uniform(0.4, 1.2);
    const Profile across = Bell(blob.x + shift_x + random.Normal(), blob.radius_x);
    const Profile down = Bell(blob.y + shift_y + random.Normal(), blob.radius_y);
    for (size_t y = 0; y < kImageSide; ++y) {
      for (size_t x = 0; x < kImageSide; ++x) {
        image[y * kImageSide + x] += static_cast<float>(brightness * down[y] * across[x]);
      }
    }
  }
}

}  // namespace

Data GenerateImages(size_t pool, size_t test, size_t probe, uint64_t seed, size_t canary) {
  Random random(SeedOf(seed, {"generated images"}));
  constexpr size_t kVariants = 3;  // looks a class can have
  std::vector<Prototype> prototypes(kImageClasses * kVariants);
  for (Prototype& prototype : prototypes) prototype = DrawPrototype(random);
  Data data{.pool = {.columns = kPixels, .values = {}, .labels = {}},
            .test = {},
            .probe = {},
            .canary = {},
            .classes = kImageClasses,
            .source = "generated images shaped like Fashion-MNIST (seeded)"};
  data.test.columns = data.probe.columns = data.canary.columns = kPixels;
  std::vector<float> image(kPixels);
  for (size_t i = 0; i < pool + test + probe + canary; ++i) {
    const size_t label = random.Below(kImageClasses), other = random.Below(prototypes.size());
    std::fill(image.begin(), image.end(), 0.0f);
    Paint(prototypes[label * kVariants + random.Below(kVariants)], 1, random, image);
    Paint(prototypes[other], random.Uniform(0, 0.75), random, image);
    for (float& pixel : image) pixel = std::clamp(pixel + static_cast<float>(0.05 * random.Normal()), 0.0f, 1.0f);
    Rows& rows = i < pool                  ? data.pool
                 : i < pool + test         ? data.test
                 : i < pool + test + probe ? data.probe
                                           : data.canary;
    rows.Append(image, static_cast<int>(label));
  }
  return data;
}

absl::StatusOr<std::shared_ptr<const Data>> LoadFashion(const DataOptions& options) {
  static std::mutex mutex;
  static std::map<std::pair<std::string, bool>, std::weak_ptr<const Data>> loaded;  // shared by the domains of a run
  const std::lock_guard lock(mutex);
  auto& slot = loaded[{options.fashion_mnist, options.synthetic}];
  if (auto data = slot.lock()) return data;
  const std::string probe_file = options.fashion_mnist + "/train-images-idx3-ubyte.gz";
  std::shared_ptr<const Data> data;
  if (options.synthetic || !std::filesystem::exists(probe_file)) {
    // Twice the canaries, so that every class has its share.
    Data generated = GenerateImages(15000, kTestRows, kProbeRows, 1, 2 * kCanaryRows);
    generated.canary = Balanced(generated.canary, kImageClasses, kCanaryRows);
    data = std::make_shared<const Data>(std::move(generated));
  } else {
    auto read = ReadFashion(options.fashion_mnist);
    if (!read.ok()) return read.status();
    data = std::make_shared<const Data>(std::move(*read));
  }
  slot = data;
  return data;
}

}  // namespace driftseal::fleet
