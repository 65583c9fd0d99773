#ifndef DRIFTSEAL_ENGINE_STORE_VERDICT_STORE_H_
#define DRIFTSEAL_ENGINE_STORE_VERDICT_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Verdicts by run and id, in SQLite, so that whoever asks again after a broken connection, a crash or a restart gets
// what was answered before.
namespace driftseal::store {

/// What is known under a run and an id. The store does not look into either.
struct StoredVerdict {
  std::string request;  ///< Identifies what was asked, so that an id that is used for something else is noticed.
  std::string verdict;
};

/// Safe to share between threads.
///
/// Journal mode WAL with synchronous=FULL: a verdict is synced to the disk before Put reports it, and so outlives a
/// kill -9 of the process and a loss of power. What waits while one transaction is synced goes into the next one
/// together (group commit), so that the sync costs latency and not throughput.
class VerdictStore {
 public:
  /// Opens or creates. FailedPrecondition where another process has it open (a lock on PATH.lock, which the kernel
  /// takes back when that process ends in whatever way) or a newer version wrote it; DataLoss, naming the file, where
  /// it is no verdict store or is damaged. Files of up to 256 MiB are checked page by page, larger ones as they are
  /// read.
  static absl::StatusOr<std::unique_ptr<VerdictStore>> Open(const std::string& path);
  /// Stores what was put before.
  ~VerdictStore();

  /// What is stored; nothing where nothing is. Blocks for the time of one look-up. DataLoss, Internal.
  absl::StatusOr<std::optional<StoredVerdict>> Get(std::string_view run, std::string_view id);

  /// What came of a Put: what is stored now under that run and id, which was there before where `before`.
  struct Put {
    StoredVerdict stored;
    bool before = false;
  };
  using Done = std::function<void(absl::StatusOr<Put>)>;
  /// Stores `verdict` unless something is there, and calls `done` on the store's thread once it is on the disk (or was
  /// there before). Never blocks. `done` must not block: the verdicts behind it wait. Run and id are any bytes.
  void Store(std::string run, std::string id, StoredVerdict verdict, Done done);

  struct Counts {
    uint64_t stored = 0, found = 0, transactions = 0;
  };
  Counts counts() const;  ///< Since it was opened.

 private:
  struct State;
  explicit VerdictStore(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace driftseal::store

#endif  // DRIFTSEAL_ENGINE_STORE_VERDICT_STORE_H_
