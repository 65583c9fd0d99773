#include "engine/serve/stall_guard.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>

namespace driftseal::serve {
namespace {

using namespace std::chrono_literals;

// Both ends of a TCP connection; what comes to `ours` is read by a thread until the end.
struct Pair {
  Pair() {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener, 1), 0);
    EXPECT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
    theirs = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(connect(theirs, reinterpret_cast<sockaddr*>(&address), size), 0);
    ours = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    close(listener);
  }
  ~Pair() {
    if (theirs >= 0) close(theirs);
    if (ours >= 0) close(ours);
  }

  // Their side sends `bytes`, ours reads them and answers with a byte after each `answer_every` of them (0: never).
  // False: the connection was shut.
  bool Transfer(size_t bytes, size_t answer_every) {
    const std::string chunk(64 << 10, 'x');
    std::string buffer(chunk.size(), 0);
    size_t unanswered = 0;
    for (size_t moved = 0; moved < bytes; moved += chunk.size()) {
      if (send(theirs, chunk.data(), chunk.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(chunk.size())) return false;
      if (recv(ours, buffer.data(), buffer.size(), MSG_WAITALL) != static_cast<ssize_t>(buffer.size())) return false;
      unanswered += chunk.size();
      if (answer_every > 0 && unanswered >= answer_every) {
        if (send(ours, "!", 1, MSG_NOSIGNAL) != 1) return false;
        unanswered = 0;
      }
    }
    return true;
  }

  int ours = -1, theirs = -1;
};

StallGuard::Options Small() { return {4u << 20, 16u << 20, 1ms}; }

TEST(StallGuard, ClosesWhatSendsAndIsNeverAnswered) {
  const auto log = SilentLog();
  StallGuard guard(Small(), log.get());
  Pair pair;
  guard.Watch(pair.ours);
  while (pair.Transfer(1 << 20, 0)) {
  }
  EXPECT_EQ(guard.closed(), 1u);
  EXPECT_EQ(guard.watched(), 0u);
}

TEST(StallGuard, LeavesWhatIsAnswered) {
  const auto log = SilentLog();
  StallGuard guard(Small(), log.get());
  Pair pair;
  guard.Watch(pair.ours);
  EXPECT_TRUE(pair.Transfer(256 << 20, 1 << 20));
  EXPECT_EQ(guard.closed(), 0u);
}

TEST(StallGuard, ClosesTheWorstWhereAllTogetherAreTooMuch) {
  const auto log = SilentLog();
  StallGuard guard({64u << 20, 16u << 20, 1ms}, log.get());
  Pair modest, greedy;
  guard.Watch(modest.ours);
  guard.Watch(greedy.ours);
  EXPECT_TRUE(modest.Transfer(4 << 20, 0));
  while (greedy.Transfer(1 << 20, 0)) {
  }
  EXPECT_EQ(guard.closed(), 1u);
  EXPECT_TRUE(modest.Transfer(1 << 20, 0));
}

TEST(StallGuard, ForgetsWhatIsClosedAndLeavesWhoeverHasTheDescriptorNext) {
  const auto log = SilentLog();
  StallGuard guard(Small(), log.get());
  Pair first, second;
  guard.Watch(first.ours);
  ASSERT_EQ(dup2(second.ours, first.ours), first.ours);  // The same number is another connection now.
  while (guard.watched() > 0) std::this_thread::yield();
  EXPECT_TRUE(second.Transfer(32 << 20, 0));
  EXPECT_EQ(guard.closed(), 0u);
}

TEST(StallGuard, LeavesWhatIsNoTcpConnection) {
  const auto log = SilentLog();
  StallGuard guard(Small(), log.get());
  guard.Watch(-1);
  guard.Watch(0);
  EXPECT_EQ(guard.watched(), 0u);
}

}  // namespace
}  // namespace driftseal::serve
