#include "kernels/ensemble/scorer.h"

#include <algorithm>
#include <system_error>

#include "kernels/parallel.h"

namespace driftseal::kernels::ensemble {

Scorer::Scorer(const device::Isa& isa, size_t threads) : isa_(isa), kernels_(SimdKernels(isa)) {
  const size_t count = ThreadCount(threads);
  workspaces_.resize(count);
  helpers_.reserve(count - 1);
  try {
    for (size_t thread = 1; thread < count; ++thread) helpers_.emplace_back([this, thread] { Help(thread); });
  } catch (const std::system_error&) {
    // Those that started will do.
  }
}

Scorer::~Scorer() {
  stop_ = true;
  ++call_;
  call_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void Scorer::Help(size_t thread) {
  for (uint32_t seen = 0;;) {
    call_.wait(seen);
    seen = call_;
    if (stop_) return;
    WorkOn(thread);
    if (--working_ == 0) working_.notify_one();
  }
}

void Scorer::WorkOn(size_t thread) {
  tile::Aligned<std::byte>& memory = workspaces_[thread];
  for (size_t i = next_++; i < work_.size(); i = next_++) {
    const Group& group = *work_[i].group;
    const size_t first = work_[i].first, count = std::min(tile::kTileRows, group.rows.rows - first);
    FloatScores out = group.out;
    for (float*& scores : out) scores += scores != nullptr ? first : 0;
    const RowsView<float> rows{group.rows.row(first), count, group.rows.cols};
    target_ = ScoreTile(*group.detector, kernels_, rows, tile::Workspace(memory.data(), memory.size()), out);
  }
}

void Scorer::Reserve(std::span<const Group> groups) {
  size_t most = workspaces_[0].size();
  for (const Group& group : groups) most = std::max(most, WorkspaceSize(*group.detector));
  if (most == workspaces_[0].size()) return;
  for (size_t thread = 0; thread < threads(); ++thread) workspaces_[thread] = tile::Aligned<std::byte>(most);
}

int64_t Scorer::Score(std::span<const Group> groups) {
  Reserve(groups);
  work_.clear();
  for (const Group& group : groups) {
    for (size_t first = 0; first < group.rows.rows; first += tile::kTileRows) work_.push_back({&group, first});
  }
  next_ = 0;
  target_ = 0;
  const bool alone = work_.size() <= 1 || helpers_.empty();
  if (!alone) {
    working_ = static_cast<uint32_t>(helpers_.size());
    ++call_;
    call_.notify_all();
  }
  WorkOn(0);
  if (!alone) {
    for (uint32_t left = working_; left != 0; left = working_) working_.wait(left);
  }
  return target_;
}

}  // namespace driftseal::kernels::ensemble
