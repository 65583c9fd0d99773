#include "client/cpp/src/disposal.h"

#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "client/cpp/src/core.h"

namespace driftseal::internal {
namespace {

thread_local int callbacks = 0;

// A thread while there is something to destroy, and none otherwise.
class Disposal {
 public:
  static Disposal& Get() {
    static Disposal& disposal = *new Disposal;  // A callback may come when statics are gone already.
    static const AtExit at_exit{disposal};
    return disposal;
  }

  void Take(std::unique_ptr<const Core> core) {
    const std::lock_guard lock(mutex_);
    cores_.push_back(std::move(core));
    if (running_ || ended_) return;          // A process that ends closes its connections itself.
    if (thread_.joinable()) thread_.join();  // It said that it is done, and takes no lock any more.
    try {
      thread_ = std::thread([this] { Run(); });
      running_ = true;
    } catch (const std::system_error&) {
      // The system has no thread for it now. It stays until another one comes.
    }
  }

 private:
  // Statics of gRPC's are older than this one, and still there when it waits.
  struct AtExit {
    explicit AtExit(Disposal& of) : disposal(of) {}
    ~AtExit() { disposal.End(); }
    Disposal& disposal;
  };

  void Run() {
    std::vector<std::unique_ptr<const Core>> cores;
    for (;;) {
      {
        const std::lock_guard lock(mutex_);
        if (cores_.empty()) {
          running_ = false;
          return;
        }
        cores = std::exchange(cores_, {});
      }
      cores.clear();
    }
  }

  void End() {
    std::thread last;
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
      last = std::move(thread_);
    }
    if (last.joinable()) last.join();
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<const Core>> cores_;
  std::thread thread_;
  bool running_ = false, ended_ = false;
};

}  // namespace

CallbackScope::CallbackScope() { ++callbacks; }
CallbackScope::~CallbackScope() { --callbacks; }

void DestroyCore::operator()(const Core* core) const {
  std::unique_ptr<const Core> owned(core);
  if (callbacks > 0) Disposal::Get().Take(std::move(owned));
}

}  // namespace driftseal::internal
