#ifndef DRIFTSEAL_ENGINE_APP_TERMINAL_H_
#define DRIFTSEAL_ENGINE_APP_TERMINAL_H_

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

// What a person sees: colour on a terminal and none in a pipe, a table, a progress bar on standard error.
namespace driftseal::app {

enum class Colour { kNone, kGreen, kYellow, kRed, kBlue, kDim, kBold };
/// `text`, made Printable (it may be the name of a hostile file), in `colour` when standard output is a terminal and
/// NO_COLOR is not set.
std::string Paint(Colour colour, std::string_view text);
/// The colour of a verdict's or a severity's name.
Colour ColourOf(std::string_view word);
/// Without control characters (C0, C1, DEL), without those that reorder text, and as valid UTF-8, so that a file's name
/// cannot move the cursor or pose as another: each is shown as '?'.
std::string Printable(std::string_view text);
/// Columns of the terminal, 120 where there is none.
size_t TerminalWidth();

/// Left-aligned columns; the last one takes what is left of the line and is cut with "…".
class Table {
 public:
  explicit Table(std::vector<std::string> header) : header_(std::move(header)) {}
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  /// `painted` is the column whose cells are coloured by ColourOf.
  void Print(size_t painted) const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

/// A bar with rate and time left, redrawn at most ten times a second; nothing where standard error is no terminal.
class Progress {
 public:
  Progress(std::string what, size_t total, size_t done);
  ~Progress();
  void Advance();

 private:
  void Draw(std::chrono::steady_clock::time_point now);
  std::string what_;
  size_t total_, done_, first_;
  bool shown_;
  std::chrono::steady_clock::time_point start_, drawn_;
};

/// "3.2 s", "4 min 10 s", "1 h 5 min".
std::string Duration(double seconds);

}  // namespace driftseal::app

#endif  // DRIFTSEAL_ENGINE_APP_TERMINAL_H_
