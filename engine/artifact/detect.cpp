#include <algorithm>
#include <cstring>

#include "absl/strings/ascii.h"
#include "engine/artifact/formats.h"
#include "engine/artifact/text.h"

namespace driftseal::artifact {
namespace {

constexpr uint64_t kHead = 4096;

bool StartsWith(std::string_view head, std::string_view magic, size_t at = 0) {
  return head.size() >= at + magic.size() && head.substr(at, magic.size()) == magic;
}

// A header length in the first 8 bytes, then a JSON object. The length itself is the reader's to judge: a wrong one is
// worth naming.
bool LooksLikeSafetensors(std::string_view head) {
  if (head.size() < 10 || head[8] != '{') return false;
  uint64_t length = 0;
  std::memcpy(&length, head.data(), sizeof(length));
  return head[9] == '"' || head[9] == '}' ||
         (absl::ascii_isspace(static_cast<unsigned char>(head[9])) && length < 1u << 30);
}

std::string_view SkipSpace(std::string_view text) {
  const size_t at = text.find_first_not_of(" \t\r\n");
  return at == std::string_view::npos ? std::string_view() : text.substr(at);
}

bool LooksLikeJson(std::string_view head) {
  const std::string_view text = SkipSpace(head);
  if (!StartsWith(text, "{")) return false;
  const std::string_view next = SkipSpace(text.substr(1));
  return next.empty() || next.front() == '"' || next.front() == '}';
}

// '{', optionally typed or counted, then a length-coded key: http://ubjson.org, draft 12.
bool LooksLikeUbj(std::string_view head) {
  return head.size() >= 2 && head[0] == '{' && std::string_view("iUIlL#$").find(head[1]) != std::string_view::npos;
}

struct Magic {
  size_t at;
  std::string_view bytes, what;
};
using namespace std::string_view_literals;
constexpr Magic kOthers[] = {
    {0, "\x89HDF\r\n\x1a\n"sv, "HDF5 (Keras .h5)"},
    {0, "GGUF"sv, "GGUF"},
    {0, "\x93NUMPY"sv, "a NumPy array"},
    {0, "\x1f\x8b"sv, "gzip"},
    {0, "7z\xbc\xaf\x27\x1c"sv, "a 7z archive"},
    {0, "BZh"sv, "bzip2"},
    {0,
     "\xfd"
     "7zXZ"sv,
     "xz"},
    {0, "\x28\xb5\x2f\xfd"sv, "zstd"},
    {0,
     "\x7f"
     "ELF"sv,
     "an ELF program"},
    {0, "MZ"sv, "a Windows program"},
    {0, "binf"sv, "XGBoost's old binary format (save it again as JSON or UBJ)"},
    {4, "TFL3"sv, "TensorFlow Lite"},
    {257, "ustar"sv, "a tar archive"},
};

std::string_view DescribeOther(std::string_view head) {
  for (const Magic& magic : kOthers) {
    if (StartsWith(head, magic.bytes, magic.at)) return magic.what;
  }
  if (head.size() >= 2 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5) {
    return "a bare pickle, which runs code when loaded (save a state_dict as safetensors)";
  }
  // ONNX has no magic: a protobuf whose first field is ir_version, a small varint, and whose second is a string.
  if (head.size() >= 3 && head[0] == '\x08' && head[1] > 0 && head[1] < 32 &&
      (head[2] == '\x12' || head[2] == '\x1a')) {
    return "protobuf, probably ONNX";
  }
  return LooksLikeJson(head) || StartsWith(SkipSpace(head), "[") ? "JSON without XGBoost's \"learner\"" : "";
}

}  // namespace

absl::StatusOr<Format> DetectFormat(const Source& source) {
  std::vector<std::byte> scratch;
  const auto bytes = source.Read(0, std::min(kHead, source.size()), scratch);
  if (!bytes.ok()) return bytes.status();
  const std::string_view head(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  const auto not_understood = [&](std::string_view what) {
    return absl::UnimplementedError(
        Cat(source.name(), ": expected safetensors, a torch zip archive, or XGBoost JSON or UBJ; found ", what));
  };
  if (head.empty()) return not_understood("an empty file");
  if (StartsWith(head, "PK\x03\x04")) return Format::kTorchZip;
  if (LooksLikeJson(head) && head.find("\"learner\"") != head.npos) return Format::kXgboostJson;
  if (LooksLikeUbj(head) && head.find("learner") != head.npos) return Format::kXgboostUbj;
  if (LooksLikeSafetensors(head)) return Format::kSafetensors;
  const std::string_view other = DescribeOther(head);
  return not_understood(other.empty() ? "an unknown format" : other);
}

}  // namespace driftseal::artifact
