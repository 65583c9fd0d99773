"""A bidirectional stream for asyncio that outlives its connections."""
from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any, AsyncGenerator, AsyncIterator, Callable, Generic, Hashable, Optional, Tuple, TypeVar

import grpc
import grpc.aio

from ._flow import Flow, ended_early
from ._stream import item_error
from .errors import DriftSealError, from_rpc

K = TypeVar("K", bound=Hashable)
Q = TypeVar("Q")
R = TypeVar("R")

# A write that fails because the call has ended makes grpc.aio report this in the place of the call's own status.
_MASKED = "Internal error from Core"


class Stream(Generic[K, Q, R]):
    """As _stream.Stream, with tasks in the place of threads: one reads the source, one writes requests."""

    def __init__(self, connect: Callable[[], Tuple[Any, str]], source: AsyncIterator[Tuple[K, Q]],
                 flow: Flow[K, Q]) -> None:
        self._connect, self._source, self._flow = connect, source, flow
        self._changed = asyncio.Event()
        self._problem: Optional[BaseException] = None
        self._call: Any = None
        # One request alone is sent until something comes back: then no write can be under way when the call ends, and
        # the status is the engine's.
        self._cautious = False

    async def run(self) -> AsyncGenerator[Tuple[K, R, Optional[DriftSealError]], None]:
        """Once. Closing the generator ends the stream."""
        feeder = asyncio.ensure_future(self._feed())
        writer: Optional[asyncio.Future[None]] = None
        try:
            while True:
                self._flow.restart()
                self._call, request_id = self._connect()
                writer = asyncio.ensure_future(self._write(self._call))
                try:
                    async for response in self._call:
                        self._cautious = False
                        error = item_error(response, request_id)
                        final = self._flow.answer(response.id, error, time.monotonic())
                        self._notify()
                        if final:
                            yield response.id, response, error
                    problem = ended_early()
                except grpc.aio.AioRpcError as failure:
                    problem = from_rpc(failure, request_id)
                    if problem.code == "INTERNAL" and _MASKED in problem.message:
                        problem, self._cautious = ended_early(), True
                except asyncio.CancelledError:
                    if self._problem is None:  # otherwise it was the feeder that cancelled the call
                        raise
                if self._problem is not None:
                    raise self._problem
                if self._flow.done:
                    return
                await self._stop(writer)
                await asyncio.sleep(self._flow.delay_after(problem, time.monotonic()))
                if self._problem is not None:
                    raise self._problem
        finally:
            if self._call is not None:
                self._call.cancel()
            await self._stop(feeder)
            await self._stop(writer)

    async def _write(self, call: Any) -> None:
        sent = 0
        try:
            while not self._flow.done:
                request = None if self._cautious and sent else self._flow.take(time.monotonic())
                if request is None:
                    await self._wait(self._flow.until_next(time.monotonic()))
                else:
                    await call.write(request)
                    sent += 1
            await call.done_writing()
        except (grpc.RpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
            return  # the call has ended; whoever reads from it is told why

    async def _feed(self) -> None:
        try:
            while True:
                while not self._flow.has_room:
                    await self._wait(None)
                try:
                    key, request = await self._source.__anext__()
                except StopAsyncIteration:
                    break
                self._flow.add(key, request, time.monotonic())
                self._notify()
            self._flow.exhausted = True
            self._notify()
        except asyncio.CancelledError:
            raise
        except BaseException as problem:  # noqa: BLE001 - handed to the reader, whatever it is
            self._problem = problem
            self._notify()
            if self._call is not None:
                self._call.cancel()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _wait(self, timeout: Optional[float]) -> None:
        """For the next change, no longer than `timeout` seconds. Between a check and this call nothing else runs."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._changed.wait(), timeout)

    @staticmethod
    async def _stop(task: Optional["asyncio.Future[None]"]) -> None:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
