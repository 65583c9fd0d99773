#include "engine/artifact/pickle.h"

#include "fixtures.h"

namespace driftseal::artifact {
namespace {

using absl::StatusCode;
using pickle::Global;
using pickle::Int;
using pickle::Ints;
using pickle::Storage;
using pickle::Tensor;
using pickle::Text;

using namespace std::string_literals;

const std::string kProto = "\x80\x02";

absl::Status Read(std::string_view ops) { return ReadPickle("m.pt: data.pkl", kProto + std::string(ops)).status(); }

TEST(Pickle, ThatRunsCodeIsRefusedByName) {
  const std::pair<std::string, const char*> hostile[] = {
      {Global("os", "system") + Text("id") + "\x85R.", "\"os.system\", which would run code"},
      {Global("posix", "system") + ".", "posix.system"},
      {Global("subprocess", "Popen") + ")R.", "subprocess.Popen"},
      {Global("builtins", "eval") + Text("1") + "\x85R.", "builtins.eval"},
      {Global("__builtin__", "getattr") + ".", "__builtin__.getattr"},
      {Global("importlib.util", "find_spec") + ".", "importlib.util.find_spec"},
      {Global("torch.hub", "load") + ".", "torch.hub.load"},
      {Global("torch.storage", "_load_from_bytes") + ".", "_load_from_bytes"},
      {Global("torch", "load") + ".", "torch.load"},
      {Global("pip", "main") + ".", "pip.main"},
      {Global("uuid", "_popen") + ".", "uuid._popen"},
      {Text("os") + Text("system") + "\x93" + Text("id") + "\x85R.", "os.system"},
      // The name comes from the memo, out of a string that looks harmless where it stands.
      {Text("system") + "q\0"s + Text("os") + "h\x00\x93)R."s, "os.system"},
      {"(" + Text("id") + "ios\nsystem\n.", "INST, which would call \"os.system\""},
      {"(" + Global("__main__", "A") + "o.", "uses OBJ"},
      {"\x82\x01.", "uses EXT1"},
      {"\x83\x01\x01.", "uses EXT2"},
      {Text("a") + "2.", "uses DUP"},
      {Text("a") + "0.", "uses POP"},
      {"V1\n.", "uses UNICODE"},
      {"S'x'\n.", "uses STRING"},
      {"P1\n.", "uses PERSID"},
      {"\x8f.", "uses EMPTY_SET"},
      {Global("collections", "OrderedDict") + ")}\x92.", "uses NEWOBJ_EX"},
      {"\xf3.", "the unknown opcode 0xf3"},
      {"}}b.", "BUILD on what is no record"},
      {"]}b.", "BUILD on what is no record"},
      {Int(1) + ")R.", "calls what was not imported by name"},
      {Global("torch", "FloatStorage") + ")R.", "torch.FloatStorage"},
      {Global("torch", "Size") + ")\x81.", "makes an object of what is no TorchScript class"},
      {Int(1) + Int(2) + "\x93.", "imports by what are no strings"},
      {Global("collections", "OrderedDict") + ")R]b.", "a state that is no dictionary"},
  };
  for (const auto& [ops, text] : hostile) EXPECT_THAT(Read(ops), Fails(StatusCode::kPermissionDenied, text));
  EXPECT_THAT(Read(Text("padding") + Global("os", "system") + "."),
              Fails(StatusCode::kPermissionDenied, "m.pt: data.pkl at byte 14 imports \"os.system\""));
}

TEST(Pickle, UnknownClassesAreNotUnderstoodAndHideNothingBehindThem) {
  const std::string net = Global("__main__", "Net") + ")\x81}b";
  EXPECT_THAT(Read(net + "."), Fails(StatusCode::kUnimplemented, "needs the code of \"__main__.Net\""));
  EXPECT_THAT(Read(Global("my.module", "make") + "(" + Int(1) + "tR."),
              Fails(StatusCode::kUnimplemented, "\"my.module.make\""));
  EXPECT_THAT(Read(Global("__builtin__", "set") + "(]tR."), Fails(StatusCode::kUnimplemented, "__builtin__.set"));
  EXPECT_THAT(Read("]" + net + "a" + Global("os", "system") + "a."), Fails(StatusCode::kPermissionDenied, "os.system"));
  EXPECT_THAT(Read("]" + net + "a" + "(ios\nsystem\na."), Fails(StatusCode::kPermissionDenied, "os.system"));
  EXPECT_THAT(Read(Global("os.evil\xff", "x") + "."), Fails(StatusCode::kPermissionDenied, "os.evil")) << "printable";
}

TEST(Pickle, MalformedOnesSayWhere) {
  const std::pair<std::string, const char*> malformed[] = {
      {"", "at byte 2 ends without a STOP"},
      {"N", "ends without a STOP"},
      {".", "other than one value"},
      {"NN.", "other than one value"},
      {"N(.", "other than one value"},
      {"N.N", "1 bytes follow"},
      {"J\x01", "BININT needs 4 bytes more"},
      {"X\xff\xff\xff\xff", "BINUNICODE needs 4294967295 bytes more"},
      {"h\x05.", "recalls memo 5, which was not set"},
      {"q\x01.", "memorizes a value of an empty stack"},
      {"(q\x01.", "memorizes a value of an empty stack"},
      {"\x85.", "takes a value from an empty stack"},
      {"N(\x85.", "takes a value from an empty stack"},
      {"t.", "expects a MARK"},
      {"N(Na.", "takes a value from an empty stack"},
      {"}(Nu.", "a key without a value"},
      {"NNa.", "appends to what is no list"},
      {"]NNs.", "sets items of what is no dictionary"},
      {"cos", "a name without an end"},
      {"\x8a\x09"
       "123456789.",
       "more than 64 bits"},
      {"\x80\x02N.", "has no PROTO where one is expected"},
      {"NQ.", "persistent id"},
      {Storage("FloatStorage", "0", -1) + ".", "size overflows"},
      {"\x95" + Le(100, 8) + "N.", "opens a frame of 100 bytes"},
      {"\x95" + Le(1, 8) + "J" + Le(0, 4) + ".", "over the end of a frame"},
      {"\x95" + Le(11, 8) + "\x95" + Le(0, 8) + "N.", "a frame within a frame"},
  };
  for (const auto& [ops, text] : malformed) EXPECT_THAT(Read(ops), Fails(StatusCode::kInvalidArgument, text));
  EXPECT_THAT(ReadPickle("p", "N."), Fails(StatusCode::kInvalidArgument, "PROTO"));
  EXPECT_THAT(ReadPickle("p", "\x80\x01N."), Fails(StatusCode::kInvalidArgument, "protocol 1"));
  EXPECT_THAT(ReadPickle("p", "\x80\x06N."), Fails(StatusCode::kInvalidArgument, "protocol 6"));
}

TEST(Pickle, TensorsAreCheckedAgainstTheirStorage) {
  const std::string storage = Storage("FloatStorage", "0", 12);
  const std::pair<std::string, const char*> wrong[] = {
      {Tensor(storage, 1, {3, 4}, {4, 1}), "last element, 12, lies outside of its storage of 12"},
      {Tensor(storage, 0, {13}, {1}), "lies outside"},
      {Tensor(storage, 0, {2, 2}, {100, 1}), "lies outside"},
      {Tensor(storage, -1, {1}, {1}), "no valid offset"},
      {Tensor(storage, 0, {-1}, {1}), "size holds other than non-negative"},
      {Tensor(storage, 0, {1}, {-1}), "stride holds other than non-negative"},
      {Tensor(storage, 0, {1, 2}, {1}), "more or fewer strides"},
      {Tensor(storage, 0, {0x7fffffff, 0x7fffffff, 0x7fffffff}, {0, 0, 0}), "size overflows"},
      {Tensor(Text("x"), 0, {1}, {1}), "what is no storage"},
      {Global("torch._utils", "_rebuild_tensor_v2") + ")R", "a wrong number of arguments"},
      {Global("torch._utils", "_rebuild_parameter") + "(NNNtR", "a parameter of what is no tensor"},
      {Global("torch", "Size") + "(NtR", "torch.Size of what is no tuple"},
  };
  for (const auto& [ops, text] : wrong) EXPECT_THAT(Read(ops + "."), Fails(StatusCode::kInvalidArgument, text));
  const std::vector<int32_t> many(40, 1);
  EXPECT_THAT(Read(Tensor(storage, 0, many, many) + "."), Fails(StatusCode::kResourceExhausted, "40 dimensions"));
  const std::string bytes = kProto + Tensor(storage, 0, {3, 4}, {4, 1}) + ".";
  const absl::StatusOr<Pickle> good = ReadPickle("p", bytes);
  ASSERT_THAT(good, IsOk());
  EXPECT_TRUE(good->tensors.at(0).strides.empty()) << "contiguous";
}

TEST(Pickle, BombsHitALimit) {
  EXPECT_THAT(Read(std::string(3 << 20, ']') + "."), Fails(StatusCode::kResourceExhausted, "values"));
  EXPECT_THAT(Read(std::string(1 << 20, '(') + "."), Fails(StatusCode::kResourceExhausted, "nests too deeply"));
  EXPECT_THAT(Read("Nr\xff\xff\xff\xff."), Fails(StatusCode::kResourceExhausted, "memo"));
  EXPECT_THAT(Read(Text(std::string(2 << 20, 'a')) + "."), Fails(StatusCode::kResourceExhausted, "string"));
  std::string imports;
  for (int i = 0; i < 20000; ++i) imports += "ca\nb\n";
  EXPECT_THAT(Read(imports + "."), Fails(StatusCode::kResourceExhausted, "imports"));
  EXPECT_THAT(Read(std::string(1 << 21, 'N') + "."), Fails(StatusCode::kResourceExhausted, "stack"));
}

// Every prefix of a pickle, and every change of one byte in it, ends in a value or an error.
TEST(Pickle, CutAnywhereIsAnError) {
  const std::string whole = kProto + "}" + Text("w") + Tensor(Storage("FloatStorage", "0", 4), 0, {4}, {1}) + "s.";
  ASSERT_THAT(ReadPickle("p", whole), IsOk());
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_FALSE(ReadPickle("p", std::string_view(whole).substr(0, length)).ok()) << length;
  }
}

}  // namespace
}  // namespace driftseal::artifact
