#include "engine/fingerprint/meta.h"

#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "engine/artifact/text.h"
#include "engine/fingerprint/json_check.h"

namespace driftseal::fingerprint {
namespace {

using artifact::Cat;
namespace dom = simdjson::dom;

constexpr size_t kPathLimit = 4096;     // Linux's PATH_MAX.
constexpr size_t kRelatedLimit = 1000;  // Files beside the model; each costs an open and a hash.
constexpr size_t kShapeLimit = 8;       // Dimensions of an input.
constexpr uint64_t kInputElementsLimit = 1 << 20;
constexpr size_t kKeptCapacity = 1 << 20;  // A thread's parser that grew beyond this is given back.

std::string_view TypeName(dom::element element) {
  switch (element.type()) {
    case dom::element_type::ARRAY:
      return "an array";
    case dom::element_type::OBJECT:
      return "an object";
    case dom::element_type::STRING:
      return "a string";
    case dom::element_type::BOOL:
      return "a boolean";
    case dom::element_type::NULL_VALUE:
      return "null";
    default:
      return "a number";
  }
}

// Reads fields by their path and keeps the first error. A field that is null counts as missing: Python writes None so.
class Reader {
 public:
  explicit Reader(std::string_view file_name) : file_name_(file_name) {}
  const absl::Status& status() const { return status_; }

  void Fail(std::string_view path, std::string_view expected) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(Cat(file_name_, ": ", path, ": expected ", expected));
  }
  void FailType(std::string_view path, std::string_view expected, dom::element found) {
    Fail(path, Cat(expected, ", found ", TypeName(found)));
  }

  std::optional<dom::element> Find(dom::object parent, std::string_view key) const {
    dom::element value;
    if (parent.at_key(key).get(value) != simdjson::SUCCESS || value.is_null()) return std::nullopt;
    return value;
  }
  std::optional<dom::object> Object(dom::object parent, std::string_view key, std::string_view path) {
    const auto value = Find(parent, key);
    if (!value) return std::nullopt;
    dom::object object;
    if (value->get(object) == simdjson::SUCCESS) return object;
    FailType(path, "an object", *value);
    return std::nullopt;
  }
  void String(dom::object parent, std::string_view key, std::string_view path, std::string& out) {
    const auto value = Find(parent, key);
    if (!value) return;
    std::string_view text;
    if (value->get(text) != simdjson::SUCCESS) return FailType(path, "a string", *value);
    out = text;
  }
  void Number(dom::object parent, std::string_view key, std::string_view path, std::optional<double>& out) {
    const auto value = Find(parent, key);
    if (!value) return;
    double number = 0;
    if (value->get(number) != simdjson::SUCCESS) return FailType(path, "a finite number", *value);
    if (!std::isfinite(number)) return Fail(path, "a finite number, found an infinity");
    out = number;
  }
  void Count(dom::object parent, std::string_view key, std::string_view path, std::optional<double>& out) {
    Number(parent, key, path, out);
    if (out && *out < 0) Fail(path, Cat("a number of at least 0, found ", *out));
  }
  void Bool(dom::object parent, std::string_view key, std::string_view path, std::optional<bool>& out) {
    const auto value = Find(parent, key);
    if (!value) return;
    bool flag = false;
    if (value->get(flag) != simdjson::SUCCESS) return FailType(path, "true or false", *value);
    out = flag;
  }
  // An array of 1 to `most` sizes of at least 1 whose product stays within `limit`.
  void Sizes(dom::object parent, std::string_view key, std::string_view path, size_t most, uint64_t limit,
             std::vector<uint32_t>& out) {
    const auto value = Find(parent, key);
    if (!value) return;
    dom::array sizes;
    if (value->get(sizes) != simdjson::SUCCESS) return FailType(path, "an array of whole numbers", *value);
    uint64_t product = 1;
    for (const dom::element item : sizes) {
      uint64_t size = 0;
      if (item.get(size) != simdjson::SUCCESS || size == 0 || size > limit / product || out.size() == most) {
        return Fail(path, Cat("1 to ", most, " whole numbers from 1 with a product of at most ", limit));
      }
      product *= size;
      out.push_back(static_cast<uint32_t>(size));
    }
    if (out.empty()) Fail(path, Cat("1 to ", most, " whole numbers from 1, found none"));
  }
  void CheckPath(std::string_view path, std::string_view text) {
    if (text.find('\0') != std::string_view::npos) Fail(path, "a path, found a NUL character in it");
    if (text.size() > kPathLimit) Fail(path, Cat("a path of at most ", kPathLimit, " bytes, found ", text.size()));
  }
  void Path(dom::object parent, std::string_view key, std::string_view path, std::string& out) {
    String(parent, key, path, out);
    CheckPath(path, out);
  }
  std::optional<artifact::Digest> ToDigest(dom::element value, std::string_view path) {
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS) {
      FailType(path, "64 hexadecimal digits in a string", value);
      return std::nullopt;
    }
    auto digest = artifact::ParseDigest(text);
    if (digest.ok()) return *digest;
    Fail(path, Cat("64 hexadecimal digits (SHA-256), found \"", text.substr(0, 80), "\""));
    return std::nullopt;
  }
  void DigestField(dom::object parent, std::string_view key, std::string_view path,
                   std::optional<artifact::Digest>& out) {
    if (const auto value = Find(parent, key)) out = ToDigest(*value, path);
  }

 private:
  std::string_view file_name_;
  absl::Status status_;
};

bool IsContainer(dom::element element) { return element.is_object() || element.is_array(); }

constexpr std::string_view kTwice = "expected every key once in its object, found it twice";

// Finds what the parser lets pass: a key that an object has twice, of which readers take one or the other, and an empty
// array or object one level too deep. Returns what is wrong and leaves where in `path`; empty when all is well. The
// recursion is as deep as the parser lets a text be.
std::string_view FindOddity(dom::element element, int level, std::string& path) {
  const size_t length = path.size();
  const auto enter = [&](dom::element child, std::string_view step) -> std::string_view {
    path += step;
    const std::string_view oddity = FindOddity(child, level + 1, path);
    if (oddity.empty()) path.resize(length);
    return oddity;
  };
  if (level > kMetaDepthLimit) return "expected at most 32 levels, found more";
  if (dom::object object; element.get(object) == simdjson::SUCCESS) {
    std::vector<std::string_view> keys;
    for (const auto field : object) keys.push_back(field.key);
    std::sort(keys.begin(), keys.end());
    if (const auto twin = std::adjacent_find(keys.begin(), keys.end()); twin != keys.end()) {
      path += Cat(path.empty() ? "" : ".", twin->substr(0, 80));
      return kTwice;
    }
    for (const auto field : object) {
      if (!IsContainer(field.value)) continue;
      const std::string_view oddity = enter(field.value, Cat(length == 0 ? "" : ".", field.key.substr(0, 80)));
      if (!oddity.empty()) return oddity;
    }
  } else if (dom::array array; element.get(array) == simdjson::SUCCESS) {
    size_t index = 0;
    for (const dom::element item : array) {
      const size_t at = index++;
      if (!IsContainer(item)) continue;
      if (const std::string_view oddity = enter(item, Cat("[", at, "]")); !oddity.empty()) return oddity;
    }
  }
  return {};
}
static_assert(kMetaDepthLimit == 32);

void ReadArtifacts(Reader& reader, dom::object root, ModelMeta& meta) {
  const auto artifacts = reader.Object(root, "artifacts", "artifacts");
  if (!artifacts) return;
  reader.Path(*artifacts, "metadata_path", "artifacts.metadata_path", meta.metadata_path);
  reader.Path(*artifacts, "model_path", "artifacts.model_path", meta.model_path);
  reader.Path(*artifacts, "predictions_path", "artifacts.predictions_path", meta.predictions_path);
  reader.Path(*artifacts, "canary_path", "artifacts.canary_path", meta.canary_path);
  const auto related = reader.Find(*artifacts, "related_paths");
  if (!related) return;
  dom::array paths;
  if (related->get(paths) != simdjson::SUCCESS)
    return reader.FailType("artifacts.related_paths", "an array of strings", *related);
  for (const dom::element item : paths) {
    const std::string path = Cat("artifacts.related_paths[", meta.related_paths.size(), "]");
    if (meta.related_paths.size() == kRelatedLimit) {
      return reader.Fail("artifacts.related_paths", Cat("at most ", kRelatedLimit, " paths, found more"));
    }
    std::string_view text;
    if (item.get(text) != simdjson::SUCCESS) return reader.FailType(path, "a string", item);
    reader.CheckPath(path, text);
    meta.related_paths.emplace_back(text);
  }
}

void ReadPromotion(Reader& reader, dom::object root, ModelMeta& meta) {
  const auto promotion = reader.Object(root, "promotion", "promotion");
  if (!promotion) return;
  reader.String(*promotion, "task", "promotion.task", meta.task);
  reader.String(*promotion, "primary_metric", "promotion.primary_metric", meta.primary_metric);
  reader.Number(*promotion, "primary", "promotion.primary", meta.primary);
  reader.Number(*promotion, "baseline", "promotion.baseline", meta.baseline);
  reader.Bool(*promotion, "eligible", "promotion.eligible", meta.eligible);
}

void ReadRecipe(Reader& reader, dom::object training, ModelMeta& meta) {
  const auto recipe = reader.Object(training, "recipe", "training.recipe");
  if (!recipe) return;
  for (const auto field : *recipe) {
    double number = 0;
    std::string_view text;
    bool flag = false;
    if (field.value.get(number) == simdjson::SUCCESS) {
      meta.recipe.emplace(field.key, number);
    } else if (field.value.get(text) == simdjson::SUCCESS) {
      meta.recipe_category.emplace(field.key, text);
    } else if (field.value.get(flag) == simdjson::SUCCESS) {
      meta.recipe_category.emplace(field.key, flag ? "true" : "false");
    }
  }
}

void ReadTraining(Reader& reader, dom::object root, ModelMeta& meta) {
  const auto training = reader.Object(root, "training", "training");
  if (!training) return;
  reader.Count(*training, "seconds", "training.seconds", meta.training_seconds);
  reader.Count(*training, "parameters", "training.parameters", meta.parameter_count);
  reader.Count(*training, "samples", "training.samples", meta.training_samples);
  reader.Number(*training, "final_loss", "training.final_loss", meta.final_loss);
  reader.Number(*training, "score", "training.score", meta.train_score);
  ReadRecipe(reader, *training, meta);
}

uint64_t ProductOf(const std::vector<uint32_t>& sizes) {
  uint64_t product = 1;
  for (const uint32_t size : sizes) product *= size;
  return product;
}

void ReadInputs(Reader& reader, dom::object root, ModelMeta& meta) {
  const auto inputs = reader.Object(root, "inputs", "inputs");
  if (!inputs) return;
  ModelInputs out;
  reader.Sizes(*inputs, "shape", "inputs.shape", kShapeLimit, kInputElementsLimit, out.shape);
  reader.Sizes(*inputs, "image", "inputs.image", 3, kInputElementsLimit, out.image);
  std::optional<double> low, high;
  reader.Number(*inputs, "low", "inputs.low", low);
  reader.Number(*inputs, "high", "inputs.high", high);
  out.low = low.value_or(0);
  out.high = high.value_or(1);
  constexpr double kLargest = std::numeric_limits<float>::max();
  if (!(out.low < out.high) || out.low < -kLargest || out.high > kLargest) {
    reader.Fail("inputs.low",
                Cat("numbers of single precision with low below high, found ", out.low, " and ", out.high));
  }
  if (!out.image.empty() && (out.image.size() != 3 || ProductOf(out.image) != ProductOf(out.shape))) {
    reader.Fail("inputs.image", "channels, height and width with the product of inputs.shape");
  }
  if (!out.shape.empty()) meta.inputs = std::move(out);
}

void ReadDigests(Reader& reader, dom::object root, ModelMeta& meta) {
  const auto fingerprint = reader.Object(root, "fingerprint", "fingerprint");
  if (!fingerprint) return;
  reader.DigestField(*fingerprint, "model_sha256", "fingerprint.model_sha256", meta.model_sha256);
  reader.DigestField(*fingerprint, "predictions_sha256", "fingerprint.predictions_sha256", meta.predictions_sha256);
  reader.DigestField(*fingerprint, "canary_sha256", "fingerprint.canary_sha256", meta.canary_sha256);
  reader.DigestField(*fingerprint, "behaviour_hash", "fingerprint.behaviour_hash", meta.behaviour_hash);
  const auto related = reader.Object(*fingerprint, "related_sha256", "fingerprint.related_sha256");
  if (!related) return;
  for (const auto field : *related) {
    const std::string path = Cat("fingerprint.related_sha256.", field.key.substr(0, 80));
    reader.CheckPath(path, field.key);
    if (const auto digest = reader.ToDigest(field.value, path)) meta.related_sha256.emplace(field.key, *digest);
  }
}

absl::StatusOr<ModelMeta> Extract(dom::element document, std::string_view file_name) {
  Reader reader(file_name);
  ModelMeta meta;
  dom::object root;
  if (document.get(root) != simdjson::SUCCESS) {
    return absl::InvalidArgumentError(Cat(file_name, ": expected a JSON object, found ", TypeName(document)));
  }
  std::string path;
  if (const std::string_view oddity = FindOddity(document, 1, path); !oddity.empty()) {
    return absl::InvalidArgumentError(Cat(file_name, ": ", path, path.empty() ? "" : ": ", oddity));
  }
  reader.String(root, "model_name", "model_name", meta.model_name);
  if (meta.model_name.empty()) reader.Fail("model_name", "a string that is not empty, found none");
  reader.String(root, "domain", "domain", meta.domain);
  reader.String(root, "model_kind", "model_kind", meta.model_kind);
  reader.String(root, "framework", "framework", meta.framework);
  ReadArtifacts(reader, root, meta);
  ReadPromotion(reader, root, meta);
  ReadTraining(reader, root, meta);
  ReadInputs(reader, root, meta);
  ReadDigests(reader, root, meta);
  if (!reader.status().ok()) return reader.status();
  return meta;
}

// One parser a thread: its buffers are worth more than the parse of a small file.
dom::parser& ThreadParser(size_t bytes) {
  thread_local std::unique_ptr<dom::parser> parser;
  if (!parser || (parser->capacity() > kKeptCapacity && bytes <= kKeptCapacity)) {
    parser = std::make_unique<dom::parser>(kMetaLimitBytes);
    // The parser counts the level of scalars too. It keeps the depth when it grows.
    if (parser->allocate(1 << 14, kMetaDepthLimit + 1) != simdjson::SUCCESS) parser->set_max_capacity(0);
  }
  return *parser;
}

}  // namespace

absl::StatusOr<ModelMeta> ParseMeta(std::string_view json, std::string_view file_name) {
  if (json.size() > kMetaLimitBytes) {
    return absl::InvalidArgumentError(
        Cat(file_name, ": expected at most ", kMetaLimitBytes, " bytes of JSON, found ", json.size()));
  }
  dom::element document;
  const auto error = ThreadParser(json.size()).parse(json.data(), json.size()).get(document);
  if (error == simdjson::MEMALLOC) {
    return absl::ResourceExhaustedError(Cat(file_name, ": no memory for parsing ", json.size(), " bytes of JSON"));
  }
  if (error != simdjson::SUCCESS) {
    return ExplainBadJson(json, file_name, kMetaDepthLimit, simdjson::error_message(error));
  }
  return Extract(document, file_name);
}

absl::StatusOr<ModelMeta> ReadMeta(const artifact::Source& source) {
  if (source.size() > kMetaLimitBytes) {
    return absl::InvalidArgumentError(
        Cat(source.name(), ": expected at most ", kMetaLimitBytes, " bytes of JSON, found ", source.size()));
  }
  std::vector<std::byte> scratch;
  const auto bytes = source.ReadAll(kMetaLimitBytes, scratch);
  if (!bytes.ok()) return bytes.status();
  auto meta = ParseMeta({reinterpret_cast<const char*>(bytes->data()), bytes->size()}, source.name());
  if (const absl::Status unchanged = source.CheckUnchanged(); !unchanged.ok()) return unchanged;
  return meta;
}

}  // namespace driftseal::fingerprint
