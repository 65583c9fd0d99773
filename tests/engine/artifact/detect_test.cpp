#include "fixtures.h"

namespace driftseal::artifact {
namespace {

using absl::StatusCode;

absl::StatusOr<Format> Detect(std::string_view bytes) { return DetectFormat(SourceOf("m", bytes)); }

TEST(DetectFormat, GoesByContentNotByName) {
  for (const auto& [sample, format] : std::map<std::string, Format>{{"net.safetensors", Format::kSafetensors},
                                                                    {"net.state_dict.pt", Format::kTorchZip},
                                                                    {"net.torchscript.pt", Format::kTorchZip},
                                                                    {"binary.json", Format::kXgboostJson},
                                                                    {"binary17.ubj", Format::kXgboostUbj},
                                                                    {"multi.ubj", Format::kXgboostUbj}}) {
    const absl::StatusOr<Format> found = DetectFormat(SourceOf("innocent.txt", Sample(sample)));
    ASSERT_THAT(found, IsOk()) << sample;
    EXPECT_EQ(FormatName(*found), FormatName(format)) << sample;
  }
  EXPECT_EQ(*Detect(" \n{ \"version\":[1], \"learner\": {}}"), Format::kXgboostJson);
}

TEST(DetectFormat, SaysWhatElseItIs) {
  const std::pair<std::string, const char*> others[] = {
      {"", "an empty file"},
      {"hello", "an unknown format"},
      {"\x80\x04N.", "a bare pickle"},
      {std::string("\x89HDF\r\n\x1a\n", 8), "HDF5"},
      {"GGUF\3", "GGUF"},
      {std::string("\x08\x07\x12\x07pytorch", 11), "ONNX"},
      {"\x1f\x8b\x08", "gzip"},
      {"{\"architectures\": []}", "JSON without"},
      {"[1]", "JSON without"},
      {"\x93NUMPY", "NumPy"},
      {"\x7f"
       "ELF",
       "ELF"},
      {std::string(257, '\0') + "ustar", "tar"},
      {std::string(9, '\0'), "an unknown format"},
  };
  for (const auto& [bytes, what] : others) {
    EXPECT_THAT(Detect(bytes), Fails(StatusCode::kUnimplemented, what));
    EXPECT_THAT(ReadBytes(bytes), Fails(StatusCode::kUnimplemented, what));
  }
  EXPECT_THAT(ReadBytes(MakeZip({{.name = "config.json"}, {.name = "model.weights.h5"}})),
              Fails(StatusCode::kUnimplemented, "Keras"));
  EXPECT_THAT(ReadBytes(MakeZip({{.name = "arr_0.npy"}})), Fails(StatusCode::kUnimplemented, ".npz"));
  EXPECT_THAT(ReadBytes(MakeZip({{.name = "readme"}})), Fails(StatusCode::kUnimplemented, "without data.pkl"));
}

}  // namespace
}  // namespace driftseal::artifact
