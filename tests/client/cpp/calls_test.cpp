#include <google/protobuf/util/json_util.h>

#include <chrono>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "tests/client/cpp/fake_engine.h"

// The calls whose answer is a stream, and health.
namespace driftseal::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CallsTest : public ::testing::Test {
 protected:
  FakeEngine engine_;
};

TEST_F(CallsTest, AVerificationTellsItsStagesAndItsVerdict) {
  engine_.verify = [](grpc::ServerContext&, const v1::VerifyRequest& request,
                      grpc::ServerWriter<v1::VerifyEvent>& out) {
    EXPECT_EQ(request.path(), "a.meta.json");
    EXPECT_EQ(request.policy().alpha(), 0.1);
    EXPECT_FALSE(request.policy().has_quarantine_alpha());
    EXPECT_TRUE(request.want_report_entry());
    v1::VerifyEvent event;
    for (const auto stage : {v1::VerifyEvent::Progress::STAGE_QUEUED, v1::VerifyEvent::Progress::STAGE_READING}) {
      event.mutable_progress()->set_stage(stage);
      out.Write(event);
    }
    v1::Verdict& verdict = *event.mutable_verdict();
    verdict.set_path("a.meta.json");
    verdict.set_outcome(v1::Verdict::OUTCOME_QUARANTINE);
    v1::Signal& signal = *verdict.add_signals();
    signal.set_kind("digest-mismatch");
    signal.set_severity(v1::Signal::SEVERITY_CRITICAL);
    // By protobuf's own code: under ThreadSanitizer its headers lay maps out in another way than the system's library.
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(R"({"role":"model"})", signal.mutable_evidence()).ok());
    verdict.mutable_score()->set_combined(2.5);
    verdict.mutable_score()->set_p_value(0.125);
    v1::MemberScore& member = *verdict.mutable_score()->add_members();
    member.set_member("svm");
    member.set_raw(3);
    v1::FileEvidence& file = *verdict.add_files();
    file.set_role("model");
    file.set_actual_sha256("ab");
    verdict.set_report_entry(R"({"path":"a.meta.json"})");
    out.Write(event);
    return grpc::Status::OK;
  };
  VerifyRequest request;
  request.path = "a.meta.json";
  request.alpha = 0.1;
  request.want_report_entry = true;
  std::vector<Stage> stages;
  const Verdict verdict =
      ClientOf(QuickOptions(engine_)).Verify(request, [&](Stage stage) { stages.push_back(stage); }).value();
  EXPECT_THAT(stages, ElementsAre(Stage::kQueued, Stage::kReading));
  EXPECT_EQ(verdict.outcome, Outcome::kQuarantine);
  EXPECT_STREQ(OutcomeName(verdict.outcome), "quarantine");
  ASSERT_EQ(verdict.signals.size(), 1u);
  EXPECT_EQ(verdict.signals[0].severity, Severity::kCritical);
  EXPECT_EQ(verdict.signals[0].evidence_json, R"({"role":"model"})");
  ASSERT_TRUE(verdict.score.has_value());
  EXPECT_EQ(verdict.score->p_value, 0.125);
  EXPECT_EQ(verdict.score->members[0].normalised, std::nullopt);
  EXPECT_EQ(verdict.files[0].actual_sha256, "ab");
  EXPECT_EQ(verdict.report_entry, R"({"path":"a.meta.json"})");
}

TEST_F(CallsTest, AHalfAnswerIsNoAnswer) {
  int calls = 0;
  engine_.verify = [&](grpc::ServerContext&, const v1::VerifyRequest&, grpc::ServerWriter<v1::VerifyEvent>& out) {
    v1::VerifyEvent event;
    event.mutable_verdict()->set_outcome(v1::Verdict::OUTCOME_PASS);
    if (++calls < 3) {
      out.Write(event);  // The verdict arrives and the call fails: it is not to be trusted.
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "dropped");
    }
    event.mutable_verdict()->set_outcome(v1::Verdict::OUTCOME_REVIEW);
    out.Write(event);
    return grpc::Status::OK;
  };
  EXPECT_EQ(ClientOf(QuickOptions(engine_)).Verify({}).value().outcome, Outcome::kReview);
  EXPECT_EQ(calls, 3);
  engine_.verify = [](grpc::ServerContext&, const v1::VerifyRequest&, grpc::ServerWriter<v1::VerifyEvent>&) {
    return grpc::Status::OK;
  };
  EXPECT_EQ(ClientOf(QuickOptions(engine_)).Verify({}).status().code, Code::kInternal);
}

TEST_F(CallsTest, AListThatBreaksOffBeginsAnew) {
  int calls = 0;
  engine_.list_artifacts = [&](grpc::ServerContext&, const v1::ListArtifactsRequest& request,
                               grpc::ServerWriter<v1::Artifact>& out) {
    EXPECT_EQ(request.folder(), "zoo");
    v1::Artifact artifact;
    const int last = ++calls == 1 ? 2 : 4;
    for (int i = 0; i < last; ++i) {
      artifact.set_path("zoo/" + std::to_string(i));
      artifact.set_bare(i % 2 == 0);
      out.Write(artifact);
    }
    return calls == 1 ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "") : grpc::Status::OK;
  };
  const std::vector<Artifact> artifacts = ClientOf(QuickOptions(engine_)).ListArtifacts("zoo").value();
  ASSERT_EQ(artifacts.size(), 4u);
  EXPECT_EQ(artifacts[3].path, "zoo/3");
  EXPECT_TRUE(artifacts[2].bare);
}

TEST_F(CallsTest, AnOperationIsWatchedToItsEndOverManyConnections) {
  int calls = 0;
  engine_.watch = [&](grpc::ServerContext& context, const v1::WatchOperationRequest& request,
                      grpc::ServerWriter<v1::Operation>& out) {
    EXPECT_GT(context.deadline(), std::chrono::system_clock::now() + 24h) << "no limit of time";
    v1::Operation operation;
    operation.set_name(request.name());
    operation.set_state(v1::Operation::STATE_RUNNING);
    operation.set_stage("fitting");
    operation.set_done(static_cast<uint64_t>(++calls));
    out.Write(operation);
    if (calls < 12) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "more often than a call is tried");
    operation.set_state(v1::Operation::STATE_DONE);
    operation.mutable_detector()->set_name("d");
    operation.mutable_detector()->set_version(3);
    out.Write(operation);
    return grpc::Status::OK;
  };
  std::vector<uint64_t> done;
  const Operation last =
      ClientOf(QuickOptions(engine_))
          .WatchOperation("op-1", [&](const Operation& operation) { done.push_back(operation.done); })
          .value();
  EXPECT_EQ(last.state, Operation::State::kDone);
  ASSERT_TRUE(last.detector.has_value());
  EXPECT_EQ(last.detector->version, 3);
  EXPECT_EQ(done.size(), 13u);
}

TEST_F(CallsTest, HealthIsThatOfTheStandardService) {
  const Client client = ClientOf(QuickOptions(engine_));
  EXPECT_EQ(client.CheckHealth().value(), Health::kServing);
  engine_.SetServing(false);
  EXPECT_EQ(client.CheckHealth().value(), Health::kNotServing);
  EXPECT_EQ(client.CheckHealth("no.such.Service").status().code, Code::kNotFound);
  engine_.Stop();
  EXPECT_EQ(client.CheckHealth().status().code, Code::kUnavailable);
  EXPECT_EQ(client.WaitForConnection(10ms).code, Code::kUnavailable);
}

TEST_F(CallsTest, AnAnswerThatIsTooLargeIsAnErrorAndIsNotAskedForAgain) {
  int calls = 0;
  engine_.score = [&](grpc::ServerContext&, const v1::ScoreRequest&, v1::ScoreResponse& response) {
    ++calls;
    for (int i = 0; i < 1000; ++i) response.add_combined(i);
    return grpc::Status::OK;
  };
  ClientOptions options = QuickOptions(engine_);
  options.max_receive_bytes = 1000;
  const Status status = ClientOf(options).Score({}).status();
  EXPECT_EQ(status.code, Code::kResourceExhausted);
  EXPECT_THAT(status.message, HasSubstr("1000"));
  EXPECT_EQ(calls, 1);
}

TEST_F(CallsTest, ResultsThrowOnlyWhereAsked) {
  const Result<Verdict> none = ClientOf(QuickOptions(engine_)).Verify({});
  EXPECT_FALSE(none.ok());
  try {
    none.value();
    FAIL() << "it has no value";
  } catch (const BadResult& error) {
    EXPECT_EQ(error.status().code, Code::kUnimplemented);
    EXPECT_THAT(error.what(), HasSubstr("UNIMPLEMENTED"));
  }
}

}  // namespace
}  // namespace driftseal::testing
