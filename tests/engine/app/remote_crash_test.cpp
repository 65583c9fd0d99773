#include <signal.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/engine/app/fleet.h"
#include "tests/engine/app/live_engine.h"

// Either side is killed in the middle of a fleet: the report is that of a run that nobody disturbed.
namespace driftseal::testing {
namespace {

using ::testing::HasSubstr;

class RemoteCrashTest : public FleetTest {
 protected:
  void SetUp() override {
    FleetTest::SetUp();
    const Architecture slow = {"slow",
                               {{"a.weight", {96, 96}}, {"a.bias", {96}}, {"b.weight", {48, 96}}, {"b.bias", {48}}}};
    const std::string bytes = Safetensors(slow, 1);
    for (int i = 0; i < kModels; ++i) {
      folder_.Write(absl::StrCat("zoo/", 10000 + i, ".safetensors"), i % 3 == 0 ? fleet().typical() : bytes);
    }
    const ProcessResult here = DriftsealIn(
        folder_, {"verify_all", "zoo", "--root", ".", "--model-dir", fleet().detector(), "--output-path", "here.json"});
    ASSERT_THAT(here, ExitsWith(4));
  }

  std::vector<std::string> Arguments(const LiveEngine& engine) const {
    return {"verify_all", "zoo", "--engine", engine.address(), "--output-path", "there.json"};
  }
  ProcessOptions Here() const {
    ProcessOptions options;
    options.folder = folder_.string();
    return options;
  }
  std::unique_ptr<Process> StartRun(const LiveEngine& engine) const {
    return std::make_unique<Process>(Command(Arguments(engine)), Here());
  }
  // Waits until the run has written that many entries; false when it ended before.
  bool Meet(Process& run, long entries) const {
    while (run.Running()) {
      if (folder_.Exists("there.json.journal")) {
        const std::string journal = folder_.Read("there.json.journal");
        if (std::count(journal.begin(), journal.end(), '\n') > entries) return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  }

  static constexpr int kModels = 600;
};

TEST_F(RemoteCrashTest, AnEngineThatIsKilledAndStartedAgainGoesOn) {
  LiveEngine engine(folder_.string(), fleet().detector(), {"--verify-threads", "1"});
  const std::unique_ptr<Process> run = StartRun(engine);
  for (int kill = 0; kill < 2; ++kill) {
    ASSERT_TRUE(Meet(*run, 40 + 80 * kill)) << run->Wait().err;
    engine.Kill();
    EXPECT_TRUE(run->Running());
    engine.Start();
  }
  const ProcessResult result = run->Wait();
  EXPECT_THAT(result, ExitsWith(4));
  EXPECT_EQ(result.err, "");
  EXPECT_TRUE(folder_.Read("there.json") == folder_.Read("here.json")) << "byte for byte";
}

TEST_F(RemoteCrashTest, AnEngineThatDrainsIsLikewiseGoneOnWith) {
  LiveEngine engine(folder_.string(), fleet().detector(), {"--verify-threads", "1"});
  const std::unique_ptr<Process> run = StartRun(engine);
  ASSERT_TRUE(Meet(*run, 40)) << run->Wait().err;
  const ProcessResult ended = engine.Stop();
  EXPECT_THAT(ended, ExitsWith(0)) << ended.err;
  engine.Start();
  EXPECT_THAT(run->Wait(), ExitsWith(4));
  EXPECT_TRUE(folder_.Read("there.json") == folder_.Read("here.json"));
}

TEST_F(RemoteCrashTest, ARunThatIsKilledGoesOnFromItsJournal) {
  LiveEngine engine(folder_.string(), fleet().detector(), {"--verify-threads", "1"});
  const std::unique_ptr<Process> run = StartRun(engine);
  ASSERT_TRUE(Meet(*run, 40)) << run->Wait().err;
  run->Signal(SIGKILL);
  ASSERT_EQ(run->Wait().signal, SIGKILL);
  const ProcessResult resumed = Driftseal(Arguments(engine), Here());
  EXPECT_THAT(resumed, ExitsWith(4));
  EXPECT_THAT(resumed.out, HasSubstr("taken over from an interrupted run"));
  EXPECT_TRUE(folder_.Read("there.json") == folder_.Read("here.json"));
}

}  // namespace
}  // namespace driftseal::testing
