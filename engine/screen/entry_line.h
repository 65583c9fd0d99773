#ifndef DRIFTSEAL_ENGINE_SCREEN_ENTRY_LINE_H_
#define DRIFTSEAL_ENGINE_SCREEN_ENTRY_LINE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

// Entries of a report as the lines of JSON that they are in the journal. At the end of a run every line passes here
// once more, on one thread, so it is scanned and not rebuilt.
namespace driftseal::screen {

class EntryLines {
 public:
  EntryLines();
  ~EntryLines();
  /// "score"."p_value"; NaN where the entry has no score or the score no p-value. DataLoss when the line is no entry.
  absl::StatusOr<double> PValue(std::string& line);
  /// Puts "q_value" at the end of "score". DataLoss when there is no score.
  absl::Status AddQValue(double q, std::string& line);

 private:
  struct Parser;  // Reuses its memory from line to line.
  std::unique_ptr<Parser> parser_;
};

}  // namespace driftseal::screen

#endif  // DRIFTSEAL_ENGINE_SCREEN_ENTRY_LINE_H_
