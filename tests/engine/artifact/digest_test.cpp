#include "engine/artifact/digest.h"

#include "fixtures.h"

namespace driftseal::artifact {
namespace {

using absl::StatusCode;

Digest Of(std::string_view bytes) { return Sha256(std::as_bytes(std::span(bytes))); }

// FIPS 180-4, examples of NIST.
TEST(Digest, OfKnownTexts) {
  EXPECT_EQ(Of("").Hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Of("abc").Hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Of(std::string(1'000'000, 'a')).Hex(), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Digest, IsParsedInEitherCaseAndWithItsAlgorithm) {
  const Digest digest = Of("abc");
  EXPECT_EQ(*ParseDigest(digest.Hex()), digest);
  EXPECT_EQ(*ParseDigest("sha256:" + digest.Hex()), digest);
  EXPECT_EQ(*ParseDigest("SHA256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"), digest);
  for (const std::string& text :
       {std::string(), digest.Hex().substr(1), digest.Hex() + "0", "g" + digest.Hex().substr(1), " " + digest.Hex(),
        "md5:" + digest.Hex(), std::string(1 << 20, 'a')}) {
    EXPECT_THAT(ParseDigest(text), Fails(StatusCode::kInvalidArgument, "64 hexadecimal digits"));
  }
}

TEST(Digest, OfManyFilesComesInTheirOrder) {
  std::vector<Source> sources;
  for (int i = 0; i < 50; ++i) sources.push_back(SourceOf("s", std::string(i * 1000, 'x')));
  std::vector<const Source*> pointers;
  for (const Source& source : sources) pointers.push_back(&source);
  for (const unsigned threads : {0u, 1u, 4u, 100u}) {
    const auto digests = Sha256All(pointers, threads);
    ASSERT_EQ(digests.size(), 50u);
    for (int i = 0; i < 50; ++i) EXPECT_EQ(digests[i]->Hex(), Of(std::string(i * 1000, 'x')).Hex());
  }
  EXPECT_TRUE(Sha256All({}, 4).empty());
}

TEST(Digest, OfManyFilesReportsEachFailureAlone) {
  const TempDir dir;
  const std::string path = dir.Write("a", "");
  std::filesystem::resize_file(path, Source::kResidentLimit + 1);
  const absl::StatusOr<Source> shrinking = Source::Open(path);
  ASSERT_THAT(shrinking, IsOk());
  std::filesystem::resize_file(path, 1);
  const Source good = SourceOf("g", "abc");
  const Source* sources[] = {&good, &*shrinking, &good};
  const auto digests = Sha256All(sources, 2);
  EXPECT_THAT(digests[0], IsOk());
  EXPECT_THAT(digests[1], Fails(StatusCode::kAborted, path));
  EXPECT_THAT(digests[2], IsOk());
}

}  // namespace
}  // namespace driftseal::artifact
