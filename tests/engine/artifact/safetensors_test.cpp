#include "fixtures.h"

namespace driftseal::artifact {
namespace {

using absl::StatusCode;

std::string File(std::string_view header, size_t data_bytes) {
  return Le(header.size(), 8) + std::string(header) + std::string(data_bytes, '\0');
}

std::vector<std::byte> Floats(const std::vector<float>& values) {
  const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
  return {bytes, bytes + values.size() * sizeof(float)};
}

struct Case {
  const char* what;
  std::string file;
  StatusCode code;
  const char* text;
};

TEST(Safetensors, EveryRuleOfTheFormatIsHeld) {
  const std::string f32 = R"("dtype":"F32","shape":[1],)";
  const std::string deep = R"({"a":{"dtype":)" + std::string(100000, '[') + "}}";
  std::string many_dims = R"({"a":{"dtype":"F32","shape":[1)";
  for (int i = 0; i < 40; ++i) many_dims += ",1";
  many_dims += R"(],"data_offsets":[0,4]}})";
  const Case cases[] = {
      {"length of 2^63", Le(uint64_t{1} << 63, 8) + "{\"a\":1}", StatusCode::kInvalidArgument,
       "header length 9223372036854775808"},
      {"length over the limit", Le(100'000'001, 8) + "{\"a\":1}", StatusCode::kInvalidArgument,
       "the format's limit is 100000000"},
      {"length over the file", Le(50, 8) + "{\"a\":1}", StatusCode::kInvalidArgument, "only 7 bytes follow"},
      {"no JSON", File("{\"a\":", 0), StatusCode::kInvalidArgument, "safetensors header"},
      {"not UTF-8", File("{\"\xff\xfe\":{}}", 0), StatusCode::kInvalidArgument, "UTF-8"},
      {"junk behind the header", File("{} {}", 0), StatusCode::kInvalidArgument, "nothing behind the closing brace"},
      {"entry is a number", File(R"({"a":1})", 0), StatusCode::kInvalidArgument, "\"a\": expected an object"},
      {"metadata of numbers", File(R"({"__metadata__":{"a":1}})", 0), StatusCode::kInvalidArgument,
       "object of strings"},
      {"duplicate metadata", File(R"({"__metadata__":{"a":"1","a":"2"}})", 0), StatusCode::kInvalidArgument,
       "appears twice"},
      {"two metadata", File(R"({"__metadata__":{},"__metadata__":{}})", 0), StatusCode::kInvalidArgument,
       "appears twice"},
      {"duplicate tensor",
       File("{\"a\":{" + f32 + R"("data_offsets":[0,4]},"a":{)" + f32 + R"("data_offsets":[4,8]}})", 8),
       StatusCode::kInvalidArgument, "\"a\": the key appears twice"},
      {"duplicate by escape",
       File("{\"a\":{" + f32 + R"("data_offsets":[0,4]},"\u0061":{)" + f32 + R"("data_offsets":[4,8]}})", 8),
       StatusCode::kInvalidArgument, "appears twice"},
      {"duplicate field", File(R"({"a":{"dtype":"F32","dtype":"F16","shape":[1],"data_offsets":[0,4]}})", 4),
       StatusCode::kInvalidArgument, "field \"dtype\" appears twice"},
      {"unknown field", File("{\"a\":{" + f32 + R"("data_offsets":[0,4],"x":1}})", 4), StatusCode::kInvalidArgument,
       "unknown field"},
      {"no dtype", File(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4), StatusCode::kInvalidArgument,
       "expected dtype, shape"},
      {"unknown dtype", File(R"({"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}})", 4),
       StatusCode::kInvalidArgument, "\"F33\""},
      {"dtype not understood", File(R"({"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}})", 1),
       StatusCode::kUnimplemented, "F4"},
      {"negative dimension", File(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4),
       StatusCode::kInvalidArgument, "shape"},
      {"fractional dimension", File(R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4),
       StatusCode::kInvalidArgument, "shape"},
      {"shape overflows", File(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0),
       StatusCode::kInvalidArgument, "overflows"},
      {"size differs", File(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4),
       StatusCode::kInvalidArgument, "shape and dtype make 8"},
      {"too many dimensions", File(many_dims, 4), StatusCode::kResourceExhausted, "dimensions"},
      {"three offsets", File("{\"a\":{" + f32 + R"("data_offsets":[0,4,4]}})", 4), StatusCode::kInvalidArgument,
       "two integers"},
      {"one offset", File("{\"a\":{" + f32 + R"("data_offsets":[0]}})", 4), StatusCode::kInvalidArgument,
       "two integers"},
      {"offsets reversed", File("{\"a\":{" + f32 + R"("data_offsets":[4,0]}})", 4), StatusCode::kInvalidArgument,
       "data_offsets"},
      {"starts late", File("{\"a\":{" + f32 + R"("data_offsets":[4,8]}})", 8), StatusCode::kInvalidArgument,
       "expected to start at 0"},
      {"overlap", File("{\"a\":{" + f32 + R"("data_offsets":[0,4]},"b":{)" + f32 + R"("data_offsets":[0,4]}})", 4),
       StatusCode::kInvalidArgument, "expected to start at 4"},
      {"hole", File("{\"a\":{" + f32 + R"("data_offsets":[0,4]},"b":{)" + f32 + R"("data_offsets":[8,12]}})", 12),
       StatusCode::kInvalidArgument, "expected to start at 4"},
      {"data left over", File("{\"a\":{" + f32 + R"("data_offsets":[0,4]}})", 5), StatusCode::kInvalidArgument,
       "5 follow the header"},
      {"data missing", File("{\"a\":{" + f32 + R"("data_offsets":[0,4]}})", 3), StatusCode::kInvalidArgument,
       "3 follow the header"},
      {"deep nesting", File(deep, 0), StatusCode::kInvalidArgument, "safetensors header"},
      {"name too long", File("{\"" + std::string(5000, 'a') + "\":{}}", 0), StatusCode::kResourceExhausted,
       "tensor name"},
  };
  for (const Case& c : cases) EXPECT_THAT(ReadBytes(c.file), Fails(c.code, c.text)) << c.what;
}

TEST(Safetensors, OddButValidFilesAreRead) {
  const char* headers[] = {"{}", "{ }  ", R"({"__metadata__":{}})",
                           R"({"e":{"dtype":"F32","shape":[0,9223372036854775808],"data_offsets":[0,0]}})"};
  for (const char* header : headers) EXPECT_THAT(ReadBytes(File(header, 0)), IsOk()) << header;
  // Entries in another order than their data: the table follows the data.
  const auto model = ReadBytes(File(
      R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})",
      2));
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(std::get<TensorTable>(model->content).tensors[0].name, "a");
}

TEST(Safetensors, WhatIsWrittenIsReadBack) {
  const std::map<std::string, std::string> metadata = {{"format", "driftseal"}, {"odd", "\"\\\n\xc3\xbc"}};
  const std::vector<NamedTensor> tensors = {
      {.name = "z", .shape = {2, 2}, .data = Floats({1, 2, 3, 4})},
      {.name = "empty", .shape = {0, 7}, .data = {}},
      {.name = "a \"quoted\" \xc3\xbc", .shape = {}, .data = Floats({5})},
      {.name = "u8", .shape = {3}, .dtype = DType::kU8, .data = {std::byte{7}, std::byte{8}, std::byte{9}}}};
  const absl::StatusOr<std::string> file = WriteSafetensors(tensors, metadata);
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(static_cast<uint8_t>((*file)[0]) % 8, 0) << "the data are aligned";
  const Source source = SourceOf("w", *file);
  const absl::StatusOr<ModelFile> model = ReadModelFile(source);
  ASSERT_THAT(model, IsOk());
  const auto& table = std::get<TensorTable>(model->content);
  EXPECT_EQ(table.metadata, metadata);
  ASSERT_EQ(table.tensors.size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(table.tensors[i].name, tensors[i].name);
    EXPECT_EQ(table.tensors[i].shape, tensors[i].shape);
    std::vector<float> values;
    ASSERT_THAT(ReadTensor(source, table.tensors[i], 100, values), IsOk());
    EXPECT_EQ(values.size(), table.tensors[i].Elements());
  }
  std::vector<float> values;
  ASSERT_THAT(ReadTensor(source, table.tensors[0], 4, values), IsOk());
  EXPECT_THAT(values, testing::ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(ReadTensor(source, table.tensors[0], 3, values), Fails(StatusCode::kResourceExhausted, "the limit is 3"));
}

TEST(Safetensors, ThatWouldBreakTheFormatAreNotWritten) {
  const NamedTensor good{.name = "a", .shape = {1}, .data = Floats({1})};
  EXPECT_THAT(WriteSafetensors({good, good}, {}), Fails(StatusCode::kInvalidArgument, "the name is taken"));
  EXPECT_THAT(WriteSafetensors({{.name = "__metadata__", .shape = {1}, .data = Floats({1})}}, {}),
              Fails(StatusCode::kInvalidArgument, "reserved"));
  EXPECT_THAT(WriteSafetensors({{.name = "a", .shape = {2}, .data = Floats({1})}}, {}),
              Fails(StatusCode::kInvalidArgument, "shape and dtype make 8"));
  EXPECT_THAT(WriteSafetensors({{.name = "a", .shape = {uint64_t{1} << 63, 4}, .data = {}}}, {}),
              Fails(StatusCode::kInvalidArgument, "more than fit"));
  EXPECT_THAT(WriteSafetensors({{.name = "\xff", .shape = {1}, .data = Floats({1})}}, {}),
              Fails(StatusCode::kInvalidArgument, "UTF-8"));
  EXPECT_THAT(WriteSafetensors({good}, {{"k", "\xff"}}), Fails(StatusCode::kInvalidArgument, "UTF-8"));
}

TEST(ReadTensor, StaysWithinTheFile) {
  const Source source = SourceOf("m", std::string(64, '\1'));
  std::vector<float> values;
  TensorInfo info{.name = "t", .dtype = DType::kF32, .shape = {4, 4}, .strides = {}, .offset = 0};
  EXPECT_THAT(ReadTensor(source, info, 16, values), IsOk());
  info.offset = 4;
  EXPECT_THAT(ReadTensor(source, info, 16, values), Fails(StatusCode::kOutOfRange, "\"t\""));
  info.offset = ~uint64_t{0};
  EXPECT_THAT(ReadTensor(source, info, 16, values), Fails(StatusCode::kOutOfRange, "\"t\""));
  info.offset = 0;
  info.strides = {uint64_t{1} << 62, 1};
  EXPECT_THAT(ReadTensor(source, info, 16, values), Fails(StatusCode::kOutOfRange, "\"t\""));
  info.strides = {1};
  EXPECT_THAT(ReadTensor(source, info, 16, values), Fails(StatusCode::kInvalidArgument, "as many strides"));
  info.strides.clear();
  info.shape = {uint64_t{1} << 32, uint64_t{1} << 32};
  EXPECT_THAT(ReadTensor(source, info, ~uint64_t{0}, values), Fails(StatusCode::kInvalidArgument, "overflows"));
}

}  // namespace
}  // namespace driftseal::artifact
