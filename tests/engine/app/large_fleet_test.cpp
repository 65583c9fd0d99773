#include <signal.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/engine/app/fleet.h"

// Long runs: killed, resumed, kept apart, and flat in memory.
namespace driftseal::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class LargeFleetTest : public FleetTest {
 protected:
  // Large enough that a run can be met in its middle.
  void WriteFleet(int count) const {
    const Architecture slow = {"slow",
                               {{"a.weight", {96, 96}}, {"a.bias", {96}}, {"b.weight", {48, 96}}, {"b.bias", {48}}}};
    const std::string bytes = Safetensors(slow, 1);
    for (int i = 0; i < count; ++i) folder_.Write(absl::StrCat("zoo/", 10000 + i, ".safetensors"), bytes);
  }
  std::vector<std::string> Arguments(const std::string& report) const {
    return {"verify_all", "zoo", "--model-dir", fleet().detector(), "--output-path", report, "--threads", "1"};
  }
  ProcessOptions Here() const {
    ProcessOptions options;
    options.folder = folder_.string();
    return options;
  }
  // Lines of a journal, its header among them.
  long LinesOf(const std::string& journal) const {
    if (!folder_.Exists(journal)) return 0;
    const std::string text = folder_.Read(journal);
    return std::count(text.begin(), text.end(), '\n');
  }
  // Starts a run and returns it once it has written that many entries.
  std::unique_ptr<Process> StartAndMeet(const std::string& report, long entries) const {
    auto process = std::make_unique<Process>(Command(Arguments(report)), Here());
    while (process->Running() && LinesOf(report + ".journal") <= entries) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return process;
  }
};

TEST_F(LargeFleetTest, AKilledRunGoesOnAndItsReportIsThatOfAWholeRun) {
  constexpr int kModels = 400;
  WriteFleet(kModels);
  for (int kill = 0; kill < 2; ++kill) {  // Killed twice: the second run resumes the first.
    const std::unique_ptr<Process> process = StartAndMeet("report.json", 40 + 60 * kill);
    process->Signal(SIGKILL);
    const ProcessResult killed = process->Wait();
    ASSERT_EQ(killed.signal, SIGKILL) << "it ended before it was met: " << killed.out << killed.err;
    EXPECT_FALSE(folder_.Exists("report.json")) << "no half of a report";
  }
  // What a crash of the machine may leave.
  const std::string journal = folder_.Read("report.json.journal");
  folder_.Write("report.json.journal", journal + R"({"path":"1)");
  const ProcessResult resumed = Driftseal(Arguments("report.json"), Here());
  EXPECT_THAT(resumed, ExitsWith(4));
  EXPECT_THAT(resumed.out, HasSubstr("taken over from an interrupted run"));
  const ProcessResult whole = Driftseal(Arguments("whole.json"), Here());
  EXPECT_THAT(whole.out, Not(HasSubstr("taken over")));
  EXPECT_EQ(Report()["summary"]["models"], kModels);
  EXPECT_TRUE(folder_.Read("report.json") == folder_.Read("whole.json")) << "byte for byte";
  EXPECT_FALSE(folder_.Exists("report.json.journal"));
}

TEST_F(LargeFleetTest, AnInterruptedRunIsStartedAfreshWhereAskedOrWhereTheLevelsChanged) {
  WriteFleet(300);
  const auto interrupt = [&] {
    const std::unique_ptr<Process> process = StartAndMeet("report.json", 20);
    process->Signal(SIGKILL);
    ASSERT_EQ(process->Wait().signal, SIGKILL);
  };
  interrupt();
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"--restart"}, std::vector<std::string>{"--alpha", "0.1"}}) {
    std::vector<std::string> arguments = Arguments("report.json");
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProcessResult result = Driftseal(arguments, Here());
    EXPECT_THAT(result, ExitsWith(4));
    EXPECT_THAT(result.out, Not(HasSubstr("taken over"))) << more[0];
    EXPECT_EQ(Report()["summary"]["models"], 300);
    interrupt();
  }
}

TEST_F(LargeFleetTest, TwoRunsDoNotWriteOneReport) {
  WriteFleet(300);
  const std::unique_ptr<Process> first = StartAndMeet("report.json", 10);
  for (const std::vector<std::string>& more : {std::vector<std::string>{}, std::vector<std::string>{"--restart"}}) {
    std::vector<std::string> arguments = Arguments("report.json");
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProcessResult second = Driftseal(arguments, Here());
    ASSERT_TRUE(first->Running()) << "it ended before the second one had started";
    EXPECT_THAT(second, ExitsWith(3));
    EXPECT_THAT(second.err, HasSubstr("another run"));
  }
  EXPECT_THAT(first->Wait(), ExitsWith(4));
  EXPECT_EQ(Report()["summary"]["models"], 300) << "the first one's report is whole";
}

TEST_F(LargeFleetTest, MemoryStaysFlat) {
  for (int i = 0; i < 2000; ++i) {
    const std::string name = std::to_string(10000 + i);
    if (i < 100) folder_.Write("few/" + name + ".safetensors", fleet().typical());
    folder_.Write("many/" + name + ".safetensors", fleet().typical());
    folder_.Write("many/" + name + ".meta.json", BareMeta(name, name + ".safetensors").dump());
    if (i < 100) folder_.Write("few/" + name + ".meta.json", BareMeta(name, name + ".safetensors").dump());
  }
  const ProcessResult few = Screen("verify_all", "few", {"--threads", "2"});
  const ProcessResult many = Screen("verify_all", "many", {"--threads", "2"});
  EXPECT_THAT(many, ExitsWith(0));
  EXPECT_EQ(Report()["summary"]["models"], 2000);
  EXPECT_LT(many.peak_kib, 300 * 1024);
  // The window of results that wait for their turn is full in the one and not in the other.
  EXPECT_LT(many.peak_kib - few.peak_kib, 24 * 1024)
      << few.peak_kib << " KiB for 100, " << many.peak_kib << " for 2000";
}

}  // namespace
}  // namespace driftseal::testing
