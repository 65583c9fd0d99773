#include "fixtures.h"

namespace driftseal::artifact {
namespace {

using absl::StatusCode;
using pickle::Global;
using pickle::Int;
using pickle::Storage;
using pickle::Tensor;
using pickle::Text;

const std::string kFloats = std::string(16, '\0');

std::string Dict(const std::string& items) { return "\x80\x02}(" + items + "u."; }
std::string OneTensor() { return Dict(Text("w") + Tensor(Storage("FloatStorage", "0", 4), 0, {4}, {1})); }

std::vector<std::string> Names(std::string_view file) {
  const absl::StatusOr<ModelFile> model = ReadBytes(file);
  EXPECT_THAT(model, IsOk());
  std::vector<std::string> names;
  if (model.ok()) {
    for (const TensorInfo& tensor : std::get<TensorTable>(model->content).tensors) names.push_back(tensor.name);
  }
  return names;
}

TEST(TorchZip, NamesTensorsByTheWayToThem) {
  const std::string w = Tensor(Storage("FloatStorage", "0", 4), 0, {4}, {1});
  EXPECT_THAT(Names(MakeTorchZip(OneTensor(), {{"0", kFloats}})), testing::ElementsAre("w"));
  EXPECT_THAT(Names(MakeTorchZip("\x80\x02" + w + ".", {{"0", kFloats}})), testing::ElementsAre("tensor"));
  EXPECT_THAT(Names(MakeTorchZip(Dict(Text("a") + "](" + w + w + "e" + Text("b") + "(" + w + "t" + Int(7) + w),
                                 {{"0", kFloats}})),
              testing::ElementsAre("a.0", "a.1", "b.0", "7"));
  // A TorchScript object's attributes, one of them a record whose state is no dictionary.
  const std::string inner = Global("__torch__.a", "B") + ")\x81(" + w + "tb";
  EXPECT_THAT(Names(MakeTorchZip(
                  "\x80\x02" + Global("__torch__", "Net") + ")\x81}(" + Text("x") + w + Text("in") + inner + "ub.",
                  {{"0", kFloats}})),
              testing::ElementsAre("x", "in.0"));
}

TEST(TorchZip, ACycleIsAnErrorAndSharingIsNot) {
  EXPECT_THAT(ReadBytes(MakeTorchZip("\x80\x02]q\x01h\x01"
                                     "a.")),
              Fails(StatusCode::kInvalidArgument, "contains itself"));
  EXPECT_THAT(ReadBytes(MakeTorchZip(std::string("\x80\x02}q\x01") + Text("me") + "h\x01s.")),
              Fails(StatusCode::kInvalidArgument, "contains itself"));
  const std::string w = Tensor(Storage("FloatStorage", "0", 4), 0, {4}, {1}) + "q\x01";
  EXPECT_THAT(Names(MakeTorchZip(Dict(Text("a") + w + Text("b") + "h\x01"), {{"0", kFloats}})),
              testing::ElementsAre("a", "b"));
}

TEST(TorchZip, ValuesThatMultiplyHitALimit) {
  // Thirty lists, each holding the one before it twice: 2^30 ways to the first.
  std::string ops = "\x80\x02]q";
  ops += '\0';
  for (char i = 0; i < 30; ++i) ops += std::string("0](h") + i + "h" + i + "eq" + static_cast<char>(i + 1);
  ops.erase(std::remove(ops.begin(), ops.end(), '0'), ops.end());
  // Without POP the lists stay on the stack: put them into one tuple.
  EXPECT_THAT(ReadBytes(MakeTorchZip("\x80\x02(" + ops.substr(2) + "t.")),
              Fails(StatusCode::kResourceExhausted, "too many values"));
  std::string deep = "\x80\x02" + std::string(1000, ']');
  deep += std::string(999, 'a') + ".";
  EXPECT_THAT(ReadBytes(MakeTorchZip(deep)), Fails(StatusCode::kResourceExhausted, "nest too deeply"));
}

TEST(TorchZip, TwoTensorsOfOneNameAreRefused) {
  const std::string w = Tensor(Storage("FloatStorage", "0", 4), 0, {4}, {1});
  EXPECT_THAT(ReadBytes(MakeTorchZip(Dict(Text("a.b") + w + Text("a") + "}" + Text("b") + w + "s"), {{"0", kFloats}})),
              Fails(StatusCode::kInvalidArgument, "two tensors are named \"a.b\""));
  EXPECT_THAT(ReadBytes(MakeTorchZip(Dict(Text("\xff") + w), {{"0", kFloats}})),
              Fails(StatusCode::kInvalidArgument, "not UTF-8"));
  EXPECT_THAT(ReadBytes(MakeTorchZip(Dict(Text(std::string(5000, 'n')) + w), {{"0", kFloats}})),
              Fails(StatusCode::kResourceExhausted, "name"));
}

TEST(TorchZip, StoragesMustBeThereAndFit) {
  EXPECT_THAT(ReadBytes(MakeTorchZip(OneTensor())), Fails(StatusCode::kInvalidArgument, "no member \"m/data/0\""));
  EXPECT_THAT(ReadBytes(MakeTorchZip(OneTensor(), {{"0", "short"}})),
              Fails(StatusCode::kInvalidArgument, "has 5 bytes, its storage should have 16"));
  const std::string escape = Dict(Text("w") + Tensor(Storage("FloatStorage", "../byteorder", 1), 0, {1}, {1}));
  EXPECT_THAT(ReadBytes(MakeTorchZip(escape)), Fails(StatusCode::kInvalidArgument, "no member"));
  EXPECT_THAT(ReadBytes(MakeTorchZip(Dict(Text("w") + Tensor(Storage("QInt8Storage", "0", 1), 0, {1}, {1})))),
              Fails(StatusCode::kUnimplemented, "QInt8Storage"));
}

TEST(TorchZip, ConstantsAreCheckedButNotListed) {
  std::vector<ZipEntry> entries = {{.name = "m/data.pkl", .data = "\x80\x02}."},
                                   {.name = "m/constants.pkl", .data = "\x80\x02)."}};
  EXPECT_THAT(Names(MakeZip(entries)), testing::IsEmpty());
  entries[1].data = "\x80\x02" + Global("os", "system") + ".";
  EXPECT_THAT(ReadBytes(MakeZip(entries)),
              Fails(StatusCode::kPermissionDenied, "constants.pkl at byte 2 imports \"os.system\""));
}

TEST(TorchZip, ByteOrderMustBeLittle) {
  const ZipEntry pickle{.name = "m/data.pkl", .data = "\x80\x02}."};
  EXPECT_THAT(ReadBytes(MakeZip({pickle, {.name = "m/byteorder", .data = "big"}})),
              Fails(StatusCode::kUnimplemented, "big-endian"));
  EXPECT_THAT(ReadBytes(MakeZip({pickle, {.name = "m/byteorder", .data = "middle"}})),
              Fails(StatusCode::kInvalidArgument, "byteorder"));
  EXPECT_THAT(ReadBytes(MakeZip({pickle})), IsOk());
}

struct ZipCase {
  const char* what;
  std::string file;
  StatusCode code;
  const char* text;
};

TEST(TorchZip, AnArchiveThatTwoReadersCouldReadDifferentlyIsRefused) {
  const ZipEntry pkl{.name = "m/data.pkl", .data = "\x80\x02}."};
  const auto with = [&](auto change) {
    ZipEntry entry = pkl;
    change(entry);
    return MakeZip({entry, {.name = "m/version", .data = "3"}});
  };
  const std::string good = MakeZip({pkl, {.name = "m/version", .data = "3"}});
  ASSERT_THAT(ReadBytes(good), IsOk());
  ASSERT_THAT(ReadBytes(with([](auto& e) { e.descriptor = true; })), IsOk());
  ASSERT_THAT(ReadBytes(MakeZip({pkl}, {.zip64 = true})), IsOk());
  const StatusCode invalid = StatusCode::kInvalidArgument;
  const ZipCase cases[] = {
      {"data behind", good + "x", invalid, "end with an end record"},
      {"comment", MakeZip({pkl}, {.behind = "comment"}), invalid, "end with an end record"},
      {"second archive behind", good + good, invalid, "central directory"},
      {"data in front", MakeZip({pkl}, {.front = "PK\3\4junk"}), invalid, "lie before the first one"},
      {"data between", with([](auto& e) { e.behind = "payload"; }), invalid, "7 bytes of no member"},
      {"data behind a descriptor", with([](auto& e) {
         e.descriptor = true;
         e.behind = "payload!";
       }),
       invalid, "descriptor"},
      {"duplicate", MakeZip({pkl, pkl}), invalid, "two members are named"},
      {"duplicate in another case", MakeZip({pkl, {.name = "M/DATA.PKL"}}), invalid, "two members are named"},
      {"encrypted", with([](auto& e) { e.flags = 1; }), StatusCode::kPermissionDenied, "is encrypted"},
      {"patched data", with([](auto& e) { e.flags = 32; }), invalid, "flags"},
      {"another local name", with([](auto& e) { e.local_name = "m/evil.pkl"; }), invalid,
       "its local header names it \"m/evil.pkl\""},
      {"another local checksum", with([](auto& e) { e.local_crc_change = 1; }), invalid, "size or checksum differ"},
      {"another local size", with([](auto& e) { e.local_size_change = -1; }), invalid, "size or checksum differ"},
      {"wrong checksum", with([](auto& e) { e.crc_change = 1; }), invalid, "do not have the recorded checksum"},
      {"wrong checksum in the descriptor", with([](auto& e) {
         e.descriptor = true;
         e.local_crc_change = 1;
       }),
       invalid, "descriptor"},
      {"wrong offset", with([](auto& e) { e.header_change = 1; }), invalid, "lie before the first one"},
      {"overlap", MakeZip({pkl, {.name = "m/x", .header_change = -10}}), invalid, "m/data.pkl"},
      {"same offset", MakeZip({pkl, {.name = "m/x", .header_change = -44}}), invalid, "overlaps"},
      {"deflated", with([](auto& e) { e.method = 8; }), StatusCode::kUnimplemented, "is compressed (method 8)"},
      {"malformed extra", with([](auto& e) { e.extra = "\1\0\xff\xff"; }), invalid, "malformed extra"},
      {"second name in extra", with([](auto& e) { e.extra = "up" + Le(5, 2) + "12345"; }), invalid, "malformed extra"},
      {"too few entries", MakeZip({pkl}, {.count_change = 1}), invalid, "the end record says 2"},
      {"too many entries", MakeZip({pkl, {.name = "m/x"}}, {.count_change = -1}), invalid, "the end record says 1"},
      {"directory elsewhere", MakeZip({pkl}, {.start_change = -1}), invalid, "central directory"},
      {"directory shorter", MakeZip({pkl}, {.size_change = -1}), invalid, "central directory"},
      {"zip64 counts differ", MakeZip({pkl}, {.count_change = 7, .zip64 = true}), invalid, "the end record says 8"},
      {"zip64 offset", MakeZip({pkl}, {.start_change = 5, .zip64 = true}), invalid, "central directory"},
      {"NUL in a name", MakeZip({pkl, {.name = std::string("m/a\0b", 5)}}), invalid, "NUL byte"},
      {"two folders", MakeZip({pkl, {.name = "n/data.pkl"}}), invalid, "one folder"},
      {"no folder", MakeZip({{.name = "/data.pkl", .data = "\x80\x02}."}}), invalid, "one folder"},
      {"empty archive", MakeZip({{.name = "m/data.pkl"}}).substr(40), StatusCode::kUnimplemented, "unknown format"},
  };
  for (const ZipCase& c : cases) EXPECT_THAT(ReadBytes(c.file), Fails(c.code, c.text)) << c.what;
}

// 4 GB of zeros in a few bytes: nothing is inflated, so the size is only a number.
TEST(TorchZip, ABombIsNotInflated) {
  std::vector<ZipEntry> entries = {{.name = "m/data.pkl", .data = "\x80\x02}."},
                                   {.name = "m/code/bomb.py", .data = "tiny", .method = 8}};
  EXPECT_THAT(ReadBytes(MakeZip(entries)), IsOk())
      << "compressed members that the loader does not unpickle do not matter";
  entries[0].method = 8;
  EXPECT_THAT(ReadBytes(MakeZip(entries)), Fails(StatusCode::kUnimplemented, "compressed"));
}

TEST(VerifyChecksums, FindsAChangedWeight) {
  std::string bytes = Sample("net.torchscript.pt");
  ASSERT_THAT(VerifyChecksums(SourceOf("m", bytes)), IsOk());
  const absl::StatusOr<ModelFile> model = ReadBytes(bytes);
  ASSERT_THAT(model, IsOk());
  bytes[std::get<TensorTable>(model->content).tensors[0].offset] ^= 1;
  EXPECT_THAT(ReadBytes(bytes), IsOk()) << "loaders ignore the checksums of storages";
  EXPECT_THAT(VerifyChecksums(SourceOf("m", bytes)),
              Fails(StatusCode::kInvalidArgument, "do not have the recorded checksum"));
  EXPECT_THAT(VerifyChecksums(SourceOf("m", Sample("net.nocrc.pt"))), IsOk()) << "none were recorded";
  EXPECT_THAT(VerifyChecksums(SourceOf("m", Sample("net.safetensors"))), IsOk()) << "the format has none";
}

}  // namespace
}  // namespace driftseal::artifact
