#include <map>

#include "engine/serve/monitor.h"
#include "nlohmann/json.hpp"
#include "tests/engine/serve/verify_fixture.h"
#include "tests/support/json_schema.h"

// Predictions and Integrity: what reads and writes files beneath the root.
namespace driftseal::testing {
namespace {

using grpc::StatusCode;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class PredictionsTest : public ::testing::Test {
 protected:
  grpc::Status Sanitize(const v1::SanitizeRequest& request, v1::SanitizeResponse* response) {
    grpc::ClientContext context;
    return server_.Predictions().Sanitize(&context, request, response);
  }
  grpc::Status Plan(const std::string& path, v1::RetrainPlanResponse* response) {
    grpc::ClientContext context;
    v1::RetrainPlanRequest request;
    request.set_meta_path(path);
    return server_.Predictions().RetrainPlan(&context, request, response);
  }
  grpc::Status Score(const std::string& path, v1::Verdict* verdict) {
    grpc::ClientContext context;
    v1::ScoreModelRequest request;
    request.set_meta_path(path);
    return server_.Predictions().ScoreModel(&context, request, verdict);
  }
  grpc::Status Backfill(const v1::BackfillRequest& request, std::map<std::string, v1::BackfillEntry>& entries) {
    grpc::ClientContext context;
    v1::Integrity::Stub stub = server_.Integrity();
    const auto reader = stub.Backfill(&context, request);
    for (v1::BackfillEntry entry; reader->Read(&entry);) entries[entry.path()] = entry;
    return reader->Finish();
  }
  VerifyServer server_;
};

TEST_F(PredictionsTest, SanitizeWritesBeneathTheRoot) {
  server_.root().Write("sub/p.csv", PredictionsCsv(1, 100));
  v1::SanitizeRequest request;
  request.set_predictions_path("sub/p.csv");
  v1::SanitizeResponse response;
  grpc::Status status = Sanitize(request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.output_path(), "sub/p.sanitized.csv");
  EXPECT_EQ(response.rows(), 100u);
  EXPECT_EQ(response.dropped(), 5u);
  const json report = json::parse(response.report());
  EXPECT_THAT(PublishedSchemaErrors("sanitize", report), IsEmpty());
  EXPECT_EQ(report["dropped"].size(), 5u);
  const std::string kept = server_.root().Read("sub/p.sanitized.csv");
  EXPECT_EQ(std::count(kept.begin(), kept.end(), '\n'), 96);

  EXPECT_THAT(Sanitize(request, &response), FailsWith(StatusCode::ALREADY_EXISTS, "p.sanitized.csv"));
  request.set_overwrite(true);
  request.set_contamination(0);
  ASSERT_TRUE(Sanitize(request, &response).ok());
  EXPECT_EQ(server_.root().Read("sub/p.sanitized.csv"), server_.root().Read("sub/p.csv"));
  request.set_contamination(0.6);
  EXPECT_THAT(Sanitize(request, &response), FailsWith(StatusCode::INVALID_ARGUMENT, "contamination"));
  request.set_predictions_path("gone.csv");
  EXPECT_THAT(Sanitize(request, &response), FailsWith(StatusCode::NOT_FOUND, "./gone.csv"));
}

TEST_F(PredictionsTest, NoPathLeadsOutOfTheRoot) {
  server_.root().Write("p.csv", PredictionsCsv(1));
  server_.state().Write("monitor.csv", PredictionsCsv(2));
  for (const HostilePath& hostile : HostilePaths(server_)) {
    v1::SanitizeRequest read;
    read.set_predictions_path(hostile.path);
    v1::SanitizeResponse sanitized;
    EXPECT_EQ(Sanitize(read, &sanitized).error_code(), hostile.code) << hostile.path;
    v1::SanitizeRequest write;
    write.set_predictions_path("p.csv");
    write.set_output_path(hostile.path);
    write.set_overwrite(true);
    EXPECT_EQ(Sanitize(write, &sanitized).error_code(), hostile.code) << hostile.path;
    v1::RetrainPlanResponse plan;
    EXPECT_EQ(Plan(hostile.path, &plan).error_code(), hostile.code) << hostile.path;
    v1::Verdict verdict;
    EXPECT_EQ(Score(hostile.path, &verdict).error_code(), hostile.code) << hostile.path;
    v1::BackfillRequest backfill;
    backfill.set_path(hostile.path);
    std::map<std::string, v1::BackfillEntry> entries;
    EXPECT_EQ(Backfill(backfill, entries).error_code(), hostile.code) << hostile.path;
    EXPECT_THAT(entries, IsEmpty());
  }
  EXPECT_EQ(server_.state().Read("monitor.csv"), PredictionsCsv(2));
}

TEST_F(PredictionsTest, BackfillRecordsWhatIsMissing) {
  server_.WriteModels(12);
  const std::string bytes = server_.root().Read("models/m03.safetensors");
  server_.root().Write("models/new.meta.json", R"({"model_name":"new","artifacts":{"model_path":"m03.safetensors"}})");
  std::map<std::string, v1::BackfillEntry> entries;
  v1::BackfillRequest request;
  grpc::Status status = Backfill(request, entries);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(entries.size(), 11u) << "meta files alone";
  EXPECT_EQ(entries["models/new.meta.json"].outcome(), v1::BackfillEntry::OUTCOME_WRITTEN);
  EXPECT_EQ(entries["models/m01.meta.json"].outcome(), v1::BackfillEntry::OUTCOME_UNCHANGED);
  EXPECT_EQ(entries["models/m00.meta.json"].outcome(), v1::BackfillEntry::OUTCOME_MISMATCH);
  EXPECT_EQ(entries["models/broken.meta.json"].outcome(), v1::BackfillEntry::OUTCOME_ERROR);
  EXPECT_THAT(entries["models/broken.meta.json"].error(), HasSubstr("model_name"));
  const json entry = json::parse(entries["models/new.meta.json"].report_entry());
  EXPECT_EQ(entry, (json{{"path", "models/new.meta.json"}, {"outcome", "written"}, {"detail", "1 digests"}}));
  EXPECT_EQ(json::parse(server_.root().Read("models/new.meta.json"))["fingerprint"]["model_sha256"], Sha256Hex(bytes));
  request.set_path("models/m00.meta.json");
  request.set_overwrite(true);
  entries.clear();
  ASSERT_TRUE(Backfill(request, entries).ok());
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries["models/m00.meta.json"].outcome(), v1::BackfillEntry::OUTCOME_WRITTEN);
}

TEST_F(PredictionsTest, ARetrainPlanNamesStepsAndEvidence) {
  server_.WriteModels(4);
  v1::RetrainPlanResponse plan;
  ASSERT_TRUE(Plan("models/m00.meta.json", &plan).ok());
  EXPECT_EQ(plan.verdict().outcome(), v1::Verdict::OUTCOME_QUARANTINE);
  EXPECT_FALSE(plan.retrain());
  ASSERT_GE(plan.steps_size(), 3);
  EXPECT_EQ(plan.steps(0).action(), "stop-serving");
  EXPECT_EQ(plan.steps(1).action(), "restore-artifact");
  EXPECT_EQ(plan.steps(1).because(0), "digest-mismatch");
  EXPECT_EQ(plan.steps(plan.steps_size() - 1).command(), "driftseal verify models/m00.meta.json");
  EXPECT_THAT(Plan("gone.meta.json", &plan), FailsWith(StatusCode::NOT_FOUND, "gone.meta.json"));
  EXPECT_THAT(Plan("models/broken.meta.json", &plan), FailsWith(StatusCode::INVALID_ARGUMENT, "model_name"));
}

TEST_F(PredictionsTest, ScoreModelIsNotedInMonitorJson) {
  server_.WriteModels(8);
  v1::Verdict verdict;
  for (const char* path : {"models/m01.meta.json", "models/m02.meta.json", "models/m03.safetensors"}) {
    const grpc::Status status = Score(path, &verdict);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(verdict.report_entry(), server_.ExpectedEntry(path));
  }
  EXPECT_THAT(Score("models/broken.meta.json", &verdict), FailsWith(StatusCode::INVALID_ARGUMENT, "model_name"));
  ASSERT_TRUE(server_.engine().monitor->Write().ok());
  const json monitor = json::parse(server_.state().Read("monitor.json"));
  EXPECT_THAT(PublishedSchemaErrors("monitor", monitor), IsEmpty());
  EXPECT_EQ(monitor["detectors"][0]["detector"], "driftseal@1");
  EXPECT_EQ(monitor["detectors"][0]["families"].back()["models"], 3);
  server_.Restart();
  ASSERT_TRUE(Score("models/m01.meta.json", &verdict).ok());
  server_.Stop();
  EXPECT_EQ(json::parse(server_.state().Read("monitor.json"))["detectors"][0]["families"].back()["models"], 4);
}

}  // namespace
}  // namespace driftseal::testing
