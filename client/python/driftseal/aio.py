"""A client of the engine for asyncio, with the names and arguments of `driftseal.Client`."""
from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from typing import (Any, AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Dict, Iterable, Optional, Sequence,
                    Tuple, TypeVar, Union)

import grpc
import grpc.aio

from . import _channel as methods
from . import _requests as requests
from . import results
from ._aio_detectors import Detectors, Operation
from ._aio_stream import Stream
from ._channel import Method, Pem, make_target
from ._flow import Flow
from ._proto import health, integrity_pb2, predictions_pb2, scoring_pb2
from ._requests import Path
from ._rows import Table, as_matrix, is_frame, match_columns, split
from .client import STREAM_WINDOW, VERIFY_WINDOW, check_rows, end_of, left_until
from .errors import Aborted, Internal, InvalidArgument, from_rpc
from .retry import Attempts, Budget, RetryPolicy

__all__ = ["Client", "Detectors", "Operation"]

Req = TypeVar("Req")
Res = TypeVar("Res")
Item = TypeVar("Item")
Items = Union[Iterable[Item], AsyncIterable[Item]]


class Client:
    """See driftseal.Client. Belongs to the event loop in which it is used first.

    Streams read plain iterables in the event loop: one that waits (for a disk, a network) should be asynchronous.
    """

    def __init__(self, address: str, *, token: Optional[str] = None, tls: Optional[bool] = None,
                 root_certificates: Optional[Pem] = None, client_certificate: Optional[Tuple[Pem, Pem]] = None,
                 server_name: Optional[str] = None, allow_plaintext_token: bool = False,
                 timeout: Optional[float] = 60.0, retry: RetryPolicy = RetryPolicy()) -> None:
        self._target = make_target(address, token, tls, root_certificates, client_certificate, server_name,
                                   allow_plaintext_token)
        self._timeout, self._policy, self._budget = timeout, retry, Budget(retry.budget)
        self._opened: Any = None
        self._columns: Dict[str, results.Detector] = {}
        self.detectors = Detectors(self)

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection; calls under way fail as Cancelled."""
        if self._opened is not None:
            await self._opened.close()

    @property
    def _channel(self) -> Any:
        if self._opened is None:  # here and not in __init__: it takes the event loop that runs
            target = self._target
            self._opened = (grpc.aio.insecure_channel(target.address, target.options) if target.credentials is None
                            else grpc.aio.secure_channel(target.address, target.credentials, target.options))
        return self._opened

    # Rows.

    async def score(self, rows: Table, *, detector: str = "", family: str = "", detail: str = "members",
                    priority: str = "normal", timeout: Optional[float] = None) -> results.Scores:
        """See driftseal.Client.score."""
        end = end_of(self._timeout if timeout is None else timeout)
        index: Any = getattr(rows, "index", None)
        if not is_frame(rows):
            return await self._score(as_matrix(rows), detector, family, detail, priority, end, None)
        for _ in range(3):
            known, cached = await self._known(detector, end)
            try:
                matrix = as_matrix(match_columns(rows, known.features))
                scores = await self._score(matrix, detector, family, detail, priority, end, index)
            except (ValueError, InvalidArgument):
                if not cached:
                    raise
                self._columns.pop(detector, None)
                continue
            if scores.detector == known.ref:
                return scores
            self._columns.pop(detector, None)
        raise Aborted(f"detector {detector!r}: another version became active each time the rows were scored")

    async def score_models(self, paths: Sequence[Path], *, detector: str = "", detail: str = "members",
                           priority: str = "normal", timeout: Optional[float] = None) -> results.Scores:
        """See driftseal.Client.score_models."""
        names = [requests.path_text(path) for path in paths]
        request = requests.score_request(None, names, detector, "", detail, priority)
        return check_rows([await self._call(methods.SCORE, request, timeout)], [len(names)], names)

    async def score_stream(self, rows: Items[Any], *, detector: str = "", family: str = "", detail: str = "members",
                           priority: str = "normal", window: int = STREAM_WINDOW,
                           timeout: Optional[float] = None) -> AsyncIterator[results.StreamedScores[Any]]:
        """See driftseal.Client.score_stream; the iterable may be asynchronous."""
        named: Dict[int, Tuple[Any, int]] = {}

        async def source() -> AsyncIterator[Tuple[int, scoring_pb2.ScoreStreamRequest]]:
            number = 0
            async for item in each(rows):
                name, values = item if isinstance(item, tuple) else (number, item)
                matrix = as_matrix(values)
                named[number] = (name, len(matrix))
                yield number, scoring_pb2.ScoreStreamRequest(
                    id=number, request=requests.score_request(matrix, (), detector, family, detail, priority))
                number += 1

        async with aclosing(self._stream(methods.SCORE_STREAM, source(), window, end_of(timeout))) as answers:
            async for number, response, error in answers:
                name, count = named.pop(number)
                yield results.StreamedScores(name, None, error) if error else results.StreamedScores(
                    name, check_rows([response.response], [count], None))

    # Artifacts.

    async def verify(self, path: Path, *, progress: Optional[Callable[[str], None]] = None,
                     timeout: Optional[float] = None, **options: Any) -> results.Verdict:
        """See driftseal.Client.verify."""
        request = requests.verify_request(path, **options)
        async with aclosing(self._server_stream(methods.VERIFY, request, timeout)) as events:
            async for event in events:
                if event.WhichOneof("event") == "verdict":
                    return results.read_verdict(event.verdict)
                if progress is not None:
                    progress(results.read_stage(event.progress))
        raise Internal("the engine ended the call without a verdict")

    async def verify_stream(self, paths: Items[Union[Path, Tuple[str, Path]]], *, run: Optional[str] = None,
                            window: int = VERIFY_WINDOW, timeout: Optional[float] = None,
                            **options: Any) -> AsyncIterator[results.StreamedVerdict]:
        """See driftseal.Client.verify_stream; the iterable may be asynchronous."""
        name = uuid.uuid4().hex if run is None else run
        source = (requests.named_request(item, name, options) async for item in each(paths))
        async with aclosing(self._stream(methods.VERIFY_STREAM, source, window, end_of(timeout))) as answers:
            async for key, response, error in answers:
                yield results.StreamedVerdict(key, None, error) if error else results.StreamedVerdict(
                    key, results.read_verdict(response.verdict), None, response.stored_before)

    async def list_artifacts(self, folder: Path = "", *, meta_glob: str = "",
                             timeout: Optional[float] = None) -> AsyncIterator[results.Artifact]:
        """See driftseal.Client.list_artifacts."""
        request = scoring_pb2.ListArtifactsRequest(folder=requests.path_text(folder), meta_glob=meta_glob)
        last: Optional[str] = None
        async with aclosing(self._server_stream(methods.LIST_ARTIFACTS, request, timeout)) as artifacts:
            async for artifact in artifacts:
                if last is None or artifact.path > last:
                    last = artifact.path
                    yield results.Artifact(artifact.path, artifact.bare, artifact.problem)

    async def backfill(self, path: Path, *, meta_glob: str = "", only_eligible: bool = False, overwrite: bool = False,
                       timeout: Optional[float] = None) -> AsyncIterator[results.BackfillEntry]:
        """See driftseal.Client.backfill."""
        request = integrity_pb2.BackfillRequest(path=requests.path_text(path), meta_glob=meta_glob,
                                                only_eligible=only_eligible, overwrite=overwrite)
        told = set()
        async with aclosing(self._server_stream(methods.BACKFILL, request, timeout)) as entries:
            async for entry in entries:
                if entry.path not in told:
                    told.add(entry.path)
                    yield results.read_backfill(entry)

    async def sanitize_predictions(self, path: Path, *, output_path: Path = "", contamination: Optional[float] = None,
                                   overwrite: bool = False, timeout: Optional[float] = None) -> results.Sanitized:
        """See driftseal.Client.sanitize_predictions."""
        request = predictions_pb2.SanitizeRequest(predictions_path=requests.path_text(path), overwrite=overwrite,
                                                  output_path=requests.path_text(output_path))
        if contamination is not None:
            request.contamination = contamination
        return results.read_sanitized(await self._call(methods.SANITIZE, request, timeout))

    async def retrain_plan(self, path: Path, *, detector: str = "",
                           timeout: Optional[float] = None) -> results.RetrainPlan:
        """See driftseal.Client.retrain_plan."""
        request = predictions_pb2.RetrainPlanRequest(meta_path=requests.path_text(path), detector=detector)
        return results.read_plan(await self._call(methods.RETRAIN_PLAN, request, timeout))

    async def health(self, service: str = "", *, timeout: Optional[float] = None) -> str:
        """See driftseal.Client.health."""
        answer = await self._quick(methods.HEALTH, health.HealthCheckRequest(service=service), timeout)
        return health.STATUSES[answer.status]

    # How calls are made.

    async def _call(self, method: Method[Req, Res], request: Req, timeout: Optional[float]) -> Res:
        attempts = Attempts(self._policy, self._budget, timeout, method.idempotent)
        metadata, request_id = self._target.metadata()
        call = method.on(self._channel.unary_unary)
        while True:
            try:
                response: Res = await call(request, timeout=attempts.time_left(), metadata=metadata)
                attempts.succeeded()
                return response
            except grpc.aio.AioRpcError as error:
                problem = from_rpc(error, request_id)
            delay = attempts.delay_after(problem)
            if delay is None:
                raise problem
            await asyncio.sleep(delay)

    async def _quick(self, method: Method[Req, Res], request: Req, timeout: Optional[float]) -> Res:
        return await self._call(method, request, self._timeout if timeout is None else timeout)

    async def _server_stream(self, method: Method[Req, Res], request: Req,
                             timeout: Optional[float]) -> AsyncGenerator[Res, None]:
        attempts = Attempts(self._policy, self._budget, timeout, method.idempotent)
        metadata, request_id = self._target.metadata()
        open_call = method.on(self._channel.unary_stream)
        while True:
            call = open_call(request, timeout=attempts.time_left(), metadata=metadata)
            try:
                async for message in call:
                    yield message
                attempts.succeeded()
                return
            except grpc.aio.AioRpcError as error:
                problem = from_rpc(error, request_id)
            finally:
                call.cancel()
            delay = attempts.delay_after(problem)
            if delay is None:
                raise problem
            await asyncio.sleep(delay)

    def _stream(self, method: Method[Any, Any], source: AsyncIterator[Tuple[Any, Any]], window: int,
                end: Optional[float]) -> AsyncGenerator[Tuple[Any, Any, Any], None]:
        open_call = method.on(self._channel.stream_stream)

        def connect() -> Tuple[Any, str]:
            metadata, request_id = self._target.metadata()
            return open_call(timeout=left_until(end), metadata=metadata), request_id

        return Stream(connect, source, Flow(self._policy, window, end)).run()

    async def _score(self, matrix: Any, detector: str, family: str, detail: str, priority: str, end: Optional[float],
                     index: Any) -> results.Scores:
        parts = list(split(matrix))
        request = requests.score_request(parts[0], (), detector, family, detail, priority)
        first = await self._call(methods.SCORE, request, left_until(end))
        answers = {0: first}

        async def source() -> AsyncIterator[Tuple[int, scoring_pb2.ScoreStreamRequest]]:
            for number, part in enumerate(parts[1:], 1):
                yield number, scoring_pb2.ScoreStreamRequest(id=number, request=requests.score_request(
                    part, (), first.detector, family, detail, priority))

        if len(parts) > 1:
            async with aclosing(self._stream(methods.SCORE_STREAM, source(), STREAM_WINDOW, end)) as rest:
                async for number, response, error in rest:
                    if error:
                        raise error
                    answers[number] = response.response
        return check_rows([answers[number] for number in range(len(parts))], [len(part) for part in parts], index)

    async def _known(self, detector: str, end: Optional[float]) -> Tuple[results.Detector, bool]:
        if detector in self._columns:
            return self._columns[detector], True
        found = await self.detectors.get(detector, timeout=left_until(end))
        self._columns[detector] = found
        return found, False


async def each(items: Items[Item]) -> AsyncIterator[Item]:
    """The items of an iterable, asynchronous or not."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def aclosing(generator: AsyncGenerator[Item, None]) -> AsyncIterator[AsyncGenerator[Item, None]]:
    """contextlib.aclosing, which Python 3.9 lacks."""
    try:
        yield generator
    finally:
        await generator.aclose()
