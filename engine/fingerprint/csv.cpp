#include <simdjson.h>

#include <charconv>
#include <cmath>
#include <deque>
#include <limits>

#include "engine/artifact/text.h"
#include "engine/fingerprint/predictions.h"

namespace driftseal::fingerprint {
namespace {

using artifact::Cat;
constexpr double kMissingCell = std::numeric_limits<double>::quiet_NaN();
// Memory that a table may take: a cell costs more in memory than the two bytes it may take in the file.
constexpr uint64_t kTableBytesLimit = 192u << 20;

// Splits a text into rows of cells. A quoted cell with doubled quotes is unescaped into memory that lives until the
// next row is asked for.
class RowReader {
 public:
  RowReader(std::string_view text, std::string_view file_name) : text_(text), file_name_(file_name) {}

  // Line of the row read last, from 1 (of its first line where a quoted cell holds line breaks).
  size_t line() const { return row_line_; }
  // False at the end. Lines without a single character are passed over.
  absl::StatusOr<bool> Next(std::vector<std::string_view>& cells, size_t column_limit) {
    cells.clear();
    unescaped_.clear();
    while (at_ < text_.size() && LineBreak()) ++line_;
    if (at_ >= text_.size()) return false;
    row_line_ = line_;
    while (true) {
      if (cells.size() == column_limit) {
        return Error(cells.size(), Cat("expected at most ", column_limit, " columns, found more"));
      }
      const absl::Status cell =
          text_[at_ < text_.size() ? at_ : 0] == '"' && at_ < text_.size() ? Quoted(cells) : Plain(cells);
      if (!cell.ok()) return cell;
      if (at_ >= text_.size()) return true;
      if (text_[at_] == ',') {
        ++at_;
        continue;
      }
      if (!LineBreak()) return Error(cells.size() - 1, "expected CRLF or LF at the end of the line, found a lone CR");
      ++line_;
      return true;
    }
  }
  absl::Status Error(size_t column, std::string_view what) const {
    return absl::InvalidArgumentError(Cat(file_name_, ": line ", line_, ", column ", column + 1, ": ", what));
  }

 private:
  // Steps over CRLF or LF when one stands here.
  bool LineBreak() {
    const size_t length = text_.substr(at_, 2) == "\r\n" ? 2 : text_[at_] == '\n' ? 1 : 0;
    at_ += length;
    return length > 0;
  }
  absl::Status Plain(std::vector<std::string_view>& cells) {
    const size_t begin = at_;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == ',' || c == '\n' || c == '\r') break;
      if (c == '"') return Error(cells.size(), "expected quotes only around a whole cell, found one inside");
      ++at_;
    }
    cells.push_back(text_.substr(begin, at_ - begin));
    return absl::OkStatus();
  }
  absl::Status Quoted(std::vector<std::string_view>& cells) {
    const size_t begin = ++at_;
    bool escapes = false;
    size_t breaks = 0;
    for (;; ++at_) {
      if (at_ >= text_.size()) return Error(cells.size(), "expected a closing quote, found the end of the file");
      if (text_[at_] == '\n') ++breaks;
      if (text_[at_] != '"') continue;
      if (at_ + 1 >= text_.size() || text_[at_ + 1] != '"') break;
      escapes = true;
      ++at_;
    }
    std::string_view cell = text_.substr(begin, at_ - begin);
    ++at_;
    if (at_ < text_.size() && text_[at_] != ',' && text_[at_] != '\n' && text_[at_] != '\r') {
      return Error(cells.size(), "expected a comma or the end of the line after the closing quote");
    }
    line_ += breaks;
    if (escapes) cell = unescaped_.emplace_back(Unescape(cell));
    cells.push_back(cell);
    return absl::OkStatus();
  }
  static std::string Unescape(std::string_view cell) {
    std::string out;
    out.reserve(cell.size());
    for (size_t i = 0; i < cell.size(); ++i) {
      out += cell[i];
      if (cell[i] == '"') ++i;
    }
    return out;
  }

  std::string_view text_, file_name_;
  size_t at_ = 0, line_ = 1, row_line_ = 1;
  std::deque<std::string> unescaped_;
};

// Numbers are taken as std::from_chars reads them, with blanks and a plus sign around; an empty cell and "nan" are NaN.
bool ParseNumber(std::string_view cell, double& out) {
  while (!cell.empty() && (cell.front() == ' ' || cell.front() == '\t')) cell.remove_prefix(1);
  while (!cell.empty() && (cell.back() == ' ' || cell.back() == '\t')) cell.remove_suffix(1);
  out = kMissingCell;
  if (cell.empty()) return true;
  if (cell.front() == '+' && cell.size() > 1 && cell[1] != '-') cell.remove_prefix(1);
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), out);
  if (end != cell.data() + cell.size()) return false;
  if (error == std::errc::result_out_of_range) {
    // Too small is as good as 0; too large is reported as the infinity it would round to.
    out = cell.find("e-") != cell.npos || cell.find("E-") != cell.npos ? 0 : std::numeric_limits<double>::infinity();
    return true;
  }
  return error == std::errc();
}

struct ColumnState {
  size_t texts_from = 0;     // Row whose cell showed that the column is not numeric.
  size_t infinite_line = 0;  // First line with an infinity.
};

class TableBuilder {
 public:
  TableBuilder(std::string_view text, std::string_view file_name) : text_(text), file_name_(file_name) {}

  absl::StatusOr<CsvTable> Build() {
    RowReader reader(text_, file_name_);
    std::vector<std::string_view> cells;
    const auto header = reader.Next(cells, kCsvColumnLimit);
    if (!header.ok()) return header.status();
    if (!*header) return absl::InvalidArgumentError(Cat(file_name_, ": expected a header row, found an empty file"));
    for (const std::string_view name : cells) table_.columns.push_back({std::string(name), true, {}, {}});
    state_.resize(cells.size());
    while (true) {
      // One column more than the header is enough to see that a row is too long.
      const auto more = reader.Next(cells, kCsvColumnLimit + 1);
      if (!more.ok()) return more.status();
      if (!*more) break;
      if (const absl::Status row = AddRow(reader, cells); !row.ok()) return row;
    }
    if (const absl::Status texts = FillEarlierTexts(); !texts.ok()) return texts;
    for (size_t c = 0; c < state_.size(); ++c) {
      if (table_.columns[c].numeric && state_[c].infinite_line > 0) {
        return absl::InvalidArgumentError(Cat(file_name_, ": line ", state_[c].infinite_line, ", column ", c + 1, " (",
                                              table_.columns[c].name,
                                              "): expected a finite number, found an infinity"));
      }
    }
    return std::move(table_);
  }

 private:
  absl::Status AddRow(const RowReader& reader, const std::vector<std::string_view>& cells) {
    if (cells.size() != table_.columns.size()) {
      return absl::InvalidArgumentError(Cat(file_name_, ": line ", reader.line(), ": expected ", table_.columns.size(),
                                            " cells as in the header, found ",
                                            cells.size() > kCsvColumnLimit ? "more than " : "", cells.size()));
    }
    for (size_t c = 0; c < cells.size(); ++c) {
      CsvTable::Column& column = table_.columns[c];
      double number = 0;
      if (column.numeric && ParseNumber(cells[c], number)) {
        if (std::isinf(number) && state_[c].infinite_line == 0) state_[c].infinite_line = reader.line();
        column.numbers.push_back(number);
        bytes_ += sizeof(double);
        continue;
      }
      if (column.numeric) {
        column.numeric = false;
        column.numbers = {};
        state_[c].texts_from = table_.rows;
        column.texts.resize(table_.rows);
        bytes_ += table_.rows * sizeof(std::string);
      }
      column.texts.emplace_back(cells[c]);
      bytes_ += sizeof(std::string) + (cells[c].size() > 15 ? cells[c].size() : 0);
    }
    ++table_.rows;
    if (bytes_ <= kTableBytesLimit) return absl::OkStatus();
    return absl::InvalidArgumentError(Cat(file_name_, ": line ", reader.line(),
                                          ": expected a table that takes at most ", kTableBytesLimit,
                                          " bytes in memory, found a larger one"));
  }

  // A column that began with numbers and turned out to be text has its first cells read again.
  absl::Status FillEarlierTexts() {
    size_t rows = 0;
    for (const ColumnState& state : state_) rows = std::max(rows, state.texts_from);
    if (rows == 0) return absl::OkStatus();
    RowReader reader(text_, file_name_);
    std::vector<std::string_view> cells;
    if (const auto header = reader.Next(cells, kCsvColumnLimit); !header.ok()) return header.status();
    for (size_t r = 0; r < rows; ++r) {
      if (const auto row = reader.Next(cells, kCsvColumnLimit); !row.ok()) return row.status();
      for (size_t c = 0; c < cells.size(); ++c) {
        if (r < state_[c].texts_from) table_.columns[c].texts[r] = cells[c];
      }
    }
    return absl::OkStatus();
  }

  std::string_view text_, file_name_;
  CsvTable table_;
  std::vector<ColumnState> state_;
  uint64_t bytes_ = 0;
};

}  // namespace

absl::StatusOr<CsvTable> ParseCsv(std::string_view text, std::string_view file_name) {
  const auto error = [&](std::string_view what) { return absl::InvalidArgumentError(Cat(file_name, ": ", what)); };
  if (text.size() > kCsvLimitBytes) {
    return error(Cat("expected at most ", kCsvLimitBytes, " bytes of CSV, found ", text.size()));
  }
  if (!simdjson::validate_utf8(text.data(), text.size())) return error("expected UTF-8, found other bytes");
  if (const size_t nul = text.find('\0'); nul != text.npos) {
    return error(Cat("expected text, found a NUL character at byte ", nul));
  }
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // Spreadsheets write one.
  return TableBuilder(text, file_name).Build();
}

absl::StatusOr<CsvTable> ReadCsv(const artifact::Source& source) {
  if (source.size() > kCsvLimitBytes) {
    return absl::InvalidArgumentError(
        Cat(source.name(), ": expected at most ", kCsvLimitBytes, " bytes of CSV, found ", source.size()));
  }
  std::vector<std::byte> scratch;
  const auto bytes = source.ReadAll(kCsvLimitBytes, scratch);
  if (!bytes.ok()) return bytes.status();
  auto table = ParseCsv({reinterpret_cast<const char*>(bytes->data()), bytes->size()}, source.name());
  if (const absl::Status unchanged = source.CheckUnchanged(); !unchanged.ok()) return unchanged;
  return table;
}

}  // namespace driftseal::fingerprint
