#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "engine/artifact/formats.h"
#include "engine/artifact/limits.h"
#include "engine/artifact/pickle.h"
#include "engine/artifact/text.h"
#include "engine/artifact/torch_names.h"
#include "engine/artifact/zip.h"

namespace driftseal::artifact {
namespace {

constexpr uint64_t kMaxPickle = 64u << 20;

bool EndsWith(std::string_view text, std::string_view end) { return text.ends_with(end); }

// What a zip archive without data.pkl probably is, by its members' names.
std::string_view DescribeZip(const ZipDirectory& directory) {
  const auto any = [&](auto matches) {
    return std::any_of(directory.members.begin(), directory.members.end(),
                       [&](const ZipMember& m) { return matches(m.name); });
  };
  if (directory.Find("config.json") != nullptr && any([](auto& n) { return EndsWith(n, ".weights.h5"); })) {
    return "a Keras archive (.keras)";
  }
  if (any([](auto& n) { return EndsWith(n, ".npy"); })) return "NumPy arrays (.npz)";
  if (any([](auto& n) { return EndsWith(n, "models/weights/model.pt") || EndsWith(n, "archive_format"); })) {
    return "a torch.export archive (.pt2)";
  }
  if (any([](auto& n) { return EndsWith(n, ".mar") || EndsWith(n, "MAR-INF/MANIFEST.json"); }))
    return "a TorchServe archive";
  return "a zip archive without data.pkl";
}

// The folder that holds all members: the loaders take it from the first member's name.
absl::StatusOr<std::string> CommonFolder(const Source& source, const ZipDirectory& directory) {
  const std::string& first = directory.members.front().name;
  const size_t slash = first.find('/');
  const std::string folder = slash == std::string::npos ? std::string() : first.substr(0, slash + 1);
  for (const ZipMember& member : directory.members) {
    if (folder.size() <= 1 || !member.name.starts_with(folder)) {
      return Malformed(source, Cat("torch zip: member ", Quoted(member.name),
                                   " does not lie in the one folder that all members share"));
    }
  }
  return folder;
}

class TorchArchive {
 public:
  TorchArchive(const Source& source, const ZipDirectory& directory, std::string folder)
      : source_(source), directory_(directory), folder_(std::move(folder)) {}

  absl::Status CheckByteOrder() const {
    const ZipMember* member = directory_.Find(folder_ + "byteorder");
    if (member == nullptr) return absl::OkStatus();  // Before torch 2.1, which wrote little-endian files only.
    std::vector<std::byte> scratch;
    absl::StatusOr<std::string_view> text = ReadText(*member, 16, scratch);
    if (!text.ok()) return text.status();
    if (*text == "little") return absl::OkStatus();
    if (*text == "big")
      return absl::UnimplementedError(Cat(source_.name(), ": byteorder: big-endian data are not understood"));
    return Malformed(source_, Cat("byteorder: expected \"little\", found ", Quoted(*text)));
  }

  // Reads the pickle `name` and places its tensors, whose storages are members of `storages`.
  absl::StatusOr<TensorTable> ReadTensors(std::string_view name, std::string_view storages) const {
    const ZipMember* member = directory_.Find(Cat(folder_, name));
    if (member == nullptr) return Malformed(source_, Cat("torch zip: no member ", folder_, name));
    std::vector<std::byte> scratch;
    const absl::StatusOr<std::string_view> bytes = ReadText(*member, kMaxPickle, scratch);
    if (!bytes.ok()) return bytes.status();
    const std::string where = Cat(source_.name(), ": ", name);
    const absl::StatusOr<Pickle> pickle = ReadPickle(where, *bytes);
    if (!pickle.ok()) return pickle.status();
    const absl::StatusOr<std::vector<NamedPickleTensor>> named = NameTensors(where, *pickle);
    if (!named.ok()) return named.status();
    absl::StatusOr<std::vector<uint64_t>> starts = PlaceStorages(*pickle, storages);
    if (!starts.ok()) return starts.status();
    TensorTable table;
    table.tensors.reserve(named->size());
    absl::flat_hash_set<std::string_view> names;
    for (const NamedPickleTensor& entry : *named) {
      if (!names.insert(entry.name).second) {
        return Malformed(source_, Cat(name, ": two tensors are named ", Quoted(entry.name)));
      }
      const PickleTensor& tensor = pickle->tensors[entry.tensor];
      table.tensors.push_back({.name = entry.name,
                               .dtype = tensor.dtype,
                               .shape = tensor.shape,
                               .strides = tensor.strides,
                               .offset = (*starts)[tensor.storage]});
      // An empty tensor may stand anywhere; its offset is not checked against the storage.
      if (table.tensors.back().Elements() > 0) table.tensors.back().offset += tensor.offset * DTypeBytes(tensor.dtype);
    }
    return table;
  }

 private:
  absl::StatusOr<std::string_view> ReadText(const ZipMember& member, uint64_t limit,
                                            std::vector<std::byte>& scratch) const {
    if (member.compressed()) return Compressed(member);
    if (member.size > limit) return OverLimit(source_, Cat("torch zip: bytes of ", member.name), member.size, limit);
    if (absl::Status status = CheckZipChecksum(source_, member); !status.ok()) return status;
    const auto bytes = source_.Read(member.offset, member.size, scratch);
    if (!bytes.ok()) return bytes.status();
    return std::string_view(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  }

  absl::Status Compressed(const ZipMember& member) const {
    return absl::UnimplementedError(Cat(source_.name(), ": torch zip: member ", Quoted(member.name),
                                        " is compressed (method ", member.method, "); torch stores what it loads"));
  }

  // Where each storage starts in the file.
  absl::StatusOr<std::vector<uint64_t>> PlaceStorages(const Pickle& pickle, std::string_view prefix) const {
    std::vector<uint64_t> starts;
    for (const PickleStorage& storage : pickle.storages) {
      const std::string name = Cat(folder_, prefix, storage.key);
      const ZipMember* member = directory_.Find(name);
      if (member == nullptr) return Malformed(source_, Cat("torch zip: no member ", Quoted(name), " for a storage"));
      if (member->compressed()) return Compressed(*member);
      const uint64_t bytes = storage.elements * (storage.dtype ? DTypeBytes(*storage.dtype) : 1);
      if (member->size != bytes) {
        return Malformed(source_, Cat("torch zip: member ", Quoted(name), " has ", member->size,
                                      " bytes, its storage should have ", bytes));
      }
      starts.push_back(member->offset);
    }
    return starts;
  }

  const Source& source_;
  const ZipDirectory& directory_;
  const std::string folder_;
};

absl::StatusOr<ZipDirectory> ReadCheckedDirectory(const Source& source) {
  absl::StatusOr<ZipDirectory> directory = ReadZipDirectory(source);
  if (!directory.ok()) return directory.status();
  const bool has_pickle = std::any_of(directory->members.begin(), directory->members.end(),
                                      [](const ZipMember& m) { return EndsWith(m.name, "/data.pkl"); });
  if (!has_pickle) {
    return absl::UnimplementedError(Cat(source.name(),
                                        ": expected safetensors, a torch zip archive, or XGBoost JSON or UBJ; found ",
                                        DescribeZip(*directory)));
  }
  if (absl::Status status = CheckZipLayout(source, *directory); !status.ok()) return status;
  return directory;
}

}  // namespace

absl::StatusOr<TensorTable> ReadTorchZip(const Source& source) {
  const absl::StatusOr<ZipDirectory> directory = ReadCheckedDirectory(source);
  if (!directory.ok()) return directory.status();
  absl::StatusOr<std::string> folder = CommonFolder(source, *directory);
  if (!folder.ok()) return folder.status();
  const TorchArchive archive(source, *directory, *folder);
  if (absl::Status status = archive.CheckByteOrder(); !status.ok()) return status;
  // Constants belong to a TorchScript archive's code, not to its parameters: checked, as they are loaded, but not
  // listed.
  if (directory->Find(*folder + "constants.pkl") != nullptr) {
    if (const auto constants = archive.ReadTensors("constants.pkl", "constants/"); !constants.ok())
      return constants.status();
  }
  absl::StatusOr<TensorTable> table = archive.ReadTensors("data.pkl", "data/");
  if (!table.ok()) return table.status();
  table->member_bytes = 0;
  for (const ZipMember& member : directory->members) *table->member_bytes += member.stored_size;
  return table;
}

absl::Status VerifyChecksums(const Source& source) {
  std::vector<std::byte> scratch;
  const auto head = source.Read(0, std::min<uint64_t>(4, source.size()), scratch);
  if (!head.ok()) return head.status();
  constexpr std::byte kMagic[] = {std::byte{'P'}, std::byte{'K'}, std::byte{3}, std::byte{4}};
  if (!std::ranges::equal(*head, kMagic)) return absl::OkStatus();
  const absl::StatusOr<ZipDirectory> directory = ReadCheckedDirectory(source);
  if (!directory.ok()) return directory.status();
  for (const ZipMember& member : directory->members) {
    if (absl::Status status = CheckZipChecksum(source, member); !status.ok()) return status;
  }
  return source.CheckUnchanged();
}

}  // namespace driftseal::artifact
