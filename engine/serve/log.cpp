#include "engine/serve/log.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <ctime>
#include <mutex>
#include <optional>

#include "absl/strings/str_format.h"
#include "engine/artifact/text.h"
#include "spdlog/async_logger.h"
#include "spdlog/details/thread_pool.h"
#include "spdlog/pattern_formatter.h"
#include "spdlog/sinks/base_sink.h"

namespace driftseal::serve {
namespace {

constexpr size_t kStringLimit = 2048;
constexpr char kLevels[][8] = {"debug", "info", "warning", "error"};

// Writes to a descriptor without ever waiting for long in write(): a pipe that poll() calls writable takes PIPE_BUF
// bytes at once.
class DescriptorSink : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  DescriptorSink(int fd, std::chrono::milliseconds last_words) : fd_(fd), last_words_(last_words) {}
  /// From now on nobody waits for the reader longer than the last words may take.
  void Hurry() { deadline_ns_ = (std::chrono::steady_clock::now() + last_words_).time_since_epoch().count(); }

 protected:
  void sink_it_(const spdlog::details::log_msg& line) override {
    std::string_view rest(line.payload.data(), line.payload.size());
    while (!rest.empty()) {
      if (!Writable()) return;
      const ssize_t written = ::write(fd_, rest.data(), std::min<size_t>(rest.size(), kPipeBytes));
      if (written < 0 && errno != EINTR && errno != EAGAIN) return;  // The reader is gone: nobody to tell.
      if (written > 0) rest.remove_prefix(static_cast<size_t>(written));
    }
  }
  void flush_() override {}

 private:
  static constexpr size_t kPipeBytes = 4096;

  bool Writable() const {
    for (;;) {
      pollfd waited = {fd_, POLLOUT, 0};
      if (::poll(&waited, 1, 50) > 0) return true;
      const int64_t deadline = deadline_ns_;
      if (deadline != 0 && std::chrono::steady_clock::now().time_since_epoch().count() > deadline) return false;
    }
  }

  int fd_;
  std::chrono::milliseconds last_words_;
  std::atomic<int64_t> deadline_ns_{0};
};

// What both formats write within quotes: JSON's own escapes, valid UTF-8, nothing that moves a terminal's cursor.
void AppendQuoted(std::string_view text, std::string& out) {
  const bool cut = text.size() > kStringLimit;
  text = text.substr(0, kStringLimit);
  out += '"';
  for (size_t at = 0; at < text.size();) {
    uint32_t code = 0;
    const size_t length = artifact::DecodeUtf8(text.substr(at), code);
    if (length == 0) {
      out += "\\ufffd";
    } else if (code == '"' || code == '\\') {
      out += {'\\', static_cast<char>(code)};
    } else if (code == '\n') {
      out += "\\n";
    } else if (artifact::Disturbs(code)) {  // All of them stand in the basic plane.
      absl::StrAppendFormat(&out, "\\u%04x", code);
    } else {
      out += text.substr(at, length);
    }
    at += std::max<size_t>(length, 1);
  }
  out += cut ? "...\"" : "\"";
}

bool Plain(std::string_view text) {
  return !text.empty() && text.size() <= kStringLimit && std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c < 0x7F && c != '"' && c != '\\' && c != '=';
  });
}

void AppendNumber(double number, std::string& out) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, number);
  out.append(digits, end.ptr);
}

void AppendValue(const LogField::Value& value, bool json, std::string& out) {
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    if (!json && Plain(*text)) {
      out += *text;
    } else {
      AppendQuoted(*text, out);
    }
  } else if (const auto* yes = std::get_if<bool>(&value)) {
    out += *yes ? "true" : "false";
  } else if (const auto* number = std::get_if<double>(&value)) {
    if (std::isfinite(*number) || !json) {
      AppendNumber(*number, out);
    } else {
      out += "null";
    }
  } else if (const auto* integer = std::get_if<int64_t>(&value)) {
    absl::StrAppend(&out, *integer);
  } else {
    absl::StrAppend(&out, std::get<uint64_t>(value));
  }
}

// RFC 3339, in UTC, to the millisecond. The part that changes once a second is kept by each thread.
void AppendTime(std::string& out) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  thread_local time_t shown = -1;
  thread_local char text[24] = "";
  if (now.tv_sec != shown) {
    tm parts{};
    ::gmtime_r(&now.tv_sec, &parts);
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    shown = now.tv_sec;
  }
  out += text;
  absl::StrAppendFormat(&out, ".%03dZ", static_cast<int>(now.tv_nsec / 1'000'000));
}

std::string JsonLine(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  std::string line = "{\"time\":\"";
  AppendTime(line);
  absl::StrAppend(&line, "\",\"level\":\"", kLevels[static_cast<size_t>(level)], "\",\"message\":");
  AppendQuoted(message, line);
  for (const LogField& field : fields) {
    line += ',';
    AppendQuoted(field.name, line);
    line += ':';
    AppendValue(field.value, true, line);
  }
  line += "}\n";
  return line;
}

std::string TextLine(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  std::string line;
  AppendTime(line);
  absl::StrAppendFormat(&line, " %-7s ", kLevels[static_cast<size_t>(level)]);
  std::string quoted;
  AppendQuoted(message, quoted);
  line.append(quoted, 1, quoted.size() - 2);
  for (const LogField& field : fields) {
    line += ' ';
    line += field.name;
    line += '=';
    AppendValue(field.value, false, line);
  }
  line += '\n';
  return line;
}

LogLevel LevelOf(std::string_view code) {
  for (const char* own : {"INTERNAL", "UNKNOWN", "DATA_LOSS"}) {
    if (code == own) return LogLevel::kWarning;
  }
  for (const char* load :
       {"RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED", "UNAUTHENTICATED", "PERMISSION_DENIED"}) {
    if (code == load) return LogLevel::kInfo;
  }
  return LogLevel::kDebug;
}

}  // namespace

struct Log::State {
  explicit State(const Options& options)
      : format(options.format),
        sink(std::make_shared<DescriptorSink>(options.fd, options.last_words)),
        pool(std::make_shared<spdlog::details::thread_pool>(std::max<size_t>(options.queue_lines, 1), 1)),
        logger(std::make_shared<spdlog::async_logger>("driftseal", sink, pool,
                                                      spdlog::async_overflow_policy::overrun_oldest)) {
    logger->set_level(spdlog::level::trace);
    logger->set_error_handler([](const std::string&) {});
  }

  // Of lines lost since it was last told, at most once a second: the loss must not feed on its own news.
  uint64_t TakeNews(uint64_t lost) {
    const int64_t now = std::chrono::steady_clock::now().time_since_epoch() / std::chrono::seconds(1);
    const std::lock_guard<std::mutex> lock(mutex);
    if (lost == told || now == told_at) return 0;
    told_at = now;
    return lost - std::exchange(told, lost);
  }

  Format format;
  std::shared_ptr<DescriptorSink> sink;
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::async_logger> logger;
  std::mutex mutex;
  uint64_t told = 0;
  int64_t told_at = 0;
};

Log::Log(const Options& options) : level_(options.level), state_(std::make_unique<State>(options)) {}

Log::~Log() {
  state_->sink->Hurry();
  state_->logger.reset();
  state_->pool.reset();  // Ends when its queue is empty.
}

void Log::Write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (!Enabled(level)) return;
  const auto write = [this](LogLevel at, std::string_view what, std::initializer_list<LogField> with) {
    const std::string line = state_->format == Format::kJson ? JsonLine(at, what, with) : TextLine(at, what, with);
    state_->logger->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
  };
  write(level, message, fields);
  const uint64_t lost = dropped();
  if (lost == 0) return;
  if (const uint64_t news = state_->TakeNews(lost); news > 0) {
    write(LogLevel::kWarning, "log lines were dropped: whoever reads the log is too slow", {{"lines", news}});
  }
}

void Log::Call(const CallLog& call) {
  const LogLevel level = LevelOf(call.code);
  if (!Enabled(level)) return;
  const double milliseconds = std::round(std::chrono::duration<double, std::micro>(call.duration).count()) / 1000;
  Write(level, "call",
        {{"request_id", call.request_id},
         {"client", call.client},
         {"peer", call.peer},
         {"method", call.method},
         {"code", call.code},
         {"duration_ms", milliseconds},
         {"error", call.error}});
}

uint64_t Log::dropped() const { return state_->pool->overrun_counter(); }

std::unique_ptr<Log> SilentLog() {
  Log::Options options;
  options.level = LogLevel::kOff;
  return std::make_unique<Log>(options);
}

}  // namespace driftseal::serve
