#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "driftseal/client.h"
#include "tests/client/cpp/consumer.h"
#include "tests/engine/app/fleet.h"
#include "tests/engine/app/live_engine.h"

// The SDK and the engine that people run, in two processes.
namespace driftseal::testing {
namespace {

using namespace std::chrono_literals;
using nlohmann::ordered_json;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class LiveTest : public FleetTest {
 protected:
  void SetUp() override {
    FleetTest::SetUp();
    for (int i = 0; i < 300; ++i) {
      const std::string bytes = i % 10 == 0 ? Safetensors(SmallMlp(), 3, {.head_scale = 40}) : fleet().typical();
      folder_.Write(absl::StrCat("zoo/", 1000 + i, ".safetensors"), bytes);
    }
    engine_ = std::make_unique<LiveEngine>(folder_.string(), fleet().detector());
  }
  Client Connect() const {
    ClientOptions options;
    options.address = engine_->address();
    return Client::Create(options).value();
  }
  // Sends all models of the zoo and takes all answers; `taken` hears how many there are.
  template <typename Taken>
  static std::map<std::string, VerifyAnswer> VerifyZoo(VerifyStream& stream, Taken taken) {
    std::map<std::string, VerifyAnswer> answers;
    for (int sent = 0; answers.size() < 300;) {
      while (sent < 300) {
        VerifyRequest request;
        request.path = absl::StrCat("zoo/", 1000 + sent, ".safetensors");
        const std::optional<Status> status = stream.TrySend(request.path, request);
        if (!status) break;
        EXPECT_TRUE(status->ok()) << status->ToString();
        ++sent;
      }
      std::optional<VerifyAnswer> answer = stream.Next();
      EXPECT_TRUE(answer.has_value()) << stream.status().ToString();
      if (!answer) break;
      EXPECT_TRUE(answer->status.ok()) << answer->status.ToString();
      const std::string id = answer->id;
      EXPECT_TRUE(answers.emplace(id, *std::move(answer)).second) << id << " twice";
      taken(answers.size());
    }
    stream.Finish();
    return answers;
  }

  std::unique_ptr<LiveEngine> engine_;
};

TEST_F(LiveTest, FingerprintsAndRowsScoreAsTheCommandLineDoes) {
  const Client client = Connect();
  ScoreRequest request;
  request.fingerprints = {"zoo/1000.safetensors", "zoo/1001.safetensors"};
  request.detail = Detail::kDrivers;
  const ScoreResult result = client.Score(request).value();
  for (size_t i = 0; i < 2; ++i) {
    const ordered_json entry = Verify("zoo/" + std::to_string(1000 + i) + ".safetensors", i == 0 ? 1 : 0);
    EXPECT_DOUBLE_EQ(result.combined[i], entry["score"]["combined"].get<double>());
    EXPECT_DOUBLE_EQ(result.p_value[i], entry["score"]["p_value"].get<double>());
    const ordered_json drivers = SignalOf(entry, "score")["evidence"]["drivers"];
    ASSERT_EQ(result.details[i].drivers.size(), drivers.size());
    EXPECT_EQ(result.details[i].drivers[0].feature, drivers[0]["feature"]);
  }
}

TEST_F(LiveTest, LargeRequestsAreThePiecesPutTogether) {
  const Client client = Connect();
  const size_t cols = client.GetDetector("").value().features.size();
  std::vector<float> values(10000 * cols);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 977) / 100;
  ScoreRequest request;
  request.rows = {values, cols};
  const ScoreResult whole = client.Score(request).value();
  ASSERT_THAT(whole.combined, SizeIs(10000));
  const ScoreResult later = client.ScoreAsync(request).get().value();
  EXPECT_EQ(later.combined, whole.combined);
  for (const size_t row : {size_t{0}, size_t{4095}, size_t{4096}, size_t{9999}}) {
    request.rows = {values.data() + row * cols, cols, cols};
    EXPECT_NEAR(client.Score(request).value().combined[0], whole.combined[row], 1e-4) << row;
  }
}

TEST_F(LiveTest, AStreamOutlivesAnEngineThatIsKilled) {
  VerifyStreamOptions options;
  options.run = "live";
  options.max_in_flight = 32;
  const Client client = Connect();
  VerifyStream stream = client.OpenVerifyStream(options);
  const auto answers = VerifyZoo(stream, [this](size_t taken) {
    if (taken != 50 && taken != 150) return;
    engine_->Kill();
    engine_->Start();
  });
  ASSERT_THAT(answers, SizeIs(300));
  for (const auto& [id, answer] : answers) {
    EXPECT_EQ(answer.verdict.outcome, id.ends_with("0.safetensors") ? Outcome::kReview : Outcome::kPass) << id;
  }
  // Once more under the same name: nothing that was stored is lost, and nothing is done twice.
  engine_->Kill();
  engine_->Start();
  VerifyStream again = client.OpenVerifyStream(options);
  for (const auto& [id, answer] : VerifyZoo(again, [](size_t) {})) {
    EXPECT_TRUE(answer.stored_before) << id;
    EXPECT_EQ(answer.verdict.outcome, answers.at(id).verdict.outcome);
  }
}

TEST_F(LiveTest, DetectorsAreFittedActivatedAndRolledBackUnderLoad) {
  TrustedFleet::WriteModels(folder_, "trusted");
  const Client client = Connect();
  FitRequest fit;
  fit.folder = "trusted";
  fit.name = "fleet";
  for (int version = 1; version <= 2; ++version) {
    fit.seed = static_cast<uint64_t>(version);
    fit.activate = true;
    const Operation begun = client.Fit(fit).value();
    std::vector<std::string> stages;
    const Operation ended =
        client.WatchOperation(begun.name, [&](const Operation& o) { stages.push_back(o.stage); }).value();
    ASSERT_EQ(ended.state, Operation::State::kDone) << ended.error;
    EXPECT_EQ(ended.detector->version, version);
    EXPECT_GT(stages.size(), 1u);
  }
  std::atomic<bool> stop{false};
  std::atomic<int> scored{0};
  std::thread load([&] {
    ScoreRequest request;
    request.detector = "fleet";
    request.fingerprints = {"zoo/1001.safetensors"};
    while (!stop) {
      const Result<ScoreResult> result = client.Score(request);
      EXPECT_TRUE(result.ok()) << result.status().ToString();
      ++scored;
    }
  });
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(client.RollBackDetector("fleet").value().version, 1);
    EXPECT_EQ(client.ActivateDetector("fleet@2").value().version, 2);
    const int before = scored;
    while (scored == before) std::this_thread::yield();
  }
  stop = true;
  load.join();
  EXPECT_THAT(client.ListDetectors("fleet").value(), SizeIs(2));
  EXPECT_EQ(client.RollBackDetector("nobody").status().code, Code::kNotFound);
  Operation slow = client.Fit(fit).value();
  client.CancelOperation(slow.name).value();
  EXPECT_TRUE(client.WatchOperation(slow.name).value().over());
}

TEST_F(LiveTest, VerdictsPlansAndHealthArrive) {
  const Client client = Connect();
  EXPECT_EQ(client.CheckHealth().value(), Health::kServing);
  std::vector<Stage> stages;
  VerifyRequest request;
  request.path = "zoo/1000.safetensors";
  const Verdict verdict = client.Verify(request, [&](Stage stage) { stages.push_back(stage); }).value();
  EXPECT_EQ(verdict.outcome, Outcome::kReview);
  EXPECT_THAT(stages, ::testing::Contains(Stage::kReading));
  const RetrainPlan plan = client.PlanRetraining("zoo/1000.safetensors").value();
  EXPECT_EQ(plan.verdict.outcome, Outcome::kReview);
  ASSERT_FALSE(plan.steps.empty());
  EXPECT_THAT(plan.steps[0].because, ::testing::Contains("score"));
  request.path = "../outside.safetensors";
  const Result<Verdict> outside = client.Verify(request);
  EXPECT_TRUE(!outside.ok() || outside->outcome == Outcome::kError);
  const Status missing = client.GetDetector("nobody").status();
  EXPECT_EQ(missing.code, Code::kNotFound);
  EXPECT_THAT(missing.request_id, SizeIs(32));
}

TEST_F(LiveTest, TheInstalledLibraryWorksWithIt) {
  const InstalledConsumer consumer;
  const ProcessResult result = consumer.Run(engine_->address(), "zoo");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("driftseal@1: 3 rows\n"));
  EXPECT_THAT(result.out, HasSubstr("review zoo/1290.safetensors\n"));
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 301);
}

}  // namespace
}  // namespace driftseal::testing
