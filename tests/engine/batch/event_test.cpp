#include "engine/batch/event.h"

#include <gtest/gtest.h>

#include <thread>

namespace driftseal::batch {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

TEST(EventTest, WaitsUntilItIsSetOrTheTimeIsOver) {
  Event event;
  EXPECT_FALSE(event.WaitUntil(Clock::now() - 1s));
  EXPECT_FALSE(event.WaitUntil(Clock::now() + 1ms));
  event.Set();
  EXPECT_TRUE(event.WaitUntil(Clock::now() + 3600s));
  event.Reset();
  std::thread setter([&] { event.Set(); });
  EXPECT_TRUE(event.WaitUntil(Clock::now() + 3600s));
  setter.join();
}

}  // namespace
}  // namespace driftseal::batch
