#include "bench/serve/target.h"

#include <chrono>

#include "absl/status/status.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"

namespace driftseal::bench {

absl::StatusOr<std::vector<std::shared_ptr<grpc::Channel>>> Connect(const Target& target) {
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (size_t i = 0; i < target.connections; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // Or all channels share one connection.
    arguments.SetMaxReceiveMessageSize(-1);
    channels.push_back(grpc::CreateCustomChannel(target.address, grpc::InsecureChannelCredentials(), arguments));
    if (!channels.back()->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(10))) {
      return absl::DeadlineExceededError("no server answers at " + target.address);
    }
  }
  return channels;
}

}  // namespace driftseal::bench
