#include "engine/screen/retrain_plan.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/artifact/text.h"

namespace driftseal::screen {
namespace {

using artifact::Cat;

constexpr size_t kQuarantineModels = 99;  // Calibration models for p <= 0.01 (docs/verdict.md).

// Not every signal has evidence.
template <class Value>
Value Evidence(const Signal& signal, const char* name, Value otherwise) {
  return signal.evidence.is_object() ? signal.evidence.value(name, std::move(otherwise)) : otherwise;
}

// The model's signals of some kinds, and what they have in common.
class Found {
 public:
  Found(const Result& result, std::initializer_list<std::string_view> kinds) {
    for (const Signal& signal : result.verdict.signals) {
      if (std::find(kinds.begin(), kinds.end(), signal.kind) != kinds.end()) signals_.push_back(&signal);
    }
  }
  explicit operator bool() const { return !signals_.empty(); }
  const std::vector<const Signal*>& all() const { return signals_; }
  const Signal& first() const { return *signals_.front(); }
  std::vector<std::string> kinds() const {
    std::vector<std::string> kinds;
    for (const Signal* signal : signals_) {
      if (std::find(kinds.begin(), kinds.end(), signal->kind) == kinds.end()) kinds.push_back(signal->kind);
    }
    return kinds;
  }
  // "model a.safetensors, predictions p.csv"
  std::string files() const {
    std::string text;
    for (const Signal* signal : signals_) {
      text += Cat(text.empty() ? "" : ", ", Evidence(*signal, "role", std::string("file")), " ",
                  Evidence(*signal, "path", std::string("?")));
    }
    return text;
  }

 private:
  std::vector<const Signal*> signals_;
};

std::string CommandOn(std::string_view command, const std::string& path, std::string_view more = "") {
  const std::string word = ShellWord(path);
  return word.empty() ? "" : Cat("driftseal ", command, " ", word, more);
}

// Whether the detector saw the file that was trained: an altered or damaged one says nothing about the training.
bool ModelFileIsDoubtful(const Result& result) {
  const Found doubts(result, {"digest-mismatch", "malformed-file", "changed-while-read", "refused-file"});
  return std::any_of(doubts.all().begin(), doubts.all().end(),
                     [](const Signal* signal) { return Evidence(*signal, "role", std::string("")) == "model"; });
}

void PlanService(const Result& result, std::vector<Step>& steps) {
  std::vector<std::string> because;
  for (const Signal& signal : result.verdict.signals) {
    const bool new_kind = std::find(because.begin(), because.end(), signal.kind) == because.end();
    if (signal.severity == Severity::kCritical && new_kind) because.push_back(signal.kind);
  }
  if (because.empty()) return;
  steps.push_back({"stop-serving",
                   "Take the model out of service and keep its files as they are for whoever looks into it; serve the "
                   "last version that passed.",
                   std::move(because), ""});
}

void PlanFiles(const Result& result, std::vector<Step>& steps) {
  if (const Found altered(result, {"digest-mismatch", "changed-while-read", "malformed-file"}); altered) {
    steps.push_back(
        {"restore-artifact",
         Cat("Fetch the files again from where the model was trained, and find out who changed them: ", altered.files(),
             ". Where the recorded digest itself is wrong (the file was replaced on purpose), record the new "
             "one with backfill_hashes --overwrite. Without a good copy the model has to be trained again."),
         altered.kinds(), ""});
  }
  if (const Found gone(result, {"missing-file"}); gone) {
    steps.push_back({"restore-artifact",
                     Cat("Put back what the meta file names, or correct the names: ", gone.files(), "."), gone.kinds(),
                     ""});
  }
  if (const Found refused(result, {"refused-file"}); refused) {
    steps.push_back({"resave-model",
                     Cat("Load the file nowhere: it runs code or leads out of its folder (", refused.first().text,
                         "). Save the weights again as safetensors, in the environment that trained them."),
                     refused.kinds(), ""});
  }
  if (const Found format(result, {"unknown-format"}); format) {
    steps.push_back({"resave-model",
                     Cat("Save the model in a format that is read without running it (safetensors, a torch state_dict, "
                         "XGBoost JSON or UBJ): ",
                         format.files(), "."),
                     format.kinds(), ""});
  }
  if (const Found large(result, {"limit-exceeded"}); large) {
    steps.push_back(
        {"inspect-file",
         Cat("Look at the file on a machine of its own: it exceeds what is read here, as a zip bomb would (",
             large.first().text, ")."),
         large.kinds(), ""});
  }
  if (const Found closed(result, {"unreadable-file"}); closed) {
    steps.push_back({"grant-access",
                     Cat("Let the verifying user read ", closed.files(), " (", closed.first().text, ")."),
                     closed.kinds(), ""});
  }
}

std::string PredictionsPath(const Result& result, const artifact::Root& root) {
  for (const fingerprint::FileEvidence& file : result.fingerprint.files) {
    if (file.role != "predictions") continue;
    const size_t slash = result.path.rfind('/');
    if (slash == std::string::npos || file.path.starts_with('/')) return file.path;
    std::string beside = Cat(result.path.substr(0, slash + 1), file.path);
    return root.OpenFile(beside).ok() ? beside : file.path;
  }
  return "";
}

void PlanPredictions(const Result& result, const artifact::Root& root, std::vector<Step>& steps) {
  const Found scan(result, {"prediction-scan"});
  if (!scan) return;
  const double share = Evidence(scan.first(), "anomalous_share", 0.0);
  if (share <= 0) return;
  // Rounded up, so that the rows that were counted are among those that are dropped.
  const double drop = std::min(0.5, std::ceil(share * 1000) / 1000);
  steps.push_back(
      {"sanitize-predictions",
       Cat("Where these predictions train or test anything further, leave out the rows that stand out (",
           scan.first().text,
           "). The scan has no calibrated bound: rare rows may be right, so read those that are dropped."),
       scan.kinds(),
       CommandOn("sanitize_predictions", PredictionsPath(result, root), absl::StrFormat(" --contamination %g", drop))});
}

// What asks for somebody to run the model or to look at how it was trained, where no score does.
void PlanBehaviour(const Result& result, std::vector<Step>& steps) {
  if (const Found outside(result, {"out-of-range"}); outside) {
    steps.push_back({"collect-more-models",
                     Cat("Train or collect trusted models of this model's recipe and fit them along, or have a person "
                         "look at this one: the detector says nothing about models so far from its own (",
                         outside.first().text, ")."),
                     outside.kinds(), ""});
  }
  if (const Found changed(result, {"behaviour-changed"}); changed) {
    steps.push_back({"restore-artifact",
                     Cat("Find out whether the model or the recorded canary was replaced, and restore it: ",
                         changed.first().text, "."),
                     changed.kinds(), ""});
  }
  const Found not_run(result, {"not-run"});
  if (!not_run || not_run.first().severity == Severity::kInfo) return;
  const bool model = not_run.first().severity == Severity::kConcern;
  steps.push_back({model ? "inspect-file" : "enable-replay",
                   model ? Cat("Run the model on a machine of its own and find out why it fails where others of its "
                               "family do not (",
                               not_run.first().text, ").")
                         : Cat("Let the model be run: ", not_run.first().text,
                               ". A file of weights alone has to be saved as a TorchScript archive."),
                   not_run.kinds(), ""});
}

std::string DriversOf(const Signal& signal) {
  std::string names;
  for (const auto& driver : Evidence(signal, "drivers", nlohmann::ordered_json::array()))
    names += Cat(names.empty() ? "" : ", ", driver.value("feature", "?"));
  return names;
}

// What an out-of-family score asks for. True: train again.
bool PlanScore(const Result& result, std::vector<Step>& steps) {
  const Found score(result, {"score"});
  if (!score || score.first().severity < Severity::kConcern) return false;
  const Signal& signal = score.first();
  const std::string drivers = DriversOf(signal);
  const bool doubtful = ModelFileIsDoubtful(result);
  steps.push_back(
      {"audit-data",
       Cat("Compare the training run with its family: data sources and labels added since the last model that "
           "passed, who could write them, and the recipe. ",
           signal.text, drivers.empty() ? "" : Cat(". Features that drove the score: ", drivers),
           ". The score says that the model is unlike its family, not why: another recipe does that, too."),
       score.kinds(), ""});
  const bool retrain = signal.severity == Severity::kCritical && !doubtful;
  std::string text;
  if (doubtful) {
    text =
        "Train again only if the restored file is out of family, too: the score is that of a file that is not the one "
        "that was recorded.";
  } else if (retrain) {
    text = "Train again from the audited data, with the recipe of the family and a new seed.";
  } else {
    text = Cat(
        "Train again if the audit finds something. Clean models are flagged at this level as often as it says (alpha ",
        Evidence(signal, "alpha", 0.05), "), so the score alone is no reason.");
  }
  steps.push_back({"retrain", std::move(text), score.kinds(), ""});
  return retrain;
}

void PlanDetector(const Result& result, std::vector<Step>& steps) {
  std::vector<std::string> because;
  if (const Found few(result, {"uncalibrated", "unseen-family"}); few) {
    const size_t have = Evidence(few.first(), "calibrated_on", size_t{0});
    const bool unseen = few.first().kind == "unseen-family";
    steps.push_back(
        {"collect-more-models",
         Cat("Train or collect trusted models of the family ", result.fingerprint.family.Key(), ": ",
             unseen ? "the detector knows none" : Cat(have, have == 1 ? " calibrates" : " calibrate", " it"),
             "; a p-value of ", absl::StrFormat("%g", 0.05),
             " needs 19 that calibrate beside those that are fitted on, a quarantine by score ", kQuarantineModels,
             ". (", few.first().text, ")"),
         few.kinds(), ""});
    because = few.kinds();
  }
  const bool trouble(Found(result, {"missing-file", "refused-file", "unknown-format", "unreadable-file",
                                    "malformed-file", "limit-exceeded", "changed-while-read"}));
  // A model that could not be scored because of its file has its step already.
  const Found without = trouble ? Found(result, {"no-detector"}) : Found(result, {"no-detector", "not-scored"});
  for (std::string& kind : without.kinds()) because.push_back(std::move(kind));
  if (because.empty()) return;
  std::string text = "Fit the detector on trusted models that include this family, in a new version";
  if (without) text += Cat(" (", without.first().text, ")");
  steps.push_back({"refit-detector", text + ". Leave this model out of them until it has passed.", std::move(because),
                   "driftseal fit FOLDER --only-eligible"});
}

// Recording digests vouches for the files as they are: only of a model that nothing speaks against.
void PlanDigests(const Result& result, std::vector<Step>& steps) {
  if (result.verdict.outcome == Outcome::kQuarantine || result.verdict.outcome == Outcome::kReview) return;
  const bool lacks = std::any_of(result.fingerprint.files.begin(), result.fingerprint.files.end(),
                                 [](const fingerprint::FileEvidence& file) { return file.actual && !file.recorded; });
  if (!lacks) return;
  const bool meta = IsMetaPath(result.path);
  steps.push_back(
      {"record-digests",
       "Record the SHA-256 of the files, if you know that they are those that were trained: until then nobody "
       "would notice that one is replaced.",
       {},
       CommandOn(meta ? "backfill_hashes" : "describe", result.path)});
}

}  // namespace

std::string ShellWord(std::string_view word) {
  if (word.empty()) return "";
  std::string quoted = word.front() == '-' ? "./" : "";
  bool plain = true;
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) return "";
    const bool usual = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("_-./@%+=:,").find(c) != std::string_view::npos;
    plain = plain && usual;
    quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return plain ? quoted : Cat("'", quoted, "'");
}

RetrainPlan PlanRetraining(const Result& result, const artifact::Root& root) {
  RetrainPlan plan;
  if (!result.error.ok()) {
    plan.steps.push_back({"repair-meta-file",
                          Cat("Correct the meta file, or where it lies; nothing else is known about the model: ",
                              result.error.message()),
                          {},
                          ""});
    return plan;
  }
  PlanService(result, plan.steps);
  PlanFiles(result, plan.steps);
  PlanPredictions(result, root, plan.steps);
  PlanBehaviour(result, plan.steps);
  plan.retrain = PlanScore(result, plan.steps);
  PlanDetector(result, plan.steps);
  PlanDigests(result, plan.steps);
  if (plan.steps.empty()) {
    plan.steps.push_back({"none", "Nothing is to be done: no signal asks for anything.", {}, ""});
  } else {
    plan.steps.push_back(
        {"verify-again", "Verify the model again when that is done.", {}, CommandOn("verify", result.path)});
  }
  return plan;
}

}  // namespace driftseal::screen
