#include "engine/screen/verdict.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"

namespace driftseal::screen {
namespace {

using fingerprint::FileEvidence;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

artifact::Digest DigestOf(uint8_t byte) {
  artifact::Digest digest;
  digest.bytes.fill(byte);
  return digest;
}

fingerprint::Fingerprint WithFiles(std::vector<FileEvidence> files) {
  fingerprint::Fingerprint fingerprint;
  fingerprint.files = std::move(files);
  return fingerprint;
}

FileEvidence Model(absl::Status status) {
  return {"model", "a.safetensors", std::nullopt, std::nullopt, std::move(status)};
}

TEST(IntegritySignals, NothingRecordedAndNothingWrongIsNothingToSay) {
  EXPECT_TRUE(IntegritySignals(WithFiles({})).empty());
  FileEvidence file = Model(absl::OkStatus());
  file.actual = DigestOf(1);
  EXPECT_TRUE(IntegritySignals(WithFiles({file})).empty());
}

TEST(IntegritySignals, MatchesAreCounted) {
  FileEvidence model = Model(absl::OkStatus()), predictions = model, other = model;
  model.recorded = model.actual = DigestOf(1);
  predictions.recorded = predictions.actual = DigestOf(2);
  other.actual = DigestOf(3);
  const std::vector<Signal> signals = IntegritySignals(WithFiles({model, predictions, other}));
  ASSERT_EQ(signals.size(), 1u);
  EXPECT_EQ(signals[0].kind, "digest-match");
  EXPECT_EQ(signals[0].severity, Severity::kInfo);
  EXPECT_EQ(signals[0].evidence["files"], 2);
  EXPECT_THAT(signals[0].text, HasSubstr("2 files have"));
}

TEST(IntegritySignals, AnotherDigestIsCriticalWithBothDigests) {
  FileEvidence file{"predictions", "p.csv", DigestOf(0xab), DigestOf(0xcd), absl::OkStatus()};
  const std::vector<Signal> signals = IntegritySignals(WithFiles({file}));
  ASSERT_EQ(signals.size(), 1u);
  EXPECT_EQ(signals[0].kind, "digest-mismatch");
  EXPECT_EQ(signals[0].severity, Severity::kCritical);
  EXPECT_EQ(signals[0].evidence["role"], "predictions");
  EXPECT_EQ(signals[0].evidence["path"], "p.csv");
  EXPECT_EQ(signals[0].evidence["recorded_sha256"], DigestOf(0xab).Hex());
  EXPECT_EQ(signals[0].evidence["actual_sha256"], DigestOf(0xcd).Hex());
  EXPECT_THAT(signals[0].text, HasSubstr("p.csv"));
}

// A swapped file that is malformed as well says both.
TEST(IntegritySignals, AMismatchDoesNotHideWhatElseIsWrong) {
  FileEvidence file = Model(absl::InvalidArgumentError("a.safetensors: torn"));
  file.recorded = DigestOf(1);
  file.actual = DigestOf(2);
  const std::vector<Signal> signals = IntegritySignals(WithFiles({file}));
  ASSERT_EQ(signals.size(), 2u);
  EXPECT_EQ(signals[0].kind, "digest-mismatch");
  EXPECT_EQ(signals[1].kind, "malformed-file");
}

struct Trouble {
  absl::Status status;
  bool recorded, hashed;
  std::string kind;
  Severity severity;
};

class TroubleTest : public ::testing::TestWithParam<Trouble> {};

TEST_P(TroubleTest, TheReadersStatusDecidesKindAndSeverity) {
  const Trouble& trouble = GetParam();
  FileEvidence file = Model(trouble.status);
  if (trouble.recorded) file.recorded = DigestOf(1);
  if (trouble.hashed) file.actual = DigestOf(1);
  const std::vector<Signal> signals = IntegritySignals(WithFiles({file}));
  ASSERT_FALSE(signals.empty());
  EXPECT_EQ(signals[0].kind, trouble.kind);
  EXPECT_EQ(signals[0].severity, trouble.severity);
  EXPECT_EQ(signals[0].text, trouble.status.message());
  EXPECT_EQ(signals[0].evidence["code"], absl::StatusCodeToString(trouble.status.code()));
  EXPECT_EQ(signals[0].evidence["path"], "a.safetensors");
}

INSTANTIATE_TEST_SUITE_P(
    AllCodes, TroubleTest,
    ::testing::Values(
        Trouble{absl::PermissionDeniedError("asks for os.system"), false, true, "refused-file", Severity::kCritical},
        Trouble{absl::PermissionDeniedError("../x: leads out of the root models"), false, false, "refused-file",
                Severity::kCritical},
        // Not the file's doing but that of its permissions: nothing is known about it.
        Trouble{absl::PermissionDeniedError("a: cannot be opened: Permission denied"), false, false, "unreadable-file",
                Severity::kUnknown},
        Trouble{absl::InvalidArgumentError("torn"), false, true, "malformed-file", Severity::kConcern},
        Trouble{absl::OutOfRangeError("short"), false, true, "malformed-file", Severity::kConcern},
        Trouble{absl::ResourceExhaustedError("too many tensors"), false, true, "limit-exceeded", Severity::kConcern},
        Trouble{absl::AbortedError("changed"), false, false, "changed-while-read", Severity::kConcern},
        Trouble{absl::NotFoundError("gone"), true, false, "missing-file", Severity::kConcern},
        Trouble{absl::NotFoundError("gone"), false, false, "missing-file", Severity::kUnknown},
        Trouble{absl::UnimplementedError("ONNX"), false, true, "unknown-format", Severity::kUnknown},
        Trouble{absl::InternalError("I/O error"), false, false, "unreadable-file", Severity::kUnknown},
        Trouble{absl::FailedPreconditionError("a folder"), false, false, "unreadable-file", Severity::kUnknown}));

Signal Of(Severity severity, std::string kind = "x") { return {std::move(kind), severity, "", {}}; }

TEST(Decide, TheWorstSeverityDecides) {
  EXPECT_EQ(Decide({}).outcome, Outcome::kPass);
  EXPECT_EQ(Decide({Of(Severity::kInfo)}).outcome, Outcome::kPass);
  EXPECT_EQ(Decide({Of(Severity::kInfo), Of(Severity::kUnknown)}).outcome, Outcome::kInconclusive);
  EXPECT_EQ(Decide({Of(Severity::kUnknown), Of(Severity::kConcern)}).outcome, Outcome::kReview);
  EXPECT_EQ(Decide({Of(Severity::kUnknown), Of(Severity::kCritical), Of(Severity::kConcern)}).outcome,
            Outcome::kQuarantine);
}

TEST(Decide, SignalsComeWorstFirstAndOtherwiseInTheirOrder) {
  const Verdict verdict = Decide({Of(Severity::kInfo, "a"), Of(Severity::kConcern, "b"), Of(Severity::kInfo, "c"),
                                  Of(Severity::kCritical, "d"), Of(Severity::kConcern, "e")});
  std::vector<std::string> kinds;
  for (const Signal& signal : verdict.signals) kinds.push_back(signal.kind);
  EXPECT_THAT(kinds, ElementsAre("d", "b", "e", "a", "c"));
}

const detector::SchemaId kSchema{"test", 1, "0", {"width", "depth"}};

detector::Score ScoreOf(double p, size_t calibrated_on) {
  detector::Score score;
  score.combined = 1.5;
  score.p_value = p;
  score.calibrated_on = calibrated_on;
  score.fitted_on = 40;
  score.drivers = {{1, 3.0, 1.0, 12.0, 0.75}, {0, 2.0, 2.5, -4.0, 0.2}};
  return score;
}

TEST(ScoreSignal, TheLevelsDecideAndBelongToTheFlaggedSide) {
  const Policy policy;
  const auto severity = [&](double p) { return ScoreSignal(ScoreOf(p, 199), kSchema, policy).severity; };
  EXPECT_EQ(severity(1), Severity::kInfo);
  EXPECT_EQ(severity(std::nextafter(0.05, 1)), Severity::kInfo);
  EXPECT_EQ(severity(0.05), Severity::kConcern);
  EXPECT_EQ(severity(std::nextafter(0.01, 1)), Severity::kConcern);
  EXPECT_EQ(severity(0.01), Severity::kCritical);
  EXPECT_EQ(severity(0.005), Severity::kCritical);
  EXPECT_EQ(ScoreSignal(ScoreOf(0.2, 199), kSchema, {.alpha = 0.25, .quarantine_alpha = 0.2}).severity,
            Severity::kCritical);
}

// (1 + k) / (n + 1), as the detector computes it, meets the level it is equal to.
TEST(ScoreSignal, APValueEqualToTheLevelAsAFractionIsFlagged) {
  EXPECT_EQ(ScoreSignal(ScoreOf(3.0 / 60, 59), kSchema, {}).severity, Severity::kConcern);
  EXPECT_EQ(ScoreSignal(ScoreOf(4.0 / 60, 59), kSchema, {}).severity, Severity::kInfo);
  EXPECT_EQ(ScoreSignal(ScoreOf(3.0 / 300, 299), kSchema, {}).severity, Severity::kCritical);
}

TEST(ScoreSignal, TheEvidenceNamesFeaturesDistanceAndNumbers) {
  const Signal signal = ScoreSignal(ScoreOf(0.02, 99), kSchema, {});
  EXPECT_EQ(signal.kind, "score");
  EXPECT_EQ(signal.evidence["p_value"], 0.02);
  EXPECT_EQ(signal.evidence["alpha"], 0.05);
  EXPECT_EQ(signal.evidence["calibrated_on"], 99);
  EXPECT_EQ(signal.evidence["fitted_on"], 40);
  ASSERT_EQ(signal.evidence["drivers"].size(), 2u);
  EXPECT_EQ(signal.evidence["drivers"][0]["feature"], "depth");
  EXPECT_EQ(signal.evidence["drivers"][0]["robust_z"], 12.0);
  EXPECT_EQ(signal.evidence["drivers"][1]["feature"], "width");
  EXPECT_THAT(signal.text, HasSubstr("out of family"));
  EXPECT_THAT(signal.text, HasSubstr("99 models of its family"));
  EXPECT_THAT(signal.text, HasSubstr("depth = 3, 12.0 robust deviations above the median 1"));
}

TEST(ScoreSignal, ASmallFamilyIsSaidToBeComparedWithAll) {
  detector::Score score = ScoreOf(0.5, 99);
  score.basis = detector::Basis::kGlobal;
  const Signal signal = ScoreSignal(score, kSchema, {});
  EXPECT_EQ(signal.severity, Severity::kInfo);
  EXPECT_THAT(signal.text, HasSubstr("99 models of all families"));
}

// The least p-value that n models can give is 1/(n+1). Above the level, no alarm is possible and no pass either.
TEST(ScoreSignal, TooFewCalibrationModelsAreUncalibrated) {
  EXPECT_EQ(ScoreSignal(ScoreOf(0.5, 19), kSchema, {}).kind, "score") << "1/20 = alpha";
  const Signal few = ScoreSignal(ScoreOf(0.5, 18), kSchema, {});
  EXPECT_EQ(few.kind, "uncalibrated");
  EXPECT_EQ(few.severity, Severity::kUnknown);
  EXPECT_THAT(few.text, HasSubstr("18 models to compare with, 19 are needed"));
  EXPECT_FALSE(few.evidence.contains("p_value")) << "no bound is invented";
  EXPECT_EQ(ScoreSignal(ScoreOf(0.5, 98), kSchema, {.alpha = 0.01, .quarantine_alpha = 0.01}).kind, "uncalibrated");
  EXPECT_EQ(ScoreSignal(ScoreOf(0.5, 99), kSchema, {.alpha = 0.01, .quarantine_alpha = 0.01}).kind, "score");
  const Signal none = ScoreSignal(ScoreOf(1, 0), kSchema, {});
  EXPECT_EQ(none.kind, "uncalibrated");
  EXPECT_THAT(none.text, HasSubstr("0 models"));
}

TEST(ScoreSignal, WithoutAPValueTheDetectorsReasonIsGiven) {
  detector::Score score = ScoreOf(0, 99);
  score.p_value.reset();
  score.remark = "uncalibrated: 70 of 98 columns are missing";
  const Signal signal = ScoreSignal(score, kSchema, {});
  EXPECT_EQ(signal.kind, "uncalibrated");
  EXPECT_EQ(signal.severity, Severity::kUnknown);
  EXPECT_THAT(signal.text, HasSubstr("70 of 98 columns"));
}

TEST(ScoreSignal, AnUnseenFamilyIsUnknownWhateverItsScore) {
  detector::Score score = ScoreOf(0.9, 500);
  score.basis = detector::Basis::kUnseenFamily;
  Signal signal = ScoreSignal(score, kSchema, {});
  EXPECT_EQ(signal.kind, "unseen-family");
  EXPECT_EQ(signal.severity, Severity::kUnknown);
  score.p_value = 1e-9;
  EXPECT_EQ(ScoreSignal(score, kSchema, {}).severity, Severity::kUnknown);
}

// Where all models had one value there is no deviation to divide by.
TEST(ScoreSignal, AnInfiniteDistanceIsToldInWords) {
  detector::Score score = ScoreOf(0.02, 99);
  score.drivers = {{0, 7, 4, std::numeric_limits<double>::infinity(), 1}};
  const Signal signal = ScoreSignal(score, kSchema, {});
  EXPECT_THAT(signal.text, HasSubstr("width = 7 where every reference model has 4"));
  EXPECT_THAT(signal.text, Not(HasSubstr("inf")));
}

TEST(PredictionSignal, ToldOnlyWhereRowsWereScanned) {
  fingerprint::Fingerprint fingerprint;
  EXPECT_FALSE(PredictionSignal(fingerprint).has_value());
  fingerprint.scan.emplace();
  EXPECT_FALSE(PredictionSignal(fingerprint).has_value()) << "no rows";
  fingerprint.scan = {200, 3, 0.01, 0.8, {{7, 0.8}, {9, 0.7}}};
  const std::optional<Signal> signal = PredictionSignal(fingerprint);
  ASSERT_TRUE(signal.has_value());
  EXPECT_EQ(signal->kind, "prediction-scan");
  EXPECT_EQ(signal->severity, Severity::kInfo) << "it has no calibrated bound";
  EXPECT_EQ(signal->evidence["rows"], 200);
  EXPECT_EQ(signal->evidence["worst"][0]["row"], 7);
  EXPECT_THAT(signal->text, HasSubstr("1 % of 200"));
}

TEST(Names, AreThoseOfTheReports) {
  EXPECT_EQ(OutcomeName(Outcome::kPass), "pass");
  EXPECT_EQ(OutcomeName(Outcome::kReview), "review");
  EXPECT_EQ(OutcomeName(Outcome::kQuarantine), "quarantine");
  EXPECT_EQ(OutcomeName(Outcome::kInconclusive), "inconclusive");
  EXPECT_EQ(SeverityName(Severity::kInfo), "info");
  EXPECT_EQ(SeverityName(Severity::kUnknown), "unknown");
  EXPECT_EQ(SeverityName(Severity::kConcern), "concern");
  EXPECT_EQ(SeverityName(Severity::kCritical), "critical");
}

}  // namespace
}  // namespace driftseal::screen
