#include "engine/serve/log.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <limits>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "nlohmann/json.hpp"

namespace driftseal::serve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::SizeIs;

// Where a log writes to, and what it wrote.
class Written {
 public:
  Written() : fd_(::memfd_create("log", MFD_CLOEXEC)) { EXPECT_GE(fd_, 0); }
  ~Written() { ::close(fd_); }
  Written(const Written&) = delete;
  Written& operator=(const Written&) = delete;
  Log::Options Options(Log::Format format, LogLevel level = LogLevel::kInfo) const {
    Log::Options options;
    options.fd = fd_;
    options.format = format;
    options.level = level;
    return options;
  }
  std::vector<std::string> Lines() const {
    std::string text(static_cast<size_t>(::lseek(fd_, 0, SEEK_END)), '\0');
    EXPECT_EQ(::pread(fd_, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

 private:
  int fd_;
};

const std::string kHostile = "a\nlevel=error \x1b[31m\"q\" \\ \xff\xc0\x80 \u202Eevil \u2028 é";

TEST(Log, JsonLinesHoldWhatWasSaid) {
  Written written;
  {
    Log log(written.Options(Log::Format::kJson));
    log.Info("hello", {{"rows", size_t{7}},
                       {"delta", -3},
                       {"seconds", 0.25},
                       {"nan", std::numeric_limits<double>::quiet_NaN()},
                       {"yes", true},
                       {"name", kHostile}});
    log.Debug("not written");
  }
  const std::vector<std::string> lines = written.Lines();
  ASSERT_THAT(lines, SizeIs(1));
  const auto json = nlohmann::json::parse(lines[0]);
  EXPECT_THAT(json["time"].get<std::string>(),
              MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z"));
  EXPECT_EQ(json["level"], "info");
  EXPECT_EQ(json["message"], "hello");
  EXPECT_EQ(json["rows"], 7);
  EXPECT_EQ(json["delta"], -3);
  EXPECT_EQ(json["seconds"], 0.25);
  EXPECT_TRUE(json["nan"].is_null());
  EXPECT_EQ(json["yes"], true);
  EXPECT_EQ(json["name"], "a\nlevel=error \x1b[31m\"q\" \\ \ufffd\ufffd\ufffd \u202Eevil \u2028 é");
}

TEST(Log, NothingThatCallersSayBreaksALineOrMovesTheCursor) {
  for (const Log::Format format : {Log::Format::kText, Log::Format::kJson}) {
    Written written;
    {
      Log log(written.Options(format));
      log.Warning(kHostile, {{"name", kHostile}});
    }
    const std::vector<std::string> lines = written.Lines();
    ASSERT_THAT(lines, SizeIs(1));
    for (const char* disturbing : {"\x1b", "\xff", "\u202E", "\u2028"}) {
      EXPECT_THAT(lines[0], Not(HasSubstr(disturbing)));
    }
    EXPECT_THAT(lines[0], HasSubstr("é"));
    EXPECT_THAT(lines[0], HasSubstr("\\u001b"));
  }
}

TEST(Log, TextQuotesWhatIsNotPlain) {
  Written written;
  {
    Log log(written.Options(Log::Format::kText));
    log.Error("it broke", {{"file", "a.pt"}, {"why", "no such = file"}, {"none", ""}});
  }
  EXPECT_THAT(written.Lines(),
              ElementsAre(MatchesRegex("[^ ]+Z error   it broke file=a\\.pt why=\"no such = file\" none=\"\"")));
}

TEST(Log, LongStringsAreCut) {
  Written written;
  {
    Log log(written.Options(Log::Format::kJson));
    log.Info("m", {{"name", std::string(100000, 'x')}});
  }
  const std::vector<std::string> lines = written.Lines();
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_LT(lines[0].size(), 3000u);
  EXPECT_THAT(nlohmann::json::parse(lines[0])["name"].get<std::string>(), HasSubstr("..."));
}

TEST(Log, CallsAreToldByTheirOutcome) {
  Written written;
  {
    Log log(written.Options(Log::Format::kJson));
    for (const char* code : {"OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "INTERNAL"}) {
      log.Call({"id-1", "registry", "ipv4:10.0.0.1:5", "/driftseal.v1.Scoring/Score", code, "why",
                std::chrono::microseconds(1234567)});
    }
  }
  const std::vector<std::string> lines = written.Lines();
  ASSERT_THAT(lines, SizeIs(2)) << "OK and the caller's own errors are for debug";
  const auto full = nlohmann::json::parse(lines[0]), internal = nlohmann::json::parse(lines[1]);
  EXPECT_EQ(full["code"], "RESOURCE_EXHAUSTED");
  EXPECT_EQ(full["level"], "info");
  EXPECT_EQ(full["request_id"], "id-1");
  EXPECT_EQ(full["client"], "registry");
  EXPECT_EQ(full["method"], "/driftseal.v1.Scoring/Score");
  EXPECT_EQ(full["duration_ms"], 1234.567);
  EXPECT_EQ(internal["level"], "warning");
}

TEST(Log, ManyThreadsLoseNothingWhereTheQueueIsLong) {
  constexpr int kThreads = 4, kLines = 2000;
  Written written;
  {
    Log::Options options = written.Options(Log::Format::kJson);
    options.queue_lines = kThreads * kLines;
    Log log(options);
    std::vector<std::thread> writers;
    for (int t = 0; t < kThreads; ++t) {
      writers.emplace_back([&log, t] {
        for (int i = 0; i < kLines; ++i) log.Info("line", {{"id", t * kLines + i}});
      });
    }
    for (std::thread& writer : writers) writer.join();
    EXPECT_EQ(log.dropped(), 0u);
  }
  std::set<int> ids;
  for (const std::string& line : written.Lines()) ids.insert(nlohmann::json::parse(line)["id"].get<int>());
  EXPECT_THAT(ids, SizeIs(kThreads * kLines));
}

// Would hang where a line waited for its reader, or the end for a reader that never comes.
TEST(Log, AReaderThatDoesNotReadHoldsNobodyUpAndTheLossIsCounted) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  constexpr uint64_t kLines = 20000;
  {
    Log::Options options;
    options.fd = ends[1];
    options.queue_lines = 16;
    options.last_words = std::chrono::milliseconds(1);
    Log log(options);
    for (uint64_t i = 0; i < kLines; ++i) log.Info(std::string(100, 'x'));
    EXPECT_GT(log.dropped(), kLines / 2) << "a pipe holds some 500 of these lines";
    EXPECT_LT(log.dropped(), kLines + 2);
  }
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(Log, ALossIsTold) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  {
    Log::Options options;
    options.fd = ends[1];
    options.queue_lines = 16;
    Log log(options);
    while (log.dropped() == 0) log.Info(std::string(1000, 'x'));
    // The reader comes back. A later line brings the news, at most a second after the last.
    std::string text;
    while (text.find("log lines were dropped: whoever reads the log is too slow lines=") == std::string::npos) {
      log.Info("still here");
      pollfd waited = {ends[0], POLLIN, 0};
      ASSERT_EQ(::poll(&waited, 1, 10000), 1);
      char bytes[65536];
      const ssize_t got = ::read(ends[0], bytes, sizeof bytes);
      ASSERT_GT(got, 0);
      text.append(bytes, static_cast<size_t>(got));
    }
  }
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace driftseal::serve
