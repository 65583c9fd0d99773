"""A bidirectional stream for blocking callers that outlives its connections."""
from __future__ import annotations

import threading
import time
from typing import Any, Callable, Generator, Generic, Hashable, Iterable, Iterator, Optional, Tuple, TypeVar

import grpc

from ._flow import Flow, ended_early
from .errors import DriftSealError, from_item, from_rpc

K = TypeVar("K", bound=Hashable)
Q = TypeVar("Q")
R = TypeVar("R")


def item_error(response: Any, request_id: str = "") -> Optional[DriftSealError]:
    """The error of a stream's response, which has an id and a oneof of result and error."""
    if response.WhichOneof("result") != "error":
        return None
    return from_item(response.error.code, response.error.message, response.error.retry_after_ms, request_id)


class Stream(Generic[K, Q, R]):
    """Sends what `source` yields, as far as the flow's window lets it, and yields (key, response, error) as they come.

    The source is read by a thread of its own, never further than the window. An exception of it ends the stream and is
    raised to whoever reads the answers.
    """

    def __init__(self, connect: Callable[[Iterator[Q]], Tuple[Any, str]], source: Iterable[Tuple[K, Q]],
                 flow: Flow[K, Q]) -> None:
        self._connect, self._source, self._flow = connect, source, flow
        self._changed = threading.Condition()
        self._connection = 0  # counts them; requests of an earlier one end when they see it
        self._closed = False
        self._problem: Optional[BaseException] = None  # of the source
        self._call: Any = None

    def run(self) -> Generator[Tuple[K, R, Optional[DriftSealError]], None, None]:
        """Once. Closing the generator ends the stream."""
        threading.Thread(target=self._feed, name="driftseal-stream-source", daemon=True).start()
        try:
            while True:
                request_id = ""
                try:
                    call, request_id = self._open()
                    for response in call:
                        error = item_error(response, request_id)
                        with self._changed:
                            final = self._flow.answer(response.id, error, time.monotonic())
                            self._changed.notify_all()
                        if final:
                            yield response.id, response, error
                    problem = ended_early()
                except grpc.RpcError as error:
                    problem = from_rpc(error, request_id)
                with self._changed:
                    if self._problem is not None:
                        raise self._problem
                    if self._flow.done:
                        return
                    delay = self._flow.delay_after(problem, time.monotonic())
                    self._changed.wait_for(lambda: self._problem is not None, delay)
        finally:
            self._close()

    def _open(self) -> Tuple[Any, str]:
        with self._changed:
            self._connection += 1
            self._flow.restart()
            connection = self._connection
            self._changed.notify_all()
        call, request_id = self._connect(self._requests(connection))
        with self._changed:
            self._call = call
            if self._problem is not None:
                call.cancel()
        return call, request_id

    def _requests(self, connection: int) -> Iterator[Q]:
        """What one connection sends; gRPC reads it in a thread of its own."""
        while True:
            with self._changed:
                while True:
                    if self._closed or connection != self._connection or self._flow.done:
                        return
                    now = time.monotonic()
                    request = self._flow.take(now)
                    if request is not None:
                        break
                    self._changed.wait(self._flow.until_next(now))
            yield request

    def _feed(self) -> None:
        try:
            source = iter(self._source)
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or self._flow.has_room)
                    if self._closed:
                        return
                try:
                    key, request = next(source)
                except StopIteration:
                    break
                with self._changed:
                    self._flow.add(key, request, time.monotonic())
                    self._changed.notify_all()
            with self._changed:
                self._flow.exhausted = True
                self._changed.notify_all()
        except BaseException as problem:  # noqa: BLE001 - handed to the reader, whatever it is
            with self._changed:
                self._problem = problem
                self._changed.notify_all()
                if self._call is not None:
                    self._call.cancel()

    def _close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            if self._call is not None:
                self._call.cancel()
