#include "engine/replay/protocol/message.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <functional>
#include <string>

#include "engine/replay/protocol/channel.h"

namespace driftseal::replay {
namespace {

using ::testing::HasSubstr;

Job SomeJob() {
  Job job;
  job.id = 0x1122334455667788;
  job.kind = JobKind::kProbe;
  job.runtime = ModelRuntime::kXgboost;
  job.model_length = 1000;
  job.answer_capacity = 4096;
  job.set_key[31] = 9;
  job.set_length = 77;
  job.options = "{}";
  return job;
}

Answer SomeAnswer(absl::StatusCode code, uint64_t length, const std::string& text) {
  Answer answer;
  answer.id = SomeJob().id;
  answer.code = code;
  answer.length = length;
  answer.text = text;
  return answer;
}

TEST(Message, ComesBackAsItWas) {
  const Job job = SomeJob();
  const absl::StatusOr<Job> read = DecodeJob(Encode(job));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(Encode(*read), Encode(job));
  EXPECT_EQ(read->id, job.id);
  EXPECT_EQ(read->runtime, ModelRuntime::kXgboost);
  EXPECT_EQ(read->set_key, job.set_key);
  const Hello hello{{{"landlock", true, ""}, {"seccomp", false, "none here"}}};
  EXPECT_EQ(DecodeHello(Encode(hello))->measures, hello.measures);
  Exited exited{11, 22, 33};
  EXPECT_EQ(DecodeExited(Encode(exited))->wait_status, 11);
  EXPECT_EQ(DecodeExited(Encode(exited))->peak_kib, 33u);
  EXPECT_EQ(DecodeRefused(Encode(Refused{"why"}))->text, "why");
  EXPECT_EQ(DecodeAnswer(Encode(SomeAnswer(absl::StatusCode::kOk, 4096, "")), job)->length, 4096u);
}

TEST(Message, LongTextsAreCut) {
  const std::string longest(100'000, 'x');
  EXPECT_EQ(DecodeRefused(Encode(Refused{longest}))->text.size(), kTextLimit);
  const Hello hello{std::vector<Measure>(100, Measure{longest, true, longest})};
  EXPECT_EQ(DecodeHello(Encode(hello))->measures.size(), kMostMeasures);
  EXPECT_LE(Encode(hello).size(), kMessageLimit);
}

TEST(Message, EveryByteCounts) {
  const std::string job = Encode(SomeJob()), answer = Encode(SomeAnswer(absl::StatusCode::kInternal, 0, "why"));
  for (size_t n = 0; n < job.size(); ++n) EXPECT_FALSE(DecodeJob(job.substr(0, n)).ok()) << n;
  for (size_t n = 0; n < answer.size(); ++n) EXPECT_FALSE(DecodeAnswer(answer.substr(0, n), SomeJob()).ok()) << n;
  EXPECT_FALSE(DecodeJob(job + "x").ok());
  EXPECT_FALSE(DecodeAnswer(answer + "x", SomeJob()).ok());
  for (size_t n = 0; n < 8; ++n) {  // magic, version, kind
    std::string other = job;
    other[n] = static_cast<char>(other[n] ^ 0x40);
    EXPECT_FALSE(DecodeJob(other).ok()) << n;
  }
  EXPECT_FALSE(DecodeJob(answer).ok());
  EXPECT_FALSE(DecodeAnswer(job, SomeJob()).ok());
}

TEST(Message, FieldsOutOfTheirRangeAreNamed) {
  const std::pair<const char*, std::function<void(Job&)>> jobs[] = {
      {"kind of job", [](Job& job) { job.kind = static_cast<JobKind>(3); }},
      {"runtime", [](Job& job) { job.runtime = static_cast<ModelRuntime>(2); }},
      {"model's length", [](Job& job) { job.model_length = 0; }},
      {"model's length", [](Job& job) { job.model_length = kModelLimit + 1; }},
      {"answer's capacity", [](Job& job) { job.answer_capacity = kAnswerLimit + 1; }},
      {"set's length", [](Job& job) { job.set_length = 0; }},
  };
  for (const auto& [field, spoil] : jobs) {
    Job job = SomeJob();
    spoil(job);
    EXPECT_THAT(std::string(DecodeJob(Encode(job)).status().message()), HasSubstr(field));
  }
  const std::pair<const char*, Answer> answers[] = {
      {"answer's length", SomeAnswer(absl::StatusCode::kOk, 4097, "")},
      {"answer's length", SomeAnswer(absl::StatusCode::kInternal, 1, "")},
      {"text", SomeAnswer(absl::StatusCode::kOk, 1, "no error, but a text")},
      {"code", SomeAnswer(absl::StatusCode::kUnavailable, 0, "")},
      {"code", SomeAnswer(static_cast<absl::StatusCode>(200), 0, "")},
  };
  for (const auto& [field, answer] : answers) {
    EXPECT_THAT(std::string(DecodeAnswer(Encode(answer), SomeJob()).status().message()), HasSubstr(field));
  }
}

TEST(Memory, SealedIsForGood) {
  const std::string text = "a model";
  const absl::StatusOr<UniqueFd> memory = SealedMemory("test", std::as_bytes(std::span(text.data(), text.size())));
  ASSERT_TRUE(memory.ok()) << memory.status();
  EXPECT_EQ(pwrite(memory->get(), "x", 1, 0), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_NE(ftruncate(memory->get(), 3), 0);
  EXPECT_NE(ftruncate(memory->get(), 30), 0);
  EXPECT_EQ(mmap(nullptr, 7, PROT_READ | PROT_WRITE, MAP_SHARED, memory->get(), 0), MAP_FAILED);
  EXPECT_EQ(Mapping::ReadOnly(memory->get(), 7)->text(), text);
  EXPECT_FALSE(Mapping::ReadOnly(memory->get(), 8).ok());
  EXPECT_FALSE(Mapping::Writable(memory->get(), 7).ok());
}

TEST(Memory, FixedKeepsItsSize) {
  const absl::StatusOr<UniqueFd> memory = FixedMemory("test", 4096);
  ASSERT_TRUE(memory.ok()) << memory.status();
  EXPECT_NE(ftruncate(memory->get(), 100), 0);
  EXPECT_FALSE(Mapping::ReadOnly(memory->get(), 4096).ok());  // it can still be written to
  const absl::StatusOr<Mapping> mapping = Mapping::Writable(memory->get(), 4096);
  ASSERT_TRUE(mapping.ok()) << mapping.status();
  mapping->bytes()[0] = std::byte{'x'};
  EXPECT_EQ(CopyOut(memory->get(), 2).value_or(""), std::string("x\0", 2));
  EXPECT_EQ(CopyOut(memory->get(), 4097).status().code(), absl::StatusCode::kDataLoss);
}

TEST(Channel, TellsMessagesFromTheEnd) {
  auto channel = MakeChannel();
  ASSERT_TRUE(channel.ok());
  EXPECT_EQ(ReceiveMessage(channel->first.get(), 0, false)->arrival, Arrival::kNothing);
  const std::array<int, 2> descriptors = {0, 1};
  ASSERT_TRUE(SendMessage(channel->second.get(), "hello", descriptors).ok());
  ASSERT_TRUE(SendMessage(channel->second.get(), "again", descriptors).ok());
  ASSERT_TRUE(SendMessage(channel->second.get(), "third", descriptors).ok());
  absl::StatusOr<Received> received = ReceiveMessage(channel->first.get(), 2, false);
  ASSERT_TRUE(received.ok()) << received.status();
  EXPECT_EQ(received->message, "hello");
  EXPECT_EQ(received->descriptors.size(), 2u);
  EXPECT_FALSE(ReceiveMessage(channel->first.get(), 1, false).ok());  // more descriptors than were expected
  EXPECT_FALSE(ReceiveMessage(channel->first.get(), 0, false).ok());
  EXPECT_FALSE(SendMessage(channel->second.get(), std::string(kMessageLimit + 1, 'x')).ok());
  channel->second.Close();
  EXPECT_EQ(ReceiveMessage(channel->first.get(), 0, true)->arrival, Arrival::kClosed);
  EXPECT_TRUE(absl::IsUnavailable(SendMessage(channel->first.get(), "nobody")));
}

}  // namespace
}  // namespace driftseal::replay
