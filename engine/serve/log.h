#ifndef DRIFTSEAL_ENGINE_SERVE_LOG_H_
#define DRIFTSEAL_ENGINE_SERVE_LOG_H_

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

// The engine's log: one line an event, to standard error, as text for people or as JSON for programs.
namespace driftseal::serve {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };  ///< kOff: of a log that writes nothing.

/// A named value of a line. What it points at need only live as long as the call of Log::Write.
struct LogField {
  using Value = std::variant<std::string_view, int64_t, uint64_t, double, bool>;

  LogField(std::string_view field, std::string_view text) : name(field), value(text) {}
  LogField(std::string_view field, const std::string& text) : name(field), value(std::string_view(text)) {}
  LogField(std::string_view field, const char* text) : name(field), value(std::string_view(text)) {}
  LogField(std::string_view field, bool yes) : name(field), value(yes) {}
  template <std::signed_integral T>
  LogField(std::string_view field, T number) : name(field), value(static_cast<int64_t>(number)) {}
  template <std::unsigned_integral T>
  LogField(std::string_view field, T number) : name(field), value(static_cast<uint64_t>(number)) {}
  template <std::floating_point T>
  LogField(std::string_view field, T number) : name(field), value(static_cast<double>(number)) {}

  std::string_view name;
  Value value;
};

/// What is known of a call when it ends.
struct CallLog {
  std::string_view request_id;
  std::string_view client;  ///< Name of the token or certificate; "" for one that was not asked.
  std::string_view peer;    ///< Address and port.
  std::string_view method;  ///< "/driftseal.v1.Scoring/Score", "GET /v1/detectors".
  std::string_view code;    ///< "OK", "RESOURCE_EXHAUSTED", ...
  std::string_view error;   ///< The status' message; "" where it is OK.
  std::chrono::nanoseconds duration{0};
};

/// Threads: all functions may be called from any thread at any time. None waits for the one who reads the log: lines go
/// through a bounded queue to a thread of its own, and where that is full the oldest lines give way and are counted.
/// Strings may be hostile: control characters, characters that reorder text and bytes that are not UTF-8 are escaped,
/// and each string is cut at 2 KiB.
class Log {
 public:
  enum class Format { kText, kJson };
  struct Options {
    Format format = Format::kText;
    LogLevel level = LogLevel::kInfo;            ///< Less is not written.
    int fd = 2;                                  ///< Where to; not closed.
    size_t queue_lines = 8192;                   ///< Lines that wait.
    std::chrono::milliseconds last_words{1000};  ///< How long the destructor waits for a reader that does not read.
  };

  explicit Log(const Options& options);
  ~Log();  ///< Writes what waits.
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  bool Enabled(LogLevel level) const { return level >= level_; }
  void Write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});
  /// "call", with a field for each thing known: kDebug for OK and the caller's own errors, kWarning for errors of the
  /// engine (INTERNAL, UNKNOWN, DATA_LOSS) and kInfo for the rest, which an operator looks for (refused, too late).
  void Call(const CallLog& call);

  void Debug(std::string_view message, std::initializer_list<LogField> fields = {}) {
    Write(LogLevel::kDebug, message, fields);
  }
  void Info(std::string_view message, std::initializer_list<LogField> fields = {}) {
    Write(LogLevel::kInfo, message, fields);
  }
  void Warning(std::string_view message, std::initializer_list<LogField> fields = {}) {
    Write(LogLevel::kWarning, message, fields);
  }
  void Error(std::string_view message, std::initializer_list<LogField> fields = {}) {
    Write(LogLevel::kError, message, fields);
  }

  uint64_t dropped() const;  ///< Lines that were given up since the start.

 private:
  struct State;
  LogLevel level_;
  std::unique_ptr<State> state_;
};

/// A log that writes nothing, for tests.
std::unique_ptr<Log> SilentLog();

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_LOG_H_
