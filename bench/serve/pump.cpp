#include "bench/serve/pump.h"

#include <utility>

namespace driftseal::bench {

Pump::Pump(const std::shared_ptr<grpc::Channel>& channel, const std::string& method, grpc::CompletionQueue* queue,
           size_t window, Ends ends)
    : window_(window), ends_(std::move(ends)) {
  for (int step = 0; step < 5; ++step) tags_[step] = {this, static_cast<Step>(step)};
  grpc::GenericStub stub(channel);
  stream_ = stub.PrepareCall(&context_, method, queue);
  stream_->StartCall(&tags_[static_cast<int>(Step::kStart)]);
}

bool Pump::Handle(void* tag, bool ok) {
  const Tag* ours = static_cast<Tag*>(tag);
  return ours->pump->On(ours->step, ok);
}

bool Pump::On(Step step, bool ok) {
  switch (step) {
    case Step::kStart:
      writing_ = false;
      if (ok) {
        reading_ = true;
        stream_->Read(&response_, &tags_[static_cast<int>(Step::kRead)]);
        WriteNext();
      } else {
        broken_ = true;
      }
      break;
    case Step::kWrite:
    case Step::kWritesDone:
      writing_ = false;
      if (!ok) broken_ = true;
      WriteNext();
      break;
    case Step::kRead:
      if (ok) {
        ends_.take(&response_);
        if (unanswered_ > 0) --unanswered_;
        stream_->Read(&response_, &tags_[static_cast<int>(Step::kRead)]);
        WriteNext();
      } else {
        reading_ = false;
        broken_ = true;  // Or over: either way nothing more is to be sent.
      }
      break;
    case Step::kFinish:
      return true;
  }
  FinishIfQuiet();
  return false;
}

void Pump::WriteNext() {
  if (writing_ || broken_ || closing_) return;
  if (more_ && unanswered_ < window_) more_ = ends_.next(&request_);
  if (!more_) {
    closing_ = writing_ = true;
    stream_->WritesDone(&tags_[static_cast<int>(Step::kWritesDone)]);
  } else if (unanswered_ < window_) {
    ++unanswered_;
    writing_ = true;
    stream_->Write(request_, &tags_[static_cast<int>(Step::kWrite)]);
  }
}

void Pump::FinishIfQuiet() {
  if (reading_ || writing_ || finishing_) return;
  finishing_ = true;
  stream_->Finish(&status_, &tags_[static_cast<int>(Step::kFinish)]);
}

}  // namespace driftseal::bench
