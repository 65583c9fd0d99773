"""A client of the engine for blocking callers. `driftseal.aio` has the same for asyncio."""
from __future__ import annotations

import contextlib
import threading
import time
import uuid
from typing import Any, Callable, Dict, Generator, Iterable, Iterator, List, Optional, Sequence, Tuple, TypeVar, Union

import grpc

from . import _channel as methods
from . import _requests as requests
from . import results
from ._channel import Method, Pem, make_target
from ._detectors import Detectors
from ._flow import Flow
from ._proto import health, integrity_pb2, predictions_pb2, scoring_pb2
from ._requests import Path
from ._rows import Table, as_matrix, is_frame, match_columns, split
from ._stream import Stream
from .errors import Aborted, Internal, InvalidArgument, from_rpc
from .retry import Attempts, Budget, RetryPolicy

Req = TypeVar("Req")
Res = TypeVar("Res")

STREAM_WINDOW = 64          #: Messages of rows that are under way at once.
VERIFY_WINDOW = 256         #: Artifacts that are under way at once.


class Client:
    """A connection to one engine. Threads may share it.

    address             "host:port", "unix:/path" or whatever gRPC resolves
    token               bearer token; over an unencrypted connection only to this machine, unless allow_plaintext_token
    tls                 True: with the system's certificate authorities; implied by certificates
    root_certificates   PEM bytes or path of a PEM file: the authorities to trust
    client_certificate  (certificate, key), PEM bytes or paths: for mutual TLS
    server_name         name in the engine's certificate, where it is not that of the address
    timeout             seconds for a call that is given none, retries included. Calls that read or write files
                        (score_models, verify, backfill, ...) and streams then have no limit
    retry               see RetryPolicy

    Paths are those of the engine, beneath its artifact root. Failures are DriftSealError and its subclasses.
    """

    def __init__(self, address: str, *, token: Optional[str] = None, tls: Optional[bool] = None,
                 root_certificates: Optional[Pem] = None, client_certificate: Optional[Tuple[Pem, Pem]] = None,
                 server_name: Optional[str] = None, allow_plaintext_token: bool = False,
                 timeout: Optional[float] = 60.0, retry: RetryPolicy = RetryPolicy()) -> None:
        self._target = make_target(address, token, tls, root_certificates, client_certificate, server_name,
                                   allow_plaintext_token)
        self._timeout, self._policy, self._budget = timeout, retry, Budget(retry.budget)
        self._channel = (grpc.insecure_channel(address, self._target.options) if self._target.credentials is None else
                         grpc.secure_channel(address, self._target.credentials, self._target.options))
        self._columns: Dict[str, results.Detector] = {}
        self._lock = threading.Lock()
        self.detectors = Detectors(self)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection; calls under way fail as Cancelled."""
        self._channel.close()

    # Rows.

    def score(self, rows: Table, *, detector: str = "", family: str = "", detail: str = "members",
              priority: str = "normal", timeout: Optional[float] = None) -> results.Scores:
        """Scores a matrix of rows and columns, or a DataFrame, whose columns are found by the detector's names.

        detector  "name" (its active version), "name@version", or empty: the engine's default one
        family    as detectors.get lists them; empty: the only one, or the global one
        detail    "scores", "members" or "drivers" (slow: which columns drove each score)
        priority  "low", "normal" or "high"

        NaN is a missing value. Many rows travel in many messages; one version scores all of them. ValueError where the
        rows are no matrix of numbers or columns are missing.
        """
        end = end_of(self._timeout if timeout is None else timeout)
        index: Any = getattr(rows, "index", None)
        if not is_frame(rows):
            return self._score(as_matrix(rows), detector, family, detail, priority, end, None)
        for _ in range(3):
            known, cached = self._known(detector, end)
            try:
                matrix = match_columns(rows, known.features)
                scores = self._score(as_matrix(matrix), detector, family, detail, priority, end, index)
            except (ValueError, InvalidArgument):
                if not cached:
                    raise
                self._forget(detector)  # perhaps another version is active by now, with other columns
                continue
            if scores.detector == known.ref:
                return scores
            self._forget(detector)
        raise Aborted(f"detector {detector!r}: another version became active each time the rows were scored")

    def score_models(self, paths: Sequence[Path], *, detector: str = "", detail: str = "members",
                     priority: str = "normal", timeout: Optional[float] = None) -> results.Scores:
        """Scores the fingerprints of models: meta files or model files. Scores.index holds the paths."""
        names = [requests.path_text(path) for path in paths]
        request = requests.score_request(None, names, detector, "", detail, priority)
        return check_rows([self._call(methods.SCORE, request, timeout)], [len(names)], names)

    def score_stream(self, rows: Iterable[Any], *, detector: str = "", family: str = "", detail: str = "members",
                     priority: str = "normal", window: int = STREAM_WINDOW,
                     timeout: Optional[float] = None) -> Iterator[results.StreamedScores[Any]]:
        """Scores matrices as they come: arrays (their id is their place) or (id, array). Answers come when ready.

        An array travels in one message. At most `window` are under way; the iterable is read by a thread, no further
        than that, and the engine is read no faster than the answers are taken. What a broken connection leaves
        unanswered is sent again; nothing is answered twice.
        """
        named: Dict[int, Tuple[Any, int]] = {}

        def source() -> Iterator[Tuple[int, scoring_pb2.ScoreStreamRequest]]:
            for number, (name, values) in enumerate(requests.named_rows(rows)):
                matrix = as_matrix(values)
                named[number] = (name, len(matrix))
                yield number, scoring_pb2.ScoreStreamRequest(
                    id=number, request=requests.score_request(matrix, (), detector, family, detail, priority))

        with contextlib.closing(self._stream(methods.SCORE_STREAM, source(), window, end_of(timeout))) as answers:
            for number, response, error in answers:
                name, count = named.pop(number)
                yield results.StreamedScores(name, None, error) if error else results.StreamedScores(
                    name, check_rows([response.response], [count], None))

    # Artifacts.

    def verify(self, path: Path, *, progress: Optional[Callable[[str], None]] = None, detector: str = "",
               alpha: Optional[float] = None, quarantine_alpha: Optional[float] = None, score_only: bool = False,
               report_entry: bool = False, only_eligible: bool = False, priority: str = "normal",
               no_replay: bool = False, timeout: Optional[float] = None) -> results.Verdict:
        """Verifies one artifact, a meta file or a model file.

        `progress` is called with "queued", "reading", "scoring".
        """
        request = requests.verify_request(
            path, detector=detector, alpha=alpha, quarantine_alpha=quarantine_alpha, score_only=score_only,
            report_entry=report_entry, only_eligible=only_eligible, priority=priority, no_replay=no_replay)
        for event in self._server_stream(methods.VERIFY, lambda: request, timeout):
            if event.WhichOneof("event") == "verdict":
                return results.read_verdict(event.verdict)
            if progress is not None:
                progress(results.read_stage(event.progress))
        raise Internal("the engine ended the call without a verdict")

    def verify_stream(self, paths: Iterable[Union[Path, Tuple[str, Path]]], *, run: Optional[str] = None,
                      window: int = VERIFY_WINDOW, timeout: Optional[float] = None,
                      **options: Any) -> Iterator[results.StreamedVerdict]:
        """Verifies artifacts as they come: paths (which are their ids) or (id, path). Verdicts come as they are ready.

        Outlives broken connections and restarts of the engine: what is unanswered is sent again under the same `run`,
        so that verdicts which are stored come back and nothing is done twice. No id is answered twice; one that is
        given twice is a ValueError. Give a run of your own to go on after a restart of the client; None makes one up.
        `options` are those of verify().
        """
        name = uuid.uuid4().hex if run is None else run
        source = (requests.named_request(item, name, options) for item in paths)
        with contextlib.closing(self._stream(methods.VERIFY_STREAM, source, window, end_of(timeout))) as answers:
            for key, response, error in answers:
                yield results.StreamedVerdict(key, None, error) if error else results.StreamedVerdict(
                    key, results.read_verdict(response.verdict), None, response.stored_before)

    def list_artifacts(self, folder: Path = "", *, meta_glob: str = "",
                       timeout: Optional[float] = None) -> Iterator[results.Artifact]:
        """Meta files, and model files that no meta file names, sorted by path."""
        request = scoring_pb2.ListArtifactsRequest(folder=requests.path_text(folder), meta_glob=meta_glob)
        last: Optional[str] = None
        for artifact in self._server_stream(methods.LIST_ARTIFACTS, lambda: request, timeout):
            if last is None or artifact.path > last:  # after a retry the list begins anew
                last = artifact.path
                yield results.Artifact(artifact.path, artifact.bare, artifact.problem)

    def backfill(self, path: Path, *, meta_glob: str = "", only_eligible: bool = False, overwrite: bool = False,
                 timeout: Optional[float] = None) -> Iterator[results.BackfillEntry]:
        """Records digests that meta files lack. One entry a meta file."""
        request = integrity_pb2.BackfillRequest(path=requests.path_text(path), meta_glob=meta_glob,
                                                only_eligible=only_eligible, overwrite=overwrite)
        told = set()
        for entry in self._server_stream(methods.BACKFILL, lambda: request, timeout):
            if entry.path not in told:
                told.add(entry.path)
                yield results.read_backfill(entry)

    def sanitize_predictions(self, path: Path, *, output_path: Path = "", contamination: Optional[float] = None,
                             overwrite: bool = False, timeout: Optional[float] = None) -> results.Sanitized:
        """Writes a copy of a predictions CSV without the rows that stand out most."""
        request = predictions_pb2.SanitizeRequest(predictions_path=requests.path_text(path), overwrite=overwrite,
                                                  output_path=requests.path_text(output_path))
        if contamination is not None:
            request.contamination = contamination
        return results.read_sanitized(self._call(methods.SANITIZE, request, timeout))

    def retrain_plan(self, path: Path, *, detector: str = "", timeout: Optional[float] = None) -> results.RetrainPlan:
        """Verifies a model and says what to do about it."""
        request = predictions_pb2.RetrainPlanRequest(meta_path=requests.path_text(path), detector=detector)
        return results.read_plan(self._call(methods.RETRAIN_PLAN, request, timeout))

    def health(self, service: str = "", *, timeout: Optional[float] = None) -> str:
        """ "serving", "not_serving" or "service_unknown"; Unavailable where nobody answers."""
        request = health.HealthCheckRequest(service=service)
        answer = self._quick(methods.HEALTH, request, timeout)
        return health.STATUSES[answer.status]

    # How calls are made.

    def _call(self, method: Method[Req, Res], request: Req, timeout: Optional[float]) -> Res:
        attempts = Attempts(self._policy, self._budget, timeout, method.idempotent)
        metadata, request_id = self._target.metadata()
        call = method.on(self._channel.unary_unary)
        while True:
            try:
                response: Res = call(request, timeout=attempts.time_left(), metadata=metadata)
                attempts.succeeded()
                return response
            except grpc.RpcError as error:
                problem = from_rpc(error, request_id)
            delay = attempts.delay_after(problem)
            if delay is None:
                raise problem
            time.sleep(delay)

    def _quick(self, method: Method[Req, Res], request: Req, timeout: Optional[float]) -> Res:
        """A call that the client's own timeout is meant for."""
        return self._call(method, request, self._timeout if timeout is None else timeout)

    def _server_stream(self, method: Method[Req, Res], request: Callable[[], Req],
                       timeout: Optional[float]) -> Iterator[Res]:
        """After a broken connection the stream begins anew: the caller tells what came before."""
        attempts = Attempts(self._policy, self._budget, timeout, method.idempotent)
        metadata, request_id = self._target.metadata()
        open_call = method.on(self._channel.unary_stream)
        while True:
            call = open_call(request(), timeout=attempts.time_left(), metadata=metadata)
            try:
                yield from call
                attempts.succeeded()
                return
            except grpc.RpcError as error:
                problem = from_rpc(error, request_id)
            finally:
                call.cancel()
            delay = attempts.delay_after(problem)
            if delay is None:
                raise problem
            time.sleep(delay)

    def _stream(self, method: Method[Any, Any], source: Iterable[Tuple[Any, Any]], window: int,
                end: Optional[float]) -> Generator[Tuple[Any, Any, Any], None, None]:
        open_call = method.on(self._channel.stream_stream)

        def connect(items: Iterator[Any]) -> Tuple[Any, str]:
            metadata, request_id = self._target.metadata()
            return open_call(items, timeout=left_until(end), metadata=metadata), request_id

        return Stream(connect, source, Flow(self._policy, window, end)).run()

    def _score(self, matrix: Any, detector: str, family: str, detail: str, priority: str, end: Optional[float],
               index: Any) -> results.Scores:
        parts = list(split(matrix))
        request = requests.score_request(parts[0], (), detector, family, detail, priority)
        first = self._call(methods.SCORE, request, left_until(end))
        answers = {0: first}
        # The version that scored the first part scores the others too, whatever becomes active meanwhile.
        source = ((number, scoring_pb2.ScoreStreamRequest(id=number, request=requests.score_request(
            part, (), first.detector, family, detail, priority))) for number, part in enumerate(parts[1:], 1))
        if len(parts) > 1:
            with contextlib.closing(self._stream(methods.SCORE_STREAM, source, STREAM_WINDOW, end)) as rest:
                for number, response, error in rest:
                    if error:
                        raise error
                    answers[number] = response.response
        return check_rows([answers[number] for number in range(len(parts))], [len(part) for part in parts], index)

    def _known(self, detector: str, end: Optional[float]) -> Tuple[results.Detector, bool]:
        with self._lock:
            if detector in self._columns:
                return self._columns[detector], True
        found = self.detectors.get(detector, timeout=left_until(end))
        with self._lock:
            self._columns[detector] = found
        return found, False

    def _forget(self, detector: str) -> None:
        with self._lock:
            self._columns.pop(detector, None)


def check_rows(parts: List[scoring_pb2.ScoreResponse], counts: List[int], index: Any) -> results.Scores:
    """The scores of the parts one behind the other. Internal where a part has more or fewer than it has rows."""
    for part, count in zip(parts, counts):
        if len(part.combined) != count:
            raise Internal(f"the engine answered {count} rows with {len(part.combined)} scores")
    return results.read_scores(parts, index)


def end_of(timeout: Optional[float]) -> Optional[float]:
    return None if timeout is None else time.monotonic() + timeout


def left_until(end: Optional[float]) -> Optional[float]:
    return None if end is None else max(0.0, end - time.monotonic())
