#ifndef DRIFTSEAL_ENGINE_SERVE_MONITOR_FAMILY_H_
#define DRIFTSEAL_ENGINE_SERVE_MONITOR_FAMILY_H_

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "engine/screen/screen.h"
#include "engine/serve/monitor.h"
#include "nlohmann/json.hpp"

namespace driftseal::serve {

/// What the models of one family came to with one detector.
class FamilyMonitor {
 public:
  /// `now`: seconds since 1970.
  void Note(const screen::Result& result, double alpha, int64_t now);
  int64_t last_seen() const { return last_seen_; }
  nlohmann::ordered_json ToJson(double alpha) const;
  /// What ToJson wrote; throws nlohmann::json::exception or std::exception for anything else.
  static FamilyMonitor FromJson(const nlohmann::ordered_json& json);
  /// Forgets who was flagged: another level counts now.
  void ForgetFlags();

 private:
  void NoteFlag(bool flagged);
  uint64_t models_ = 0;
  std::map<std::string, uint64_t> verdicts_;
  uint64_t scored_ = 0;
  double mean_ = 0, min_ = 0, max_ = 0;
  // Models with a p-value, and those of them with p <= alpha: of all, and the last ones in a ring.
  uint64_t judged_ = 0, flagged_ = 0;
  std::bitset<Monitor::kRecent> recent_;
  size_t recent_size_ = 0, recent_next_ = 0;
  size_t calibrated_on_ = 0;
  int64_t first_seen_ = 0, last_seen_ = 0;
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_MONITOR_FAMILY_H_
