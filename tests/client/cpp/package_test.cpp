#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "tests/client/cpp/consumer.h"
#include "tests/client/cpp/fake_engine.h"
#include "tests/support/temp_folder.h"

// The SDK as its users get it: installed, found by find_package, built into a program of theirs.
namespace driftseal::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kSource = DRIFTSEAL_SOURCE_DIR;

// Enough of an engine for the program.
void Serve(FakeEngine& engine) {
  engine.score = [](grpc::ServerContext&, const v1::ScoreRequest& request, v1::ScoreResponse& response) {
    response = ScoresOf(request, "driftseal@3");
    return grpc::Status::OK;
  };
  engine.get = [](grpc::ServerContext&, const v1::GetDetectorRequest&, v1::Detector& response) {
    for (const char* feature : {"a", "b", "c", "d"}) response.add_features(feature);
    return grpc::Status::OK;
  };
  engine.list_artifacts = [](grpc::ServerContext&, const v1::ListArtifactsRequest& request,
                             grpc::ServerWriter<v1::Artifact>& out) {
    for (int i = 0; i < 600; ++i) {
      v1::Artifact artifact;
      artifact.set_path(request.folder() + "/" + std::to_string(i));
      out.Write(artifact);
    }
    return grpc::Status::OK;
  };
  engine.verify_stream = [](grpc::ServerContext&, auto& io) {
    v1::VerifyStreamRequest request;
    while (io.Read(&request)) {
      v1::VerifyStreamResponse response;
      response.set_id(request.id());
      response.mutable_verdict()->set_outcome(request.run() == "nightly-2026-11-21" ? v1::Verdict::OUTCOME_REVIEW
                                                                                    : v1::Verdict::OUTCOME_ERROR);
      io.Write(response);
    }
    return grpc::Status::OK;
  };
}

TEST(PackageTest, AProgramBuildsAgainstTheInstalledLibraryAndRuns) {
  const InstalledConsumer consumer;
  FakeEngine engine;
  Serve(engine);
  const ProcessResult result = consumer.Run(engine.address(), "zoo");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("driftseal@3: 3 rows\n"), HasSubstr("review zoo/599\n"), Not(HasSubstr("error"))));
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 601);
}

TEST(PackageTest, InstalledHeadersNameNeitherGrpcNorProtobuf) {
  for (const auto& entry : std::filesystem::directory_iterator(kSource + "/client/cpp/include/driftseal")) {
    EXPECT_THAT(ReadFile(entry.path()),
                AllOf(Not(HasSubstr("#include <grpc")), Not(HasSubstr("google/")), Not(HasSubstr("v1::"))));
  }
}

TEST(PackageTest, TheManualShowsTheProgramThatIsTested) {
  EXPECT_THAT(ReadFile(kSource + "/docs/cpp.md"),
              HasSubstr("```cpp\n" + ReadFile(kSource + "/tests/client/cpp/consumer/main.cpp") + "```\n"));
}

}  // namespace
}  // namespace driftseal::testing
