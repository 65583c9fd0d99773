#include <cmath>
#include <filesystem>
#include <future>
#include <map>
#include <thread>

#include "engine/screen/screen.h"
#include "engine/serve/status.h"
#include "engine/serve/verify_pool.h"
#include "tests/engine/serve/verify_fixture.h"

namespace driftseal::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Progress = v1::VerifyEvent::Progress;

struct Verified {
  grpc::Status status;
  std::vector<Progress::Stage> stages;
  v1::Verdict verdict;
};

Verified Verify(const VerifyServer& server, const v1::VerifyRequest& request) {
  v1::Scoring::Stub stub = server.Scoring();
  grpc::ClientContext context;
  const auto reader = stub.Verify(&context, request);
  Verified verified;
  for (v1::VerifyEvent event; reader->Read(&event);) {
    EXPECT_FALSE(verified.verdict.outcome()) << "the verdict is the last event";
    if (event.has_progress()) verified.stages.push_back(event.progress().stage());
    if (event.has_verdict()) verified.verdict = event.verdict();
  }
  verified.status = reader->Finish();
  return verified;
}

v1::VerifyRequest RequestFor(const std::string& path) {
  v1::VerifyRequest request;
  request.set_path(path);
  request.set_want_report_entry(true);
  return request;
}

TEST(Verify, GivesTheVerdictsAndEntriesOfScreening) {
  VerifyServer server;
  server.WriteModels(24);
  const std::vector<std::string> paths = server.Paths();
  ASSERT_EQ(paths.size(), 26u);
  std::map<int, int> outcomes;
  for (const std::string& path : paths) {
    const Verified verified = Verify(server, RequestFor(path));
    ASSERT_TRUE(verified.status.ok()) << verified.status.error_message();
    EXPECT_EQ(verified.verdict.report_entry(), server.ExpectedEntry(path)) << path;
    EXPECT_EQ(verified.verdict.path(), path);
    EXPECT_EQ(verified.verdict.detector(), "driftseal@1");
    EXPECT_THAT(verified.stages, ElementsAre(Progress::STAGE_QUEUED, Progress::STAGE_READING, Progress::STAGE_SCORING));
    ++outcomes[verified.verdict.outcome()];
  }
  EXPECT_EQ(outcomes[v1::Verdict::OUTCOME_ERROR], 1) << "the broken meta file";
  EXPECT_GE(outcomes[v1::Verdict::OUTCOME_QUARANTINE], 4) << "tampered ones and the hostile archive";
  EXPECT_GE(outcomes[v1::Verdict::OUTCOME_PASS], 5);
}

TEST(Verify, TellsSignalsScoreAndFiles) {
  VerifyServer server;
  server.WriteModels(4);
  const v1::Verdict verdict = Verify(server, RequestFor("models/m00.meta.json")).verdict;
  EXPECT_EQ(verdict.model_name(), "m00");
  EXPECT_EQ(verdict.format(), "safetensors");
  ASSERT_GE(verdict.signals_size(), 2);
  EXPECT_EQ(verdict.signals(0).kind(), "digest-mismatch");
  EXPECT_EQ(verdict.signals(0).severity(), v1::Signal::SEVERITY_CRITICAL);
  EXPECT_EQ(verdict.signals(0).evidence().fields().at("recorded_sha256").string_value(), std::string(64, 'a'));
  ASSERT_EQ(verdict.files_size(), 1);
  EXPECT_EQ(verdict.files(0).recorded_sha256(), std::string(64, 'a'));
  EXPECT_EQ(verdict.files(0).actual_sha256(), Sha256Hex(server.root().Read("models/m00.safetensors")));
  ASSERT_TRUE(verdict.has_score());
  EXPECT_EQ(verdict.score().basis(), "family");
  EXPECT_EQ(verdict.score().members_size(), 4);
  EXPECT_GT(verdict.score().p_value(), 0);
}

TEST(Verify, HonoursTheRequestsOptions) {
  VerifyServer server;
  server.WriteModels(4);
  v1::VerifyRequest request = RequestFor("models/m01.meta.json");
  request.set_only_eligible(true);
  EXPECT_EQ(Verify(server, request).verdict.outcome(), v1::Verdict::OUTCOME_SKIPPED);
  request = RequestFor("models/m00.meta.json");
  request.set_score_only(true);
  const v1::Verdict scored = Verify(server, request).verdict;
  ASSERT_EQ(scored.signals_size(), 2);
  EXPECT_EQ(scored.signals(0).kind(), "score");
  EXPECT_EQ(scored.signals(1).kind(), "not-run");
  request.mutable_policy()->set_alpha(0.7);
  EXPECT_THAT(Verify(server, request).status, FailsWith(grpc::StatusCode::INVALID_ARGUMENT, "policy.alpha"));
  request.mutable_policy()->set_alpha(0.05);
  request.mutable_policy()->set_quarantine_alpha(0.1);
  EXPECT_THAT(Verify(server, request).status, FailsWith(grpc::StatusCode::INVALID_ARGUMENT, "quarantine_alpha"));
  request = RequestFor("models/m00.meta.json");
  request.set_detector("other");
  EXPECT_THAT(Verify(server, request).status, FailsWith(grpc::StatusCode::NOT_FOUND, "other"));
}

TEST(Verify, WithoutADetectorIntegrityIsChecked) {
  VerifyServer server({.detector = false});
  server.WriteModels(2);
  const Verified verified = Verify(server, RequestFor("models/m01.meta.json"));
  ASSERT_TRUE(verified.status.ok()) << verified.status.error_message();
  EXPECT_EQ(verified.verdict.outcome(), v1::Verdict::OUTCOME_INCONCLUSIVE);
  EXPECT_EQ(verified.verdict.signals(0).kind(), "no-detector");
  v1::VerifyRequest request = RequestFor("models/m01.meta.json");
  request.set_score_only(true);
  EXPECT_EQ(Verify(server, request).status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

// One of requests, or of fingerprints as another version made them: its scores of these would mean nothing.
TEST(Verify, ADetectorOfOtherRowsIsRefused) {
  VerifyServer server;
  server.WriteModels(1);
  detector::SchemaId schema = screen::ModelSchemaId();
  schema.version += 1;
  schema.digest = "another";
  std::vector<detector::Sample> samples;
  for (int i = 0; i < 40; ++i) {
    std::vector<double> row(schema.features.size(), 1);
    for (size_t c = 0; c < 8; ++c) row[c] = std::sin(static_cast<double>(i + 1) * static_cast<double>(c + 2));
    samples.push_back({std::to_string(i), "a/b/c", std::move(row)});
  }
  detector::FitOptions options;
  options.name = "newer";
  options.members = {"mahalanobis", "knn"};
  auto fitted = detector::Detector::Fit(schema, samples, options);
  ASSERT_TRUE(fitted.ok()) << fitted.status();
  ASSERT_TRUE(server.engine().detectors->Add(*std::move(fitted), true).ok());
  v1::VerifyRequest request = RequestFor("models/m00.meta.json");
  request.set_detector("newer");
  EXPECT_THAT(Verify(server, request).status, FailsWith(grpc::StatusCode::FAILED_PRECONDITION, "reads rows of schema"));
}

TEST(Verify, NoPathLeadsOutOfTheRoot) {
  VerifyServer server;
  for (const HostilePath& hostile : HostilePaths(server)) {
    const Verified verified = Verify(server, RequestFor(hostile.path));
    // By its text alone it is refused; where a link leads out, that is what is wrong with the artifact.
    if (verified.status.ok()) {
      EXPECT_EQ(verified.verdict.outcome(), v1::Verdict::OUTCOME_ERROR) << hostile.path;
      EXPECT_THAT(verified.verdict.error(), HasSubstr("leads out of the root"));
    } else {
      EXPECT_EQ(verified.status.error_code(), hostile.code) << verified.status.error_message();
      EXPECT_THAT(verified.status.error_message(), HasSubstr("path"));
    }
    const std::string said = verified.status.error_message() + verified.verdict.error();
    EXPECT_EQ(said.find("root:"), said.npos) << "nothing of the file is told";
  }
  EXPECT_THAT(Verify(server, RequestFor("")).status, FailsWith(grpc::StatusCode::INVALID_ARGUMENT, "path"));
  EXPECT_FALSE(Verify(server, RequestFor("a\xff")).status.ok()) << "no string of a proto";
  EXPECT_EQ(Verify(server, RequestFor("gone.meta.json")).verdict.outcome(), v1::Verdict::OUTCOME_ERROR);
}

TEST(ListArtifacts, FindsWhatTheCommandLineFinds) {
  VerifyServer server;
  server.WriteModels(8);
  server.root().Write("top.safetensors", Safetensors(SmallMlp(), 1));
  v1::Scoring::Stub stub = server.Scoring();
  const auto list = [&](const std::string& folder, const std::string& glob, std::vector<std::string>& paths) {
    grpc::ClientContext context;
    v1::ListArtifactsRequest request;
    request.set_folder(folder);
    request.set_meta_glob(glob);
    const auto reader = stub.ListArtifacts(&context, request);
    for (v1::Artifact artifact; reader->Read(&artifact);)
      paths.push_back((artifact.bare() ? "+" : "") + artifact.path());
    return reader->Finish();
  };
  std::vector<std::string> paths;
  ASSERT_TRUE(list("", "", paths).ok());
  EXPECT_THAT(paths, ElementsAre("models/broken.meta.json", "+models/evil.pt", "models/m00.meta.json",
                                 "models/m01.meta.json", "models/m02.meta.json", "+models/m03.safetensors",
                                 "models/m04.meta.json", "models/m05.meta.json", "models/m06.meta.json",
                                 "+models/m07.safetensors", "+top.safetensors"));
  paths.clear();
  ASSERT_TRUE(list("models", "m00.meta.*", paths).ok());
  EXPECT_THAT(paths, ElementsAre("+models/evil.pt", "models/m00.meta.json", "+models/m03.safetensors",
                                 "+models/m07.safetensors"));
  paths.clear();
  ASSERT_TRUE(list("top.safetensors", "", paths).ok());
  EXPECT_THAT(paths, ElementsAre("+top.safetensors"));
  paths.clear();
  EXPECT_THAT(list("gone", "", paths), FailsWith(grpc::StatusCode::NOT_FOUND, "folder"));
  for (const HostilePath& hostile : HostilePaths(server)) {
    EXPECT_FALSE(list(hostile.path, "", paths).ok()) << hostile.path;
  }
  EXPECT_THAT(paths, IsEmpty());
}

// One thread, held; the queue takes two more of which one client may have one.
TEST(VerifyPool, IsBoundedAndFair) {
  serve::VerifyPool pool(1, 3);
  std::promise<void> go, began;
  std::vector<std::string> order;
  const auto job = [&](const std::string& client, batch::Priority priority = batch::Priority::kNormal) {
    return pool.Submit({client, priority, serve::VerifyPool::Clock::time_point::max(),
                        [&order, client](absl::Status status) { order.push_back(client + (status.ok() ? "" : "!")); }});
  };
  ASSERT_TRUE(pool.Submit({"x", batch::Priority::kNormal, serve::VerifyPool::Clock::time_point::max(),
                           [&](const absl::Status&) { began.set_value(), go.get_future().wait(); }})
                  .ok());
  began.get_future().wait();
  ASSERT_TRUE(job("a").ok());
  ASSERT_TRUE(job("a").ok());
  const auto flooding = job("a");
  EXPECT_EQ(flooding.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_GT(serve::RetryAfter(flooding.status()).count(), 0);
  ASSERT_TRUE(job("b").ok()) << "what one client floods has room for another";
  EXPECT_EQ(job("b").status().code(), absl::StatusCode::kResourceExhausted) << "full";
  EXPECT_EQ(pool.load().waiting, 3u);
  bool room = false;
  pool.WhenRoom([&] { room = true; });
  EXPECT_FALSE(room);
  go.set_value();
  while (pool.load().waiting + pool.load().running > 0) std::this_thread::yield();
  EXPECT_THAT(order, ElementsAre("a", "b", "a")) << "they take turns";
  EXPECT_TRUE(room);
}

TEST(VerifyPool, WhatNobodyWaitsForIsNotDone) {
  serve::VerifyPool pool(1, 100);
  std::promise<void> go, began;
  std::vector<int> done;
  ASSERT_TRUE(pool.Submit({"x", batch::Priority::kNormal, serve::VerifyPool::Clock::time_point::max(),
                           [&](const absl::Status&) { began.set_value(), go.get_future().wait(); }})
                  .ok());
  began.get_future().wait();
  std::vector<absl::Status> expired;
  const auto late = serve::VerifyPool::Clock::now() - std::chrono::seconds(1);
  ASSERT_TRUE(
      pool.Submit({"a", batch::Priority::kNormal, late, [&](absl::Status status) { expired.push_back(status); }}).ok());
  std::vector<serve::VerifyPool::Ticket> tickets;
  for (int i = 0; i < 3; ++i) {
    const auto priority = i == 2 ? batch::Priority::kHigh : batch::Priority::kLow;
    tickets.push_back(*pool.Submit({"a", priority, serve::VerifyPool::Clock::time_point::max(),
                                    [&done, i](const absl::Status&) { done.push_back(i); }}));
  }
  EXPECT_TRUE(pool.Cancel(tickets[0]));
  EXPECT_FALSE(pool.Cancel(tickets[0])) << "once";
  go.set_value();
  while (pool.load().waiting + pool.load().running > 0) std::this_thread::yield();
  EXPECT_THAT(done, ElementsAre(2, 1)) << "the higher priority first, the cancelled one never";
  ASSERT_EQ(expired.size(), 1u);
  EXPECT_EQ(expired[0].code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(pool.Cancel(tickets[1])) << "it ran";
}

}  // namespace
}  // namespace driftseal::testing
