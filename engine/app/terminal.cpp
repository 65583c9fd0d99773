#include "engine/app/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_format.h"
#include "engine/artifact/text.h"

namespace driftseal::app {
namespace {

bool ColourWanted() {
  static const char* refused = std::getenv("NO_COLOR");  // no-color.org: set, and not to nothing.
  static const bool wanted = ::isatty(STDOUT_FILENO) == 1 && (refused == nullptr || *refused == '\0');
  return wanted;
}

bool Continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// Characters, not bytes: what does not continue a UTF-8 sequence starts one.
size_t DisplayWidth(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return !Continues(c); }));
}

std::string Cut(std::string_view text, size_t width) {
  if (DisplayWidth(text) <= width) return std::string(text);
  size_t end = 0, shown = 0;
  while (end < text.size() && (shown + 1 < width || Continues(text[end]))) {
    shown += !Continues(text[end]);
    ++end;
  }
  while (end < text.size() && Continues(text[end])) ++end;
  return artifact::Cat(text.substr(0, end), "…");
}

std::string Padded(std::string_view text, size_t width) {
  const size_t have = DisplayWidth(text);
  return artifact::Cat(text, std::string(have < width ? width - have : 0, ' '));
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    uint32_t code = 0;
    const size_t length = artifact::DecodeUtf8(text.substr(at), code);
    out += length == 0 || artifact::Disturbs(code) ? std::string_view("?") : text.substr(at, length);
    at += std::max<size_t>(length, 1);
  }
  return out;
}

std::string Paint(Colour colour, std::string_view text) {
  static constexpr std::string_view kCodes[] = {"", "32", "33", "31", "34", "2", "1"};
  const std::string clean = Printable(text);
  if (colour == Colour::kNone || !ColourWanted()) return clean;
  return artifact::Cat("\x1b[", kCodes[static_cast<size_t>(colour)], "m", clean, "\x1b[0m");
}

Colour ColourOf(std::string_view word) {
  if (word == "pass" || word == "ok") return Colour::kGreen;
  if (word == "review" || word == "concern") return Colour::kYellow;
  if (word == "quarantine" || word == "critical" || word == "error" || word == "failed") return Colour::kRed;
  if (word == "inconclusive" || word == "unknown") return Colour::kBlue;
  return Colour::kDim;
}

size_t TerminalWidth() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40) return size.ws_col;
  return 120;
}

void Table::Print(size_t painted) const {
  std::vector<size_t> widths;
  for (const std::string& name : header_) widths.push_back(DisplayWidth(name));
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], DisplayWidth(row[i]));
  }
  size_t left = 0;
  for (size_t i = 0; i + 1 < widths.size(); ++i) left += widths[i] + 2;
  // In a pipe nothing is cut: a program or a pager may want the whole of it.
  const bool cut = ::isatty(STDOUT_FILENO) == 1;
  const size_t last = cut ? std::max<size_t>(20, TerminalWidth() > left ? TerminalWidth() - left : 0) : SIZE_MAX;
  const auto print_row = [&](const std::vector<std::string>& row, bool head) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const bool final = i + 1 == row.size();
      const std::string cell = Printable(row[i]);
      const std::string text = final ? Cut(cell, last) : Padded(cell, widths[i]);
      const Colour colour = head ? Colour::kBold : i == painted ? ColourOf(row[i]) : Colour::kNone;
      line += artifact::Cat(Paint(colour, text), final ? "\n" : "  ");
    }
    std::fputs(line.c_str(), stdout);
  };
  print_row(header_, true);
  for (const auto& row : rows_) print_row(row, false);
}

std::string Duration(double seconds) {
  if (seconds < 60) return absl::StrFormat("%.1f s", seconds);
  const auto whole = static_cast<long>(std::lround(seconds));
  if (whole < 3600) return absl::StrFormat("%d min %d s", whole / 60, whole % 60);
  return absl::StrFormat("%d h %d min", whole / 3600, whole % 3600 / 60);
}

Progress::Progress(std::string what, size_t total, size_t done)
    : what_(std::move(what)),
      total_(total),
      done_(done),
      first_(done),
      shown_(::isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()),
      drawn_(start_) {}

Progress::~Progress() {
  if (shown_) std::fputs("\r\x1b[K", stderr);
}

void Progress::Advance() {
  ++done_;
  if (!shown_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - drawn_ < std::chrono::milliseconds(100)) return;
  drawn_ = now;
  Draw(now);
}

void Progress::Draw(std::chrono::steady_clock::time_point now) {
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double rate = static_cast<double>(done_ - first_) / std::max(seconds, 1e-9);
  const size_t filled = total_ == 0 ? 0 : 30 * done_ / total_;
  std::string bar;
  for (size_t i = 0; i < 30; ++i) bar += i < filled ? "━" : "─";
  const std::string left = rate > 0 ? Duration(static_cast<double>(total_ - done_) / rate) : "?";
  std::fputs(absl::StrFormat("\r\x1b[K%s %s %d/%d  %.0f/s  %s left", what_, bar, done_, total_, rate, left).c_str(),
             stderr);
  std::fflush(stderr);
}

}  // namespace driftseal::app
