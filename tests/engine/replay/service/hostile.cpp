// driftseal-replay-hostile --serve: the replay service itself, with "models" that are one line of text saying what to
// do once it runs. Started by the tests as the real program is. --without=MEASURE leaves a measure of the sandbox out.
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/replay/protocol/channel.h"
#include "engine/replay/service/serve.h"
#include "hostile_calls.h"

namespace driftseal::testing {
namespace {

using replay::Answer;
using replay::Job;
using Result = absl::StatusOr<std::string>;

constexpr int kWork = 3;  ///< Where a worker's socket to the engine is.

void Send(const std::string& message, std::vector<int> descriptors = {}) {
  replay::SendMessage(kWork, message, descriptors).IgnoreError();
}

[[noreturn]] void Spin() {
  volatile bool spinning = true;
  while (spinning) {
  }
  std::abort();
}

Result Eat() {
  std::vector<char*> eaten;
  for (;;) {  // pages that are not touched cost nothing
    eaten.push_back(new char[size_t{16} << 20]);
    std::memset(eaten.back(), 1, size_t{16} << 20);
  }
}

/// Eats all that there is to the last byte and keeps it, so that nothing is left to answer with.
[[noreturn]] void EatForEver() {
  for (size_t piece = size_t{64} << 20; piece >= 16; piece /= 2) {
    while (std::malloc(piece) != nullptr) {
    }
  }
  throw std::bad_alloc();
}

int Overflow(int depth) {
  volatile char frame[4096];
  frame[0] = static_cast<char>(depth);
  return depth < 1 << 30 ? Overflow(depth + 1) + frame[0] : 0;
}

Result Print() {
  for (int i = 0; i < 1 << 20; ++i) std::printf("\x1b[31mflood %d\n", i);
  std::fflush(stdout);
  throw std::runtime_error("printed enough");
}

/// Lies about its answer; the socket to the engine is the model's to use once it has taken over its process.
Result Lie(const std::string& how, const Job& job) {
  Answer answer;
  answer.id = job.id;
  if (how == "length") answer.length = job.answer_capacity + 1;
  if (how == "huge") answer.length = ~uint64_t{0};
  if (how == "id") answer.id = job.id + 1;
  if (how == "code") answer.code = absl::StatusCode::kUnavailable;
  std::string message = replay::Encode(answer);
  if (how == "short") message.resize(message.size() - 1);
  if (how == "long") message += "x";
  if (how == "magic") message[0] = 'X';
  if (how == "kind") message = replay::Encode(replay::Exited{0, 0, 0});
  if (how == "empty") message.clear();
  if (how == "oversize") {
    message.resize(20000, 'x');
    if (write(kWork, message.data(), message.size()) < 0) std::abort();
    Spin();
  }
  if (how == "empty") {
    if (write(kWork, message.data(), 0) < 0) std::abort();
    Spin();
  }
  Send(message, how == "descriptors" ? std::vector<int>{0, 1, 2} : std::vector<int>{});
  Spin();
}

Result Failing(const std::string& how) {
  if (how == "invalid") return absl::InvalidArgumentError("no such model");
  if (how == "strange") return absl::NotFoundError("a code that workers may not give");
  if (how == "throw") throw std::runtime_error("the model's own words\x1b[31m");
  if (how == "odd") throw 7;
  if (how == "torch") throw std::runtime_error("DefaultCPUAllocator: can't allocate memory");
  return absl::InternalError("outputs are not finite");
}

Result Work(std::span<const std::byte> model, const Job& job, const replay::CanarySet& set) {
  static int jobs = 0;
  ++jobs;
  std::istringstream in(std::string(reinterpret_cast<const char*>(model.data()), model.size()));
  std::string verb, word;
  in >> verb >> word;
  if (verb == "echo") return word + " " + set.name + " " + job.options + " " + std::to_string(jobs);
  if (verb == "pid") return std::to_string(getpid());
  if (verb == "size") return std::string(static_cast<size_t>(std::stoull(word)), 'y');
  if (verb == "calls") return TryEverything();
  if (verb == "spin") Spin();
  if (verb == "sleep") sleep(600);
  if (verb == "eat") return Eat();
  if (verb == "eat-for-ever") EatForEver();
  if (verb == "crash") return raise(std::stoi(word)), "still here";
  if (verb == "abort") std::abort();
  if (verb == "overflow") return std::to_string(Overflow(0));
  if (verb == "exit") _exit(std::stoi(word));
  if (verb == "print") return Print();
  if (verb == "fail") return Failing(word);
  if (verb == "lie") return Lie(word, job);
  if (verb == "close") return close(kWork), Spin(), "";
  if (verb == "answer-twice") {
    Answer answer;
    answer.id = job.id;
    for (int i = 0; i < 1000; ++i) Send(replay::Encode(answer));
    return "third";
  }
  if (verb == "write-model") const_cast<std::byte&>(model[0]) = std::byte{1};
  return absl::InvalidArgumentError("unknown verb " + verb);
}

absl::StatusOr<replay::CanarySet> DecodeSet(std::string_view bytes, std::string_view) {
  if (bytes == "bad") return absl::InvalidArgumentError("a bad set");
  replay::CanarySet set;
  set.name = bytes;
  return set;
}

int Main(int argc, char** argv) {
  replay::ServeOptions options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument.starts_with("--without=")) options.without.push_back(argument.substr(10));
  }
  return replay::Serve(options, {.warm = nullptr, .decode_set = DecodeSet, .work = Work});
}

}  // namespace
}  // namespace driftseal::testing

int main(int argc, char** argv) { return driftseal::testing::Main(argc, argv); }
