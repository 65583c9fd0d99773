#ifndef DRIFTSEAL_CLIENT_CPP_SRC_STREAMS_H_
#define DRIFTSEAL_CLIENT_CPP_SRC_STREAMS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "client/cpp/src/resuming_stream.h"
#include "driftseal/stream.h"

namespace driftseal::internal {

struct ScoreTraits {
  using Request = v1::ScoreStreamRequest;
  using Response = v1::ScoreStreamResponse;
  using Key = uint64_t;
  template <typename Reactor>
  static void Start(Core& core, grpc::ClientContext* context, Reactor* reactor) {
    core.scoring->async()->ScoreStream(context, reactor);
  }
  static Key KeyOf(const Response& response) { return response.id(); }
  static const v1::ItemError* ErrorOf(const Response& response) {
    return response.has_error() ? &response.error() : nullptr;
  }
};

struct VerifyTraits {
  using Request = v1::VerifyStreamRequest;
  using Response = v1::VerifyStreamResponse;
  using Key = std::string;
  template <typename Reactor>
  static void Start(Core& core, grpc::ClientContext* context, Reactor* reactor) {
    core.scoring->async()->VerifyStream(context, reactor);
  }
  static const Key& KeyOf(const Response& response) { return response.id(); }
  static const v1::ItemError* ErrorOf(const Response& response) {
    return response.has_error() ? &response.error() : nullptr;
  }
};

struct ScoreStreamState {
  std::shared_ptr<ResumingStream<ScoreTraits>> stream;
  std::atomic<uint64_t> last_id{0};
};

struct VerifyStreamState {
  std::shared_ptr<ResumingStream<VerifyTraits>> stream;
  std::string run;
};

std::shared_ptr<ScoreStreamState> OpenScoreStream(std::shared_ptr<Core> core, const StreamOptions& options,
                                                  Clock::time_point deadline);

}  // namespace driftseal::internal

#endif  // DRIFTSEAL_CLIENT_CPP_SRC_STREAMS_H_
