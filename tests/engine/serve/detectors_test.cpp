#include <filesystem>

#include "engine/screen/screen.h"
#include "engine/serve/operations.h"
#include "tests/engine/serve/verify_fixture.h"

namespace driftseal::testing {
namespace {

using grpc::StatusCode;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

class DetectorsTest : public ::testing::Test {
 protected:
  grpc::Status Load(const std::string& folder, v1::Detector* detector, bool activate = false) {
    grpc::ClientContext context;
    v1::LoadDetectorRequest request;
    request.set_folder(folder);
    request.set_activate(activate);
    return server_.Detectors().Load(&context, request, detector);
  }
  grpc::Status Get(const std::string& id, v1::Detector* detector) {
    grpc::ClientContext context;
    v1::GetDetectorRequest request;
    request.set_detector(id);
    return server_.Detectors().Get(&context, request, detector);
  }
  grpc::Status Fit(const v1::FitRequest& request, v1::Operation* operation) {
    grpc::ClientContext context;
    return server_.Detectors().Fit(&context, request, operation);
  }
  // The test's detector as version 2, in the root.
  void WriteVersion2() {
    fs::create_directory(server_.root() / "v2");
    const std::string state = ReadFile(fs::path(ModelDetectorFolder()) / "detector_state.json");
    std::string changed = state;
    const size_t at = changed.find("\"version\": 1");
    ASSERT_NE(at, changed.npos);
    changed.replace(at, 12, "\"version\": 2");
    server_.root().Write("v2/detector_state.json", changed);
    server_.root().Write("v2/detector.safetensors", ReadFile(fs::path(ModelDetectorFolder()) / "detector.safetensors"));
  }
  VerifyServer server_;
};

TEST_F(DetectorsTest, AreListedAndDescribed) {
  grpc::ClientContext context;
  v1::ListDetectorsResponse list;
  ASSERT_TRUE(server_.Detectors().List(&context, v1::ListDetectorsRequest(), &list).ok());
  ASSERT_EQ(list.detectors_size(), 1);
  EXPECT_EQ(list.detectors(0).name(), "driftseal");
  EXPECT_TRUE(list.detectors(0).active());
  EXPECT_EQ(list.detectors(0).features_size(), 0) << "of Get alone";
  v1::Detector detector;
  for (const char* id : {"", "driftseal", "driftseal@1"}) {
    ASSERT_TRUE(Get(id, &detector).ok()) << id;
    EXPECT_EQ(detector.schema(), "model-fingerprint/" + std::to_string(screen::ModelSchemaId().version));
    EXPECT_GT(detector.features_size(), 20);
    EXPECT_EQ(detector.families(0).fitted_on(), 40u);
    EXPECT_EQ(detector.sha256(), detector::DigestOf(ModelDetectorFolder()).value());
  }
  EXPECT_THAT(Get("other", &detector), FailsWith(StatusCode::NOT_FOUND, "other"));
}

TEST_F(DetectorsTest, AreLoadedActivatedAndRolledBack) {
  WriteVersion2();
  v1::Detector detector;
  grpc::Status status = Load("v2", &detector);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(detector.version(), 2);
  EXPECT_FALSE(detector.active());
  EXPECT_THAT(Load("v2", &detector), FailsWith(StatusCode::ALREADY_EXISTS, "2"));
  grpc::ClientContext activating, rolling, again;
  v1::ActivateRequest activate;
  activate.set_detector("driftseal@2");
  ASSERT_TRUE(server_.Detectors().Activate(&activating, activate, &detector).ok());
  ASSERT_TRUE(Get("driftseal", &detector).ok());
  EXPECT_EQ(detector.version(), 2);
  server_.Restart();
  ASSERT_TRUE(Get("driftseal", &detector).ok());
  EXPECT_EQ(detector.version(), 2) << "outlives a restart";
  v1::RollBackRequest roll_back;
  roll_back.set_name("driftseal");
  ASSERT_TRUE(server_.Detectors().RollBack(&rolling, roll_back, &detector).ok());
  EXPECT_EQ(detector.version(), 1);
  EXPECT_THAT(server_.Detectors().RollBack(&again, roll_back, &detector),
              FailsWith(StatusCode::FAILED_PRECONDITION, ""));
  for (const std::string& name : NamesIn(server_.state().path())) EXPECT_EQ(name.find("incoming"), name.npos);
}

TEST_F(DetectorsTest, NothingIsLoadedFromOutsideOfTheRoot) {
  v1::Detector detector;
  for (const HostilePath& hostile : HostilePaths(server_)) {
    EXPECT_EQ(Load(hostile.path, &detector).error_code(), hostile.code) << hostile.path;
  }
  WriteVersion2();
  fs::remove(server_.root() / "v2/detector.safetensors");
  EXPECT_THAT(Load("v2", &detector), FailsWith(StatusCode::NOT_FOUND, "detector.safetensors"));
  fs::create_symlink(fs::path(ModelDetectorFolder()) / "detector.safetensors",
                     server_.root() / "v2/detector.safetensors");
  EXPECT_THAT(Load("v2", &detector), FailsWith(StatusCode::PERMISSION_DENIED, "leads out of the root"));
  fs::remove(server_.root() / "v2/detector.safetensors");
  server_.root().Write("v2/detector.safetensors", "junk");
  const grpc::Status damaged = Load("v2", &detector);
  EXPECT_THAT(damaged, FailsWith(StatusCode::FAILED_PRECONDITION, "v2/"));
  EXPECT_EQ(damaged.error_message().find(server_.state().string()), std::string::npos);
}

TEST_F(DetectorsTest, AFitThatCannotBeIsRefusedAtOnce) {
  v1::Operation operation;
  const auto refused = [&](auto change, StatusCode code, const char* says) {
    v1::FitRequest request;
    change(request);
    EXPECT_THAT(Fit(request, &operation), FailsWith(code, says));
  };
  using R = v1::FitRequest;
  refused([](R& r) { r.set_name("a/b"); }, StatusCode::INVALID_ARGUMENT, "name");
  refused([](R& r) { r.set_version(-1); }, StatusCode::INVALID_ARGUMENT, "version");
  refused([](R& r) { r.set_version(1); }, StatusCode::ALREADY_EXISTS, "driftseal@1");
  refused([](R& r) { r.set_calibration_share(0.95); }, StatusCode::INVALID_ARGUMENT, "calibration_share");
  refused([](R& r) { r.set_family_minimum(3); }, StatusCode::INVALID_ARGUMENT, "family_minimum");
  refused([](R& r) { r.set_alpha(0); }, StatusCode::INVALID_ARGUMENT, "alpha");
  refused([](R& r) { r.set_folder("../x"); }, StatusCode::PERMISSION_DENIED, "folder");
}

TEST_F(DetectorsTest, AFitIsWatchedToItsEnd) {
  server_.WriteModels(4);
  v1::FitRequest request;
  request.set_folder("models");
  v1::Operation operation;
  ASSERT_TRUE(Fit(request, &operation).ok());
  grpc::ClientContext context;
  v1::WatchOperationRequest watch;
  watch.set_name(operation.name());
  v1::Detectors::Stub stub = server_.Detectors();
  const auto reader = stub.WatchOperation(&context, watch);
  v1::Operation last;
  while (reader->Read(&last)) {
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(last.state(), v1::Operation::STATE_FAILED) << "four models are too few";
  EXPECT_THAT(last.error(), HasSubstr("20"));
  EXPECT_GE(last.left_out_size(), 3) << "the tampered one, the broken meta file, the hostile archive";
  grpc::ClientContext again;
  v1::GetOperationRequest get;
  get.set_name(operation.name());
  v1::Operation got;
  ASSERT_TRUE(server_.Detectors().GetOperation(&again, get, &got).ok());
  EXPECT_EQ(got.SerializeAsString(), last.SerializeAsString());
  server_.Restart();
  grpc::ClientContext after;
  EXPECT_THAT(server_.Detectors().GetOperation(&after, get, &got), FailsWith(StatusCode::NOT_FOUND, operation.name()));
}

TEST_F(DetectorsTest, AFitThatIsCancelledLeavesNothing) {
  server_.WriteModels(400);
  v1::FitRequest request;
  request.set_name("mine");
  v1::Operation operation;
  ASSERT_TRUE(Fit(request, &operation).ok());
  grpc::ClientContext context, cancelling;
  v1::WatchOperationRequest watch;
  watch.set_name(operation.name());
  v1::Detectors::Stub stub = server_.Detectors();
  const auto reader = stub.WatchOperation(&context, watch);
  v1::Operation now;
  while (reader->Read(&now) && now.done() == 0 && serve::IsGoing(now)) {
  }
  v1::CancelOperationRequest cancel;
  cancel.set_name(operation.name());
  ASSERT_TRUE(stub.CancelOperation(&cancelling, cancel, &operation).ok());
  while (reader->Read(&now)) {
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(now.state(), v1::Operation::STATE_CANCELLED) << now.error();
  v1::Detector detector;
  EXPECT_EQ(Get("mine", &detector).error_code(), StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace driftseal::testing
