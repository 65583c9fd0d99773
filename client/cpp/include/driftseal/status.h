#ifndef DRIFTSEAL_CLIENT_CPP_INCLUDE_DRIFTSEAL_STATUS_H_
#define DRIFTSEAL_CLIENT_CPP_INCLUDE_DRIFTSEAL_STATUS_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

// Errors are values, as with gRPC itself: a call gives a Status or a Result. Nothing here throws but Result::value() on
// a result that has none.
namespace driftseal {

/// The codes of gRPC, with its numbers.
enum class Code {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};
/// "UNAVAILABLE"
const char* CodeName(Code code);

/// What the engine had too much of when it refused a call.
struct Load {
  std::string resource;  ///< "queue", "client-queue", "client-rate", "client-calls", "verifications", "operations"
  uint64_t used = 0, limit = 0;
};

struct Status {
  Code code = Code::kOk;
  std::string message;
  std::string request_id;    ///< By which the engine's log knows the call; empty where it never came there.
  std::optional<Load> load;  ///< Of RESOURCE_EXHAUSTED.
  std::optional<std::chrono::milliseconds> retry_after;  ///< The engine's advice; absent: trying again is no use.
  int attempts = 1;                                      ///< How often the call was tried.

  bool ok() const { return code == Code::kOk; }
  /// "UNAVAILABLE: connection refused (request 5f0c..., 4 attempts)"
  std::string ToString() const;
};

/// What Result::value() throws.
class BadResult : public std::runtime_error {
 public:
  explicit BadResult(Status status) : std::runtime_error(status.ToString()), status_(std::move(status)) {}
  const Status& status() const { return status_; }

 private:
  Status status_;
};

/// A value, or why there is none.
template <typename T>
class Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT: meant to be implicit, as is
  Result(Status status) : value_(std::move(status)) {}  // NOLINT: this one; never with an OK status.

  bool ok() const { return std::holds_alternative<T>(value_); }
  explicit operator bool() const { return ok(); }
  Status status() const { return ok() ? Status() : std::get<Status>(value_); }
  const T& operator*() const& { return *std::get_if<T>(&value_); }  ///< Only where ok().
  T& operator*() & { return *std::get_if<T>(&value_); }
  T&& operator*() && { return std::move(*std::get_if<T>(&value_)); }
  const T* operator->() const { return std::get_if<T>(&value_); }
  T* operator->() { return std::get_if<T>(&value_); }
  const T& value() const& { return Check(), **this; }  ///< Throws BadResult.
  T&& value() && { return Check(), std::move(*std::get_if<T>(&value_)); }

 private:
  void Check() const {
    if (!ok()) throw BadResult(std::get<Status>(value_));
  }
  std::variant<Status, T> value_;
};

}  // namespace driftseal

#endif  // DRIFTSEAL_CLIENT_CPP_INCLUDE_DRIFTSEAL_STATUS_H_
