#include "bench/serve/unary_call.h"

#include "bench/serve/messages.h"

namespace driftseal::bench {

void UnaryCall::Start(ScoreStub& stub, const grpc::ByteBuffer& bytes, size_t which, Clock::time_point when,
                      grpc::CompletionQueue* queue) {
  static const std::string method = kScore;
  request = which;
  due = when;
  sent = Clock::now();
  reader_.reset();
  context_.emplace();
  reader_ = stub.PrepareUnaryCall(&*context_, method, bytes, queue);
  reader_->StartCall();
  reader_->Finish(&response, &status, this);
}

UnaryCall* IdleCalls::Take() {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) {
    if (all_.size() == most_) return nullptr;
    all_.push_back(std::make_unique<UnaryCall>());
    return all_.back().get();
  }
  UnaryCall* call = idle_.back();
  idle_.pop_back();
  return call;
}

void IdleCalls::Return(UnaryCall* call) {
  const std::lock_guard lock(mutex_);
  idle_.push_back(call);
}

bool IdleCalls::Complete() {
  const std::lock_guard lock(mutex_);
  return idle_.size() == all_.size();
}

}  // namespace driftseal::bench
