#ifndef DRIFTSEAL_ENGINE_STORE_JOURNAL_H_
#define DRIFTSEAL_ENGINE_STORE_JOURNAL_H_

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// What a long run has finished so far, so that a killed run goes on where it stopped: one line an entry, appended,
// behind a header line that says which run it belongs to.
namespace driftseal::store {

class Journal {
 public:
  /// Opens or creates. Entries of a file whose first line is another header are dropped, and so is a last line that the
  /// crash cut off.
  static absl::StatusOr<Journal> Open(const std::string& path, std::string_view header);
  Journal(Journal&& other) noexcept;
  Journal& operator=(Journal&&) = delete;
  ~Journal();

  size_t entries() const { return entries_; }  ///< Intact entries when opened, and those appended since.
  /// `line` without its end; must not hold a line break. Reaches the disk with the next Sync.
  absl::Status Append(std::string_view line);
  absl::Status Sync();
  /// Drops all entries after the first `keep`.
  absl::Status Truncate(size_t keep);
  /// Removes the file: the run is over.
  absl::Status Remove();

  /// Reads the entries in order.
  class Reader {
   public:
    std::optional<std::string> Next();

   private:
    friend class Journal;
    std::ifstream in_;
    size_t left_ = 0;
  };
  absl::StatusOr<Reader> Read();

 private:
  Journal(std::FILE* file, std::string path, size_t entries) : file_(file), path_(std::move(path)), entries_(entries) {}
  std::FILE* file_ = nullptr;
  std::string path_;
  size_t entries_ = 0;
};

}  // namespace driftseal::store

#endif  // DRIFTSEAL_ENGINE_STORE_JOURNAL_H_
