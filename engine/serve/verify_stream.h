#ifndef DRIFTSEAL_ENGINE_SERVE_VERIFY_STREAM_H_
#define DRIFTSEAL_ENGINE_SERVE_VERIFY_STREAM_H_

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "driftseal/v1/scoring.pb.h"
#include "engine/serve/engine.h"
#include "engine/serve/verify_pool.h"
#include "grpcpp/alarm.h"
#include "grpcpp/support/server_callback.h"

namespace driftseal::serve {

/// One VerifyStream. At most kWindow requests are in it at once, from being read to their answer being sent; beyond
/// that, and while the pool is full, it reads no further, which slows the caller down by gRPC's flow control. Every
/// request is answered exactly once, unless the caller goes away.
class VerifyStreamCall final : public grpc::ServerBidiReactor<v1::VerifyStreamRequest, v1::VerifyStreamResponse>,
                               public DrainListener {
 public:
  static constexpr size_t kWindow = 64;

  VerifyStreamCall(Engine& engine, const Method& method, grpc::CallbackServerContext* context);
  void Begin();

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDrain() override;
  void OnDone() override;

 private:
  using Request = v1::VerifyStreamRequest;
  using Response = v1::VerifyStreamResponse;

  using Lock = std::unique_lock<std::mutex>;

  /// Starts what can be started: a write, a read, the end. Whoever changes the state calls it under the same lock,
  /// since without it the call may end and be gone. gRPC may call back at once, so that it is called without the lock,
  /// and by one thread at a time: nothing is touched after Finish.
  void Advance(Lock& lock);
  bool Over() const { return half_closed_ || draining_ || cancelled_; }

  void Accept(std::shared_ptr<const Request> request);
  void Refuse(const Request& request, const absl::Status& status);
  void Submit(std::shared_ptr<const Request> request);
  absl::Status Check(const Request& request);
  void Run(const std::shared_ptr<const Request>& request, const absl::Status& status);
  bool AnswerFromStore(const Request& request, const std::string& digest);
  void VerifyAndAnswer(const std::shared_ptr<const Request>& request, const std::string& digest);
  void AnswerStored(const Request& request, const std::string& digest, const std::string& asked,
                    const std::string& verdict, bool before);
  void AnswerError(const Request& request, const absl::Status& status);
  void Answer(Response response);
  void Forget();  ///< A request that nobody waits for any more.

  Engine& engine_;
  Call call_;
  const VerifyPool::Clock::time_point deadline_;
  Request read_;
  grpc::Alarm slow_down_;
  std::atomic<bool> cancelled_{false};

  std::optional<std::string> run_;  // Set by the first request, before any work.
  uint64_t last_item_ = 0;          // Of the request that is held.

  std::mutex mutex_;      // Of what stands below.
  size_t in_flight_ = 0;  // Read and not yet in `answers_`.
  std::deque<Response> answers_;
  std::map<uint64_t, VerifyPool::Ticket> tickets_;
  bool advancing_ = false, again_ = false;
  bool reading_ = false, held_ = false, writing_ = false, half_closed_ = false, draining_ = false, finished_ = false;
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_VERIFY_STREAM_H_
