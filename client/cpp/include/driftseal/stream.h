#ifndef DRIFTSEAL_CLIENT_CPP_INCLUDE_DRIFTSEAL_STREAM_H_
#define DRIFTSEAL_CLIENT_CPP_INCLUDE_DRIFTSEAL_STREAM_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "driftseal/options.h"
#include "driftseal/scoring.h"

// Streams that outlive their connections. Any number of threads may send and any number may read; a single thread
// alternates TrySend and Next. Where the connection is lost, what is unanswered is sent again, by whichever thread
// waits in Send or Next; each request is answered exactly once.
namespace driftseal {

namespace internal {
struct ScoreStreamState;
struct VerifyStreamState;
}  // namespace internal

class ScoreStream {
 public:
  explicit ScoreStream(std::shared_ptr<internal::ScoreStreamState> state);
  ScoreStream(ScoreStream&&) noexcept;
  ScoreStream& operator=(ScoreStream&&) noexcept;
  ~ScoreStream();  ///< As Cancel.

  /// Copies the rows. Waits while max_in_flight requests have no answer that was taken: some thread must call Next. The
  /// id comes back with the answer; a later id is larger.
  Result<uint64_t> Send(const ScoreRequest& request);
  /// Nothing where Send would wait.
  std::optional<Result<uint64_t>> TrySend(const ScoreRequest& request);
  /// The next answer, in the order in which they come; nothing once all that was sent before Finish is answered, or the
  /// stream failed: see status().
  std::optional<ScoreAnswer> Next();
  void Finish();  ///< Nothing more will be sent.
  void Cancel();
  Status status() const;  ///< Why the stream ended.

 private:
  std::shared_ptr<internal::ScoreStreamState> state_;
};

class VerifyStream {
 public:
  explicit VerifyStream(std::shared_ptr<internal::VerifyStreamState> state);
  VerifyStream(VerifyStream&&) noexcept;
  VerifyStream& operator=(VerifyStream&&) noexcept;
  ~VerifyStream();

  /// `id`: at most 256 bytes, unique within the run. INVALID_ARGUMENT where it waits for its answer already.
  Status Send(const std::string& id, const VerifyRequest& request);
  std::optional<Status> TrySend(const std::string& id, const VerifyRequest& request);
  std::optional<VerifyAnswer> Next();
  void Finish();
  void Cancel();
  Status status() const;

 private:
  std::shared_ptr<internal::VerifyStreamState> state_;
};

}  // namespace driftseal

#endif  // DRIFTSEAL_CLIENT_CPP_INCLUDE_DRIFTSEAL_STREAM_H_
