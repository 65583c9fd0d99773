"""An engine that fails on purpose: the contract over a real gRPC server, with faults that a test chooses."""
import collections
import itertools
import threading
import unittest
from concurrent import futures

import grpc
import numpy as np

import command  # noqa: F401 - finds the package
import driftseal
from driftseal import _channel as methods
from driftseal._proto import detectors_pb2, errors_pb2, health, scoring_pb2, verdict_pb2

def refusal(resource, used, limit, retry_after):
    """The trailer of RESOURCE_EXHAUSTED as the engine writes it."""
    status = errors_pb2.ErrorStatus(code=8, message="full")
    overload = errors_pb2.Overload(resource=resource, used=used, limit=limit)
    status.details.add(type_url="type.googleapis.com/driftseal.v1.Overload", value=overload.SerializeToString())
    info = errors_pb2.RetryInfo()
    info.retry_delay.FromNanoseconds(int(retry_after * 1e9))
    status.details.add(type_url="type.googleapis.com/google.rpc.RetryInfo", value=info.SerializeToString())
    return status.SerializeToString()


class Fault:
    """Ends a call with a status."""

    def __init__(self, code, message="injected", retry_after=None):
        self.code, self.message, self.retry_after = code, message, retry_after

    def end(self, context, request_id):
        trailers = [("x-request-id", request_id)]
        if self.retry_after is not None:
            packed = refusal(errors_pb2.Overload.RESOURCE_QUEUE, 90, 100, self.retry_after)
            trailers.append(("grpc-status-details-bin", packed))
        context.set_trailing_metadata(trailers)
        context.abort(self.code, self.message)


class FakeEngine:
    """Faults are taken from the front of `faults` by unary calls, and of `stream_faults` by streams (see Stream)."""

    def __init__(self):
        self.faults = collections.deque()
        self.stream_faults = collections.deque()
        self.features = ["a", "b"]
        self.version = 1
        self.calls = collections.Counter()
        self.metadata = []
        self.stored = {}           # (run, id): verdict
        self.computed = collections.Counter()
        self.runs = set()
        self.received = threading.Semaphore(0)   # one for each message of a stream that was read
        self._lock = threading.Lock()
        self._server, self.port = None, 0

    def start(self):
        self._server = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        unary = {"Score": (methods.SCORE, self._score), "Get": (methods.GET, self._get),
                 "RollBack": (methods.ROLL_BACK, self._roll_back), "Check": (methods.HEALTH, self._health)}
        handlers = collections.defaultdict(dict)
        for name, (method, answer) in unary.items():
            handlers[service_of(method)][name] = grpc.unary_unary_rpc_method_handler(
                self._faulty(name, answer), method.request.FromString, method.response.SerializeToString)
        handlers[service_of(methods.VERIFY)]["Verify"] = grpc.unary_stream_rpc_method_handler(
            self._verify, methods.VERIFY.request.FromString, methods.VERIFY.response.SerializeToString)
        handlers[service_of(methods.LIST_ARTIFACTS)]["ListArtifacts"] = grpc.unary_stream_rpc_method_handler(
            self._list, methods.LIST_ARTIFACTS.request.FromString, methods.LIST_ARTIFACTS.response.SerializeToString)
        for name, method, answer in (("ScoreStream", methods.SCORE_STREAM, self._answer_rows),
                                     ("VerifyStream", methods.VERIFY_STREAM, self._answer_artifact)):
            handlers[service_of(method)][name] = grpc.stream_stream_rpc_method_handler(
                self._streamed(name, answer), method.request.FromString, method.response.SerializeToString)
        for service, of in handlers.items():
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, of),))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()
        return self

    def stop(self):
        self._server.stop(None).wait()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    # Unary calls.

    def _faulty(self, name, answer):
        def handle(request, context):
            metadata = dict(context.invocation_metadata())
            with self._lock:
                self.calls[name] += 1
                self.metadata.append(metadata)
                fault = self.faults.popleft() if self.faults else None
            if fault:
                fault.end(context, metadata.get("x-request-id", ""))
            return answer(request)
        return handle

    def _score(self, request):
        rows = np.frombuffer(request.rows.float32_le, "<f4").reshape(-1, request.rows.cols)
        reference = request.detector if "@" in request.detector else f"fake@{self.version}"
        sums = rows.sum(axis=1, dtype=np.float64)
        # Scores tell columns apart: the second counts tenfold.
        return scoring_pb2.ScoreResponse(detector=reference, combined=sums + 9 * rows[:, 1],
                                         p_value=np.full(len(rows), 0.5), members=["sum", "first"],
                                         member_scores=np.stack([sums, rows[:, 0]], axis=1).ravel())

    def _get(self, request):
        return detectors_pb2.Detector(name="fake", version=self.version, active=True, features=self.features)

    def _roll_back(self, request):
        return detectors_pb2.Detector(name="fake", version=self.version - 1, active=True)

    def _health(self, request):
        return health.HealthCheckResponse(status=health.STATUSES.index("serving"))

    # Streams of answers.

    def _verify(self, request, context):
        self.calls["Verify"] += 1
        for stage in (1, 2, 3):
            yield scoring_pb2.VerifyEvent(progress=scoring_pb2.VerifyEvent.Progress(stage=stage))
        if self.faults:
            self.faults.popleft().end(context, "")
        yield scoring_pb2.VerifyEvent(verdict=verdict_of(request.path))

    def _list(self, request, context):
        self.calls["ListArtifacts"] += 1
        for place in range(10):
            if place == 5 and self.faults:
                self.faults.popleft().end(context, "")
            yield scoring_pb2.Artifact(path=f"{request.folder}/{place}.meta.json")

    # Streams both ways.

    def _streamed(self, name, answer):
        def handle(requests, context):
            with self._lock:
                self.calls[name] += 1
                self.metadata.append(dict(context.invocation_metadata()))
                fault = self.stream_faults.popleft() if self.stream_faults else StreamFault()
            for count, request in enumerate(itertools.chain([None], requests)):
                if request is not None:
                    self.received.release()
                    if fault.hold is not None:
                        fault.hold.wait()
                    yield from fault.instead_of(answer(request), request)
                if count == fault.after:
                    if fault.code is not None:
                        context.abort(fault.code, "injected")
                    return
        return handle

    def _answer_rows(self, request):
        return scoring_pb2.ScoreStreamResponse(id=request.id, response=self._score(request.request))

    def _answer_artifact(self, request):
        self.runs.add(request.run)
        key = (request.run, request.id)
        before = key in self.stored
        if not before:
            self.computed[key] += 1
            self.stored[key] = verdict_of(request.request.path)
        return scoring_pb2.VerifyStreamResponse(id=request.id, verdict=self.stored[key], stored_before=before)


class StreamFault:
    """What one connection of a stream does wrong.

    after    ends after so many requests: with `code`, or well where that is None; None: not at all
    lose     answers that are computed and never sent, from the end: {ids}
    twice    every answer is sent twice
    busy     ids whose first answers ask to come again later: {id: how often}
    hold     an event to await before the first request is looked at
    """

    def __init__(self, after=None, code=grpc.StatusCode.UNAVAILABLE, lose=(), twice=False, busy=None, hold=None,
                 passing=14):
        self.after, self.code, self.lose, self.twice, self.hold = after, code, set(lose), twice, hold
        self.busy, self.passing = dict(busy or {}), passing

    def instead_of(self, response, request):
        if self.busy.get(request.id, 0) > 0:
            self.busy[request.id] -= 1
            delay = 10 if self.passing == 8 else 0
            error = verdict_pb2.ItemError(code=self.passing, message="busy", retry_after_ms=delay)
            return [type(response)(id=request.id, error=error)]
        if request.id in self.lose:
            return []
        return [response, response] if self.twice else [response]


def service_of(method):
    return method.path.split("/")[1]


def verdict_of(path):
    return verdict_pb2.Verdict(path=path, model_name=path, outcome=verdict_pb2.Verdict.OUTCOME_PASS, detector="fake@1")


FAST = driftseal.RetryPolicy(initial_backoff=0.01, max_backoff=0.05, patience=20)


class AgainstFake(unittest.TestCase):
    """A test with an engine that fails on purpose, and a client of it that is quick to try again."""

    def setUp(self):
        self.engine = FakeEngine().start()
        self.addCleanup(self.engine.stop)
        self.client = self.connect()

    def connect(self, **arguments):
        client = driftseal.Client(self.engine.address, **{"retry": FAST, **arguments})
        self.addCleanup(client.close)
        return client

    def paths(self, count):
        return [f"models/{number}.meta.json" for number in range(count)]
