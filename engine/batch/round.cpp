#include "engine/batch/round.h"

namespace driftseal::batch {

void Round::Score() {
  rows = cost = 0;
  parts_.clear();
  for (const JobQueue::Taken& one : taken) {
    parts_.push_back(one.part);
    rows += one.part.count;
    cost += one.part.count * one.cost;
  }
  if (parts_.empty() || scorer_.Score(parts_, alone).ok()) return;
  // One detector's failure is not the others': each part stands for itself.
  for (const detector::BatchPart& part : parts_) failed_.push_back(scorer_.Score({&part, 1}, alone));
}

void Round::Finish(JobQueue& queue) {
  for (size_t i = 0; i < taken.size(); ++i) {
    if (queue.Finish(taken[i], failed_.empty() ? absl::OkStatus() : failed_[i])) ended.push_back(taken[i].job);
  }
}

void Round::Tell() {
  for (Job* job : ended) job->Done(JobQueue::Ending(job));
  taken.clear();
  ended.clear();
  failed_.clear();
}

}  // namespace driftseal::batch
