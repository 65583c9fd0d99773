"""Requests of a stream that are not answered yet: what to send next, what to send again, when to give up.

No threads and no I/O: the blocking and the asyncio stream both drive one, each under its own lock.
"""
from __future__ import annotations

import heapq
from collections import deque
from typing import Deque, Dict, Generic, Hashable, List, Optional, Set, Tuple, TypeVar

from .errors import DriftSealError, Unavailable
from .retry import RetryPolicy

K = TypeVar("K", bound=Hashable)
Q = TypeVar("Q")

# An item's errors that speak of the engine's state and not of the request.
_PASSING = ("UNAVAILABLE", "CANCELLED")


class Flow(Generic[K, Q]):
    """At most `window` requests are under way. Times are seconds of one clock; `end` is the deadline of the whole."""

    def __init__(self, policy: RetryPolicy, window: int, end: Optional[float] = None) -> None:
        if window < 1:
            raise ValueError(f"window: expected at least 1, found {window}")
        self._policy, self._window, self._end = policy, window, end
        self._unanswered: Dict[K, Q] = {}  # in the order of their coming
        self._ready: Deque[K] = deque()
        self._later: List[Tuple[float, int, K]] = []
        self._postponed: Set[K] = set()
        self._seen: Set[K] = set()
        self._count = self._failures = 0
        self._failing_since: Optional[float] = None
        self.exhausted = False  # the caller has no more requests

    @property
    def has_room(self) -> bool:
        return len(self._unanswered) < self._window

    @property
    def done(self) -> bool:
        return self.exhausted and not self._unanswered

    def add(self, key: K, request: Q, now: float) -> None:
        """ValueError for a key that came before: its answers could not be told apart."""
        if key in self._seen:
            raise ValueError(f"id {key!r} is given twice")
        self._seen.add(key)
        self._unanswered[key] = request
        self._ready.append(key)

    def take(self, now: float) -> Optional[Q]:
        """The next request to send."""
        while self._later and self._later[0][0] <= now:
            key = heapq.heappop(self._later)[2]
            self._postponed.discard(key)
            self._ready.append(key)
        return self._unanswered[self._ready.popleft()] if self._ready else None

    def until_next(self, now: float) -> Optional[float]:
        """Seconds until a postponed request is due; None: there is none."""
        return max(0.0, self._later[0][0] - now) if self._later else None

    def is_open(self, key: K) -> bool:
        return key in self._unanswered

    def answer(self, key: K, error: Optional[DriftSealError], now: float) -> bool:
        """Takes an answer. True: it is the answer of this key; False: it comes twice, or asks to be sent again later.

        Raises the error where the engine has had nothing but such answers for longer than the policy's patience.
        """
        if key not in self._unanswered or key in self._postponed:
            return False
        delay = self._postpone_for(error)
        if delay is not None:
            assert error is not None
            self._check_patience(error, now)
            self._count += 1
            heapq.heappush(self._later, (now + delay, self._count, key))
            self._postponed.add(key)
            return False
        del self._unanswered[key]
        self._failing_since, self._failures = None, 0
        return True

    def restart(self) -> None:
        """A new connection: all that is not answered is to be sent, but what was postponed, when it is due."""
        self._ready = deque(key for key in self._unanswered if key not in self._postponed)

    def delay_after(self, error: DriftSealError, now: float) -> float:
        """Seconds before the next connection. Raises the error where it is not to be tried again."""
        if not self._policy.is_retryable(error, idempotent=True):
            raise error
        self._check_patience(error, now)
        self._failures += 1
        delay = (error.retry_after or 0.0) + self._policy.backoff(self._failures)
        if self._end is not None and now + delay >= self._end:
            raise error
        return delay

    def _postpone_for(self, error: Optional[DriftSealError]) -> Optional[float]:
        if error is None or not (error.retry_after is not None or error.code in _PASSING):
            return None
        return (error.retry_after or 0.0) + self._policy.backoff(3)

    def _check_patience(self, error: DriftSealError, now: float) -> None:
        if self._failing_since is None:
            self._failing_since = now
        if self._policy.patience is not None and now - self._failing_since > self._policy.patience:
            raise error


def ended_early() -> DriftSealError:
    """For a stream that the engine ended well, but before it answered everything."""
    return Unavailable("the engine ended the stream before it answered everything")
