#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/detector/child.h"
#include "engine/detector/detector.h"
#include "engine/replay/protocol/train.h"
#include "fleet.h"

// driftseal-replay itself: what it trains, and what it answers to requests that make no sense.
namespace driftseal::detector {
namespace {

using std::chrono_literals::operator""s;
using testing::HasSubstr;

const char kProgram[] = DRIFTSEAL_BINARY_DIR "/bin/driftseal-replay";

/// Two columns that are one and the same, and a third that is their negative: one number describes a row.
replay::TrainRequest SimpleRequest(unsigned threads = 1) {
  replay::TrainingSet set{40, 3, {}};
  kernels::Random random(3);
  for (size_t r = 0; r < set.rows; ++r) {
    const auto x = static_cast<float>(2 * random.Uniform() - 1);
    for (float value : {x, x, -x}) set.values.push_back(value);
  }
  replay::TrainRequest request{{set}, {}, threads};
  for (uint64_t seed = 0; seed < 6; ++seed) request.jobs.push_back({0, {0, 7, 39}, {4, 1, 4}, 200, 1e-2, 1e-5, seed});
  return request;
}

absl::StatusOr<std::string> Send(const std::string& payload) { return CallReplay(kProgram, payload, 120s); }

TEST(Replay, TrainsANetworkThatReconstructs) {
  const auto request = SimpleRequest();
  const auto answer = Send(*replay::EncodeRequest(request));
  ASSERT_TRUE(answer.ok()) << answer.status();
  const auto response = replay::DecodeResponse(*answer, request);
  ASSERT_TRUE(response.ok()) << response.status();
  ASSERT_EQ(response->size(), 6u);
  int good = 0;
  for (const auto& layers : *response) {
    ASSERT_EQ(layers.size(), 4u);
    double error = 0, square = 0;
    for (size_t r : {0u, 7u, 39u}) {  // rows that were left out
      std::vector<double> x(request.sets[0].values.begin() + static_cast<std::ptrdiff_t>(3 * r),
                            request.sets[0].values.begin() + static_cast<std::ptrdiff_t>(3 * r + 3));
      std::vector<double> y = x;
      for (size_t l = 0; l < layers.size(); ++l) {
        std::vector<double> next;
        for (size_t o = 0; o < layers[l].outputs; ++o) {
          double sum = layers[l].bias[o];
          for (size_t i = 0; i < layers[l].inputs; ++i) sum += layers[l].weights[o * layers[l].inputs + i] * y[i];
          next.push_back(l + 1 < layers.size() ? std::tanh(sum) : sum);
        }
        y = next;
      }
      for (size_t c = 0; c < 3; ++c) error += (x[c] - y[c]) * (x[c] - y[c]), square += x[c] * x[c];
    }
    good += error < 0.1 * square;
  }
  EXPECT_GE(good, 5);
}

TEST(Replay, AnswersTheSameBytesWhateverTheThreads) {
  const auto one = Send(*replay::EncodeRequest(SimpleRequest(1)));
  const auto again = Send(*replay::EncodeRequest(SimpleRequest(1)));
  const auto four = Send(*replay::EncodeRequest(SimpleRequest(4)));
  ASSERT_TRUE(one.ok() && again.ok() && four.ok());
  EXPECT_TRUE(*one == *again);
  EXPECT_TRUE(*one == *four);
}

TEST(Replay, SaysWhatIsWrongWithARequest) {
  const auto error = [](const std::string& payload) {
    const auto answer = Send(payload);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return std::string(replay::DecodeResponse(answer.value_or(""), SimpleRequest()).status().message());
  };
  const auto changed = [&](auto change) {
    auto request = SimpleRequest();
    change(request);
    return error(*replay::EncodeRequest(request));
  };
  EXPECT_THAT(error("garbage"), testing::Not(HasSubstr("job.0")));
  EXPECT_NE(error(""), "");
  EXPECT_THAT(changed([](auto& r) { r.jobs[1].set = 9; }), HasSubstr("jobs[1].set"));
  EXPECT_THAT(changed([](auto& r) { r.jobs[2].leave_out = {40}; }), HasSubstr("jobs[2].leave_out"));
  EXPECT_THAT(changed([](auto& r) { r.jobs[2].leave_out = {4, 4}; }), HasSubstr("jobs[2].leave_out"));
  EXPECT_THAT(changed([](auto& r) { r.jobs[0].hidden = {5000}; }), HasSubstr("jobs[0].hidden"));
  EXPECT_THAT(changed([](auto& r) { r.jobs[0].hidden.clear(); }), HasSubstr("jobs[0].hidden"));
  EXPECT_THAT(changed([](auto& r) { r.jobs[0].epochs = 0; }), HasSubstr("jobs[0].epochs"));
  EXPECT_THAT(changed([](auto& r) { r.jobs[0].learning_rate = -1; }), HasSubstr("jobs[0].learning_rate"));
  EXPECT_THAT(changed([](auto& r) { r.sets[0].values[5] = std::nanf(""); }), HasSubstr("not finite"));
  EXPECT_THAT(changed([](auto& r) { r.jobs[3].learning_rate = 1e30; }), HasSubstr("job 3"));
}

TEST(Replay, FitTrainsAllFiveMembersRepeatably) {
  Fleet fleet(10);
  auto samples = fleet.Samples(40, "a");
  for (const Sample& sample : fleet.Samples(40, "b")) samples.push_back(sample);
  const auto bytes = [&](unsigned threads) {
    FitOptions options;
    options.replay_program = kProgram;
    options.threads = threads;
    const auto detector = Detector::Fit(fleet.Schema(), samples, options);
    EXPECT_TRUE(detector.ok()) << detector.status();
    TemporaryFolder folder;
    EXPECT_TRUE(detector->Save(folder.path()).ok());
    const auto loaded = Detector::Load(folder.path());
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    auto far = fleet.Row();
    for (double& value : far) value += 8;
    const auto score = loaded->ScoreRow(far, "a");
    EXPECT_EQ(score->members.size(), 5u);
    EXPECT_EQ(score->members[0].member, "autoencoder");
    EXPECT_GT(score->members[0].normalised, 1);
    EXPECT_DOUBLE_EQ(*score->p_value, 1.0 / 21);
    return ReadAll(folder / "detector_state.json") + ReadAll(folder / "detector.safetensors");
  };
  const std::string once = bytes(1);
  EXPECT_TRUE(once == bytes(2));
}

}  // namespace
}  // namespace driftseal::detector
