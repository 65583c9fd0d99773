"""What the engine answers, as plain Python."""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, Generic, Hashable, List, Optional, Sequence, TypeVar

import numpy as np
import numpy.typing as npt
from google.protobuf.json_format import MessageToDict

from ._proto import detectors_pb2, integrity_pb2, predictions_pb2, scoring_pb2, verdict_pb2
from .errors import DriftSealError

if TYPE_CHECKING:
    import pandas as pd

Key = TypeVar("Key", bound=Hashable)


def _word(enum: Any, value: int, prefix: str) -> str:
    """ "OUTCOME_PASS" → "pass"; the number where the engine is newer than this client."""
    try:
        return str(enum.Name(value)).replace(prefix, "").lower()
    except ValueError:
        return str(value)


@dataclass(frozen=True)
class Driver:
    """One column's part in a score: its value, the family's median, the robust z-score, the share of the score."""

    feature: str
    value: float
    median: float
    robust_z: float
    share: float


@dataclass(frozen=True)
class RowDetail:
    """Of one row: at most five drivers, the largest share first; why there is no p-value, or what was missing."""

    drivers: List[Driver]
    remark: str


@dataclass(frozen=True)
class Scores:
    """Scores of rows, in their order. Higher is more anomalous; NaN where there is none."""

    detector: str                                #: "name@version" that scored all of them
    combined: npt.NDArray[np.float64]
    p_value: npt.NDArray[np.float64]             #: conformal; NaN where the detector is uncalibrated for the row
    members: Dict[str, npt.NDArray[np.float64]]  #: raw scores by member; empty with detail="scores"
    details: Optional[List[RowDetail]] = None    #: with detail="drivers"
    index: Any = None                            #: of the DataFrame; the paths, for models

    def __len__(self) -> int:
        return len(self.combined)

    def to_frame(self) -> "pd.DataFrame":
        """combined, p_value and one column a member, under the index of the rows. Needs pandas."""
        import pandas as pd

        columns = {"combined": self.combined, "p_value": self.p_value,
                   **{f"member.{name}": values for name, values in self.members.items()}}
        if self.details is not None:
            columns["remark"] = [detail.remark for detail in self.details]  # type: ignore[assignment]
        return pd.DataFrame(columns, index=self.index)


@dataclass(frozen=True)
class StreamedScores(Generic[Key]):
    """One answer of score_stream: the scores of the rows of this id, or why there are none."""

    id: Key
    scores: Optional[Scores] = None
    error: Optional[DriftSealError] = None


def read_scores(parts: Sequence[scoring_pb2.ScoreResponse], index: Any = None) -> Scores:
    """The scores of the parts one behind the other."""
    names = list(parts[0].members)
    raw = np.concatenate([np.array(part.member_scores, np.float64) for part in parts])
    table = raw.reshape(-1, len(names)) if names else raw.reshape(0, 0)
    details = [RowDetail([Driver(d.feature, d.value, d.median, d.robust_z, d.share) for d in row.drivers], row.remark)
               for part in parts for row in part.details]
    return Scores(detector=parts[0].detector,
                  combined=np.concatenate([np.array(part.combined, np.float64) for part in parts]),
                  p_value=np.concatenate([np.array(part.p_value, np.float64) for part in parts]),
                  members={name: table[:, column].copy() for column, name in enumerate(names)},
                  details=details or None, index=index)


@dataclass(frozen=True)
class Signal:
    """One reason for a verdict. severity: "info", "unknown", "concern" or "critical"."""

    kind: str
    severity: str
    text: str
    evidence: Dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MemberScore:
    member: str
    raw: float
    normalised: Optional[float]


@dataclass(frozen=True)
class OutOfRange:
    """The column by which a model leaves the range that was calibrated."""

    feature: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ModelScore:
    """The detector's word about one model. basis: "family", "global" or "unseen-family"."""

    combined: float
    p_value: Optional[float]
    basis: str
    members: List[MemberScore]
    fitted_on: int
    calibrated_on: int
    remark: str
    view: str = ""                            #: "behaviour" (on canary inputs), "still" (of that, what holds still) or "files" (alone)
    out_of_range: Optional[OutOfRange] = None


@dataclass(frozen=True)
class FileEvidence:
    """What one file came to; digests in hex, empty where there is none."""

    role: str
    path: str
    recorded_sha256: str
    actual_sha256: str
    error: str


@dataclass(frozen=True)
class Verdict:
    """What screening one model came to."""

    path: str                    #: beneath the artifact root
    model_name: str
    family: str
    outcome: str                 #: "pass", "review", "quarantine", "inconclusive", "error" or "skipped"
    signals: List[Signal]        #: what led to it, worst first
    score: Optional[ModelScore]  #: None where the model was not scored
    files: List[FileEvidence]
    format: str
    error: str                   #: why the meta file could not be read (outcome "error")
    detector: str                #: "name@version"; empty where there was none
    report_entry: Optional[Dict[str, Any]] = None  #: as in a report of the command line, where it was asked for

    @property
    def flagged(self) -> bool:
        """A person should look, or it must not be served."""
        return self.outcome in ("review", "quarantine")


def _out_of_range(score: verdict_pb2.ModelScore) -> Optional[OutOfRange]:
    if not score.HasField("out_of_range"):
        return None
    note = score.out_of_range
    return OutOfRange(note.feature, note.value, note.low, note.high)


def read_verdict(message: verdict_pb2.Verdict) -> Verdict:
    score = None
    if message.HasField("score"):
        found = message.score
        score = ModelScore(found.combined, found.p_value if found.HasField("p_value") else None, found.basis,
                           [MemberScore(m.member, m.raw, m.normalised if m.HasField("normalised") else None)
                            for m in found.members], found.fitted_on, found.calibrated_on, found.remark, found.view,
                           _out_of_range(found))
    signals = [Signal(s.kind, _word(verdict_pb2.Signal.Severity, s.severity, "SEVERITY_"), s.text,
                      MessageToDict(s.evidence) if s.HasField("evidence") else {}) for s in message.signals]
    files = [FileEvidence(f.role, f.path, f.recorded_sha256, f.actual_sha256, f.error) for f in message.files]
    return Verdict(message.path, message.model_name, message.family,
                   _word(verdict_pb2.Verdict.Outcome, message.outcome, "OUTCOME_"), signals, score, files,
                   message.format, message.error, message.detector,
                   json.loads(message.report_entry) if message.report_entry else None)


@dataclass(frozen=True)
class StreamedVerdict:
    """One answer of verify_stream: the verdict, or why the request has none (a malformed one)."""

    id: str
    verdict: Optional[Verdict] = None
    error: Optional[DriftSealError] = None
    stored_before: bool = False  #: under this run; it was not computed again


@dataclass(frozen=True)
class Artifact:
    """Something to verify. bare: a model file that no meta file names; problem: why a folder could not be searched."""

    path: str
    bare: bool
    problem: str = ""


@dataclass(frozen=True)
class Family:
    """What a detector was fitted on. key: "domain/task/architecture", "*" for the global one."""

    key: str
    fitted_on: int
    calibrated_on: int
    features_used: int
    own_detector: bool


@dataclass(frozen=True)
class CanarySet:
    """Inputs that models are run on, by the digest of their file."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Detector:
    """features, families and canary_sets are filled in by detectors.get alone."""

    name: str
    version: int
    active: bool
    schema: str
    features: List[str]
    families: List[Family]
    origin: str
    sha256: str
    canary_sets: List[CanarySet] = field(default_factory=list)  #: none: it reads files alone
    replays: bool = False                                       #: the engine runs models on them

    @property
    def ref(self) -> str:
        """ "name@version" """
        return f"{self.name}@{self.version}"


def read_detector(message: detectors_pb2.Detector) -> Detector:
    families = [Family(f.key, f.fitted_on, f.calibrated_on, f.features_used, f.own_detector) for f in message.families]
    return Detector(message.name, message.version, message.active, message.schema, list(message.features), families,
                    message.origin, message.sha256, [CanarySet(s.name, s.sha256) for s in message.canary_sets],
                    message.replays)


@dataclass(frozen=True)
class Progress:
    """How an operation stands. state: "queued", "running", "done", "failed" or "cancelled"."""

    name: str
    state: str
    stage: str
    done: int
    total: int                    #: steps of the stage; 0: not known
    detector: Optional[Detector]  #: what came of it
    error: str
    left_out: List[str]           #: models that were left out of the fit, and why
    report: Dict[str, Any]        #: of a fit that is done, as the command line's `fit --format json`

    @property
    def finished(self) -> bool:
        return self.state in ("done", "failed", "cancelled")


def read_progress(message: detectors_pb2.Operation) -> Progress:
    return Progress(message.name, _word(detectors_pb2.Operation.State, message.state, "STATE_"), message.stage,
                    message.done, message.total,
                    read_detector(message.detector) if message.HasField("detector") else None, message.error,
                    list(message.left_out), json.loads(message.report) if message.report else {})


@dataclass(frozen=True)
class BackfillEntry:
    """What one meta file came to: "written", "unchanged", "mismatch", "skipped" or "error"."""

    path: str
    outcome: str
    error: str


def read_backfill(message: integrity_pb2.BackfillEntry) -> BackfillEntry:
    return BackfillEntry(message.path, _word(integrity_pb2.BackfillEntry.Outcome, message.outcome, "OUTCOME_"),
                         message.error)


@dataclass(frozen=True)
class Sanitized:
    """output_path: the cleaned CSV, beneath the artifact root."""

    output_path: str
    rows: int
    dropped: int
    report: Dict[str, Any]


def read_sanitized(message: predictions_pb2.SanitizeResponse) -> Sanitized:
    return Sanitized(message.output_path, message.rows, message.dropped,
                     json.loads(message.report) if message.report else {})


@dataclass(frozen=True)
class Step:
    """One thing to do about a model: the sentence, the kinds of the signals that ask for it, the command, if any."""

    action: str
    text: str
    because: List[str]
    command: str


@dataclass(frozen=True)
class RetrainPlan:
    verdict: Verdict
    retrain: bool
    steps: List[Step]


def read_plan(message: predictions_pb2.RetrainPlanResponse) -> RetrainPlan:
    return RetrainPlan(read_verdict(message.verdict), message.retrain,
                       [Step(s.action, s.text, list(s.because), s.command) for s in message.steps])


def read_stage(message: scoring_pb2.VerifyEvent.Progress) -> str:
    """ "queued", "reading" or "scoring"."""
    return _word(scoring_pb2.VerifyEvent.Progress.Stage, message.stage, "STAGE_")
