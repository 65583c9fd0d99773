#include "engine/serve/monitor_family.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <stdexcept>

#include "engine/screen/report.h"

namespace driftseal::serve {
namespace {

using nlohmann::ordered_json;

// What may go wrong by chance: half of it for the draw of the calibration models, half for that of the models seen.
constexpr double kRisk = 0.001;

double KullbackLeibler(double a, double p) {
  const double ones = a > 0 ? a * std::log(a / p) : 0;
  const double zeros = a < 1 ? (1 - a) * std::log((1 - a) / (1 - p)) : 0;
  return ones + zeros;
}

constexpr const char* kVerdicts[] = {"pass", "review", "quarantine", "inconclusive", "error", "skipped"};

std::string Time(int64_t seconds) {
  const std::time_t time = seconds;
  std::tm utc{};
  gmtime_r(&time, &utc);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc)};
}

int64_t ParseTime(const std::string& text) {
  std::tm utc{};
  const char* end = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  if (end == nullptr || *end != '\0') throw std::runtime_error("no time: " + text);
  return timegm(&utc);
}

ordered_json Share(uint64_t flagged, uint64_t judged, double explained) {
  return {{"judged", judged},
          {"flagged", flagged},
          {"share", judged == 0 ? 0 : static_cast<double>(flagged) / static_cast<double>(judged)},
          {"tail_bound", BinomialTailBound(flagged, judged, explained)}};
}

}  // namespace

double BinomialTailBound(uint64_t k, uint64_t n, double p) {
  if (n == 0 || p >= 1) return 1;
  const double share = static_cast<double>(k) / static_cast<double>(n);
  if (share <= p) return 1;
  if (p <= 0) return 0;
  return std::exp(-static_cast<double>(n) * KullbackLeibler(share, p));
}

double ExplainedShare(double alpha, size_t n, double delta) {
  const double count = static_cast<double>(n);
  const double l = std::floor(alpha * (count + 1) + 1e-9);
  if (n == 0 || l < 1) return 0;  // No p-value can be that small.
  const double least = (l - 1) / count;
  double low = std::max(alpha, least), high = 1;
  if (std::exp(-count * KullbackLeibler(least, low)) <= delta) return low;
  for (int step = 0; step < 60; ++step) {
    const double middle = (low + high) / 2;
    (std::exp(-count * KullbackLeibler(least, middle)) > delta ? low : high) = middle;
  }
  return high;
}

void FamilyMonitor::NoteFlag(bool flagged) {
  ++judged_;
  flagged_ += flagged;
  recent_[recent_next_] = flagged;
  recent_next_ = (recent_next_ + 1) % Monitor::kRecent;
  recent_size_ = std::min(recent_size_ + 1, Monitor::kRecent);
}

void FamilyMonitor::ForgetFlags() {
  judged_ = flagged_ = recent_size_ = recent_next_ = 0;
  recent_.reset();
}

void FamilyMonitor::Note(const screen::Result& result, double alpha, int64_t now) {
  if (models_++ == 0) first_seen_ = now;
  last_seen_ = now;
  const std::string verdict = !result.error.ok() ? "error"
                              : result.skipped   ? "skipped"
                                                 : std::string(screen::OutcomeName(result.verdict.outcome));
  ++verdicts_[verdict];
  if (!result.score) return;
  const detector::Score& score = *result.score;
  if (std::isfinite(score.combined)) {
    min_ = scored_ == 0 ? score.combined : std::min(min_, score.combined);
    max_ = scored_ == 0 ? score.combined : std::max(max_, score.combined);
    mean_ += (score.combined - mean_) / static_cast<double>(++scored_);
  }
  // As for a verdict: too few calibration models for the level flag nobody, and say nothing.
  if (!score.p_value || 1.0 / (static_cast<double>(score.calibrated_on) + 1) > alpha) return;
  calibrated_on_ = score.calibrated_on;
  NoteFlag(*score.p_value <= alpha);
}

ordered_json FamilyMonitor::ToJson(double alpha) const {
  ordered_json json = {{"models", models_}};
  for (const char* verdict : kVerdicts) {
    const auto count = verdicts_.find(verdict);
    json["verdicts"][verdict] = count == verdicts_.end() ? 0 : count->second;
  }
  if (scored_ > 0) json["score"] = {{"count", scored_}, {"mean", mean_}, {"min", min_}, {"max", max_}};
  const double explained = ExplainedShare(alpha, calibrated_on_, kRisk / 2);
  std::string flags;
  for (size_t i = 0; i < recent_size_; ++i) {
    const size_t at = (recent_next_ + Monitor::kRecent - recent_size_ + i) % Monitor::kRecent;
    flags += recent_[at] ? '1' : '0';
  }
  const auto recent = static_cast<uint64_t>(std::count(flags.begin(), flags.end(), '1'));
  ordered_json all = Share(flagged_, judged_, explained), last = Share(recent, recent_size_, explained);
  const bool alarm =
      judged_ > 0 && std::min(all["tail_bound"].get<double>(), last["tail_bound"].get<double>()) <= kRisk / 2;
  json["flagged"] = {{"alpha", alpha},
                     {"calibrated_on", calibrated_on_},
                     {"explained_share", explained},
                     {"all", std::move(all)},
                     {"recent", std::move(last)},
                     {"more_than_explained", alarm},
                     {"recent_flags", std::move(flags)}};
  json["first_seen"] = Time(first_seen_);
  json["last_seen"] = Time(last_seen_);
  return json;
}

FamilyMonitor FamilyMonitor::FromJson(const ordered_json& json) {
  FamilyMonitor family;
  family.models_ = json.at("models").get<uint64_t>();
  for (const char* verdict : kVerdicts) family.verdicts_[verdict] = json.at("verdicts").at(verdict).get<uint64_t>();
  if (const auto score = json.find("score"); score != json.end()) {
    family.scored_ = score->at("count").get<uint64_t>();
    family.mean_ = score->at("mean").get<double>();
    family.min_ = score->at("min").get<double>();
    family.max_ = score->at("max").get<double>();
  }
  const ordered_json& flagged = json.at("flagged");
  const auto flags = flagged.at("recent_flags").get<std::string>();
  if (flags.size() > Monitor::kRecent) throw std::runtime_error("too many recent flags");
  for (const char flag : flags) family.NoteFlag(flag == '1');
  family.calibrated_on_ = flagged.at("calibrated_on").get<size_t>();
  family.judged_ = flagged.at("all").at("judged").get<uint64_t>();
  family.flagged_ = flagged.at("all").at("flagged").get<uint64_t>();
  family.first_seen_ = ParseTime(json.at("first_seen").get<std::string>());
  family.last_seen_ = ParseTime(json.at("last_seen").get<std::string>());
  return family;
}

}  // namespace driftseal::serve
