
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/artifact/formats.h"
#include "engine/artifact/text.h"

namespace driftseal::artifact {
namespace {

absl::Status CheckTensor(const NamedTensor& tensor, std::set<std::string_view>& names) {
  const std::string where = Cat("safetensors: tensor ", Quoted(tensor.name), ": ");
  if (tensor.name == "__metadata__") return absl::InvalidArgumentError(Cat(where, "the name is reserved"));
  if (!names.insert(tensor.name).second) return absl::InvalidArgumentError(Cat(where, "the name is taken"));
  const std::optional<uint64_t> bytes = TensorBytes(tensor.shape, tensor.dtype);
  if (!bytes || *bytes != tensor.data.size()) {
    return absl::InvalidArgumentError(Cat(where, tensor.data.size(), " bytes of data, shape and dtype make ",
                                          bytes ? Cat(*bytes) : std::string("more than fit")));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> WriteSafetensors(const std::vector<NamedTensor>& tensors,
                                             const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::set<std::string_view> names;
  uint64_t at = 0;
  for (const NamedTensor& tensor : tensors) {
    if (absl::Status status = CheckTensor(tensor, names); !status.ok()) return status;
    const uint64_t end = at + tensor.data.size();
    // push_back: operator[] of an ordered object searches all keys before it.
    header.get_ref<nlohmann::ordered_json::object_t&>().push_back(
        {tensor.name, {{"dtype", DTypeName(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {at, end}}}});
    at = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception&) {
    return absl::InvalidArgumentError("safetensors: a name or a text of the metadata is not UTF-8");
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');  // So that the data are aligned.
  const uint64_t length = text.size();
  std::string file(sizeof(length), '\0');
  std::memcpy(file.data(), &length, sizeof(length));
  file.reserve(sizeof(length) + length + at);
  file += text;
  for (const NamedTensor& tensor : tensors) {
    file.append(reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size());
  }
  return file;
}

}  // namespace driftseal::artifact
