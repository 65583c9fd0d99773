#include "tests/support/torch_zip.h"

#include <cstdint>

namespace driftseal::testing {
namespace {

void Put(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
}

uint32_t Crc32(std::string_view bytes) {
  uint32_t crc = 0xffffffffu;
  for (const unsigned char byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1u) != 0 ? 0xedb88320u : 0u);
  }
  return ~crc;
}

// What the local header and the directory say alike: version, flags, method, time, date, checksum, sizes, lengths.
void PutCommon(std::string& out, std::string_view name, std::string_view data) {
  Put(out, 20, 2);
  Put(out, 0, 2);
  Put(out, 0, 2);
  Put(out, 0, 2);
  Put(out, 0x21, 2);  // 1980-01-01
  Put(out, Crc32(data), 4);
  Put(out, data.size(), 4);
  Put(out, data.size(), 4);
  Put(out, name.size(), 2);
  Put(out, 0, 2);
}

}  // namespace

// PKWARE APPNOTE 6.3.10: 4.3.7 local headers, 4.3.12 directory, 4.3.16 its end.
std::string StoredZip(const std::vector<std::pair<std::string, std::string>>& members) {
  std::string out, directory;
  for (const auto& [name, data] : members) {
    Put(directory, 0x02014b50, 4);
    Put(directory, 20, 2);
    PutCommon(directory, name, data);
    Put(directory, 0, 2 + 2 + 2);  // Comment, disk, internal attributes.
    Put(directory, 0, 4);          // External attributes.
    Put(directory, out.size(), 4);
    directory += name;
    Put(out, 0x04034b50, 4);
    PutCommon(out, name, data);
    out += name;
    out += data;
  }
  const size_t start = out.size();
  out += directory;
  Put(out, 0x06054b50, 4);
  Put(out, 0, 4);
  Put(out, members.size(), 2);
  Put(out, members.size(), 2);
  Put(out, directory.size(), 4);
  Put(out, start, 4);
  Put(out, 0, 2);
  return out;
}

std::string HostileTorchArchive(std::string_view command) {
  // PROTO 2, GLOBAL os.system, BINUNICODE command, TUPLE1, REDUCE, STOP.
  std::string pickle =
      "\x80\x02"
      "cos\nsystem\nX";
  Put(pickle, command.size(), 4);
  pickle += command;
  pickle += "\x85R.";
  return StoredZip({{"archive/data.pkl", pickle}, {"archive/version", "3\n"}});
}

}  // namespace driftseal::testing
