"""What is tried again, when, and how often."""
from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import Optional

from .errors import DriftSealError, Overloaded, Unavailable


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential backoff with full jitter: the n-th retry waits 0 to initial_backoff · multiplierⁿ⁻¹ seconds.

    Tried again are UNAVAILABLE, where the call may be done twice without harm, and RESOURCE_EXHAUSTED where the engine
    says when to come back (then not before). Nothing is tried again once its deadline has passed.
    """

    attempts: int = 5                #: Of a call, the first one included. 1: no retries.
    initial_backoff: float = 0.1     #: Seconds.
    max_backoff: float = 5.0         #: Seconds.
    multiplier: float = 2.0
    #: Retries that a client may make over all its calls before it has to be answered again: each retry takes one from
    #: this many, each answer gives a tenth back. Keeps a fleet of clients from hammering an engine that is down.
    budget: float = 20.0
    #: Seconds that a stream may go without any answer while it reconnects. None: for ever.
    patience: Optional[float] = 120.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.initial_backoff < 0 or self.max_backoff < 0 or self.multiplier < 1:
            raise ValueError("RetryPolicy: expected attempts >= 1, backoffs >= 0 and multiplier >= 1")

    def backoff(self, retry: int, random_share: Optional[float] = None) -> float:
        """Seconds before the `retry`-th retry, counted from 1."""
        share = random.random() if random_share is None else random_share
        return share * min(self.max_backoff, self.initial_backoff * self.multiplier ** min(retry - 1, 64))

    def is_retryable(self, error: DriftSealError, idempotent: bool) -> bool:
        if isinstance(error, Overloaded):
            return error.retry_after is not None  # without it a message was too large for gRPC, and will be so again
        return isinstance(error, Unavailable) and idempotent


class Budget:
    """Of one client; threads share it."""

    ANSWER = 0.1

    def __init__(self, limit: float) -> None:
        self._limit = self._left = limit
        self._lock = threading.Lock()

    def answered(self) -> None:
        with self._lock:
            self._left = min(self._limit, self._left + self.ANSWER)

    def take(self) -> bool:
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True


class Attempts:
    """The attempts of one call: how long the next one may take, and whether there is one."""

    def __init__(self, policy: RetryPolicy, budget: Budget, timeout: Optional[float], idempotent: bool) -> None:
        self._policy, self._budget, self._idempotent = policy, budget, idempotent
        self._end = None if timeout is None else time.monotonic() + timeout
        self._made = 0

    def time_left(self) -> Optional[float]:
        """Seconds for the next attempt, never below 0."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def succeeded(self) -> None:
        self._budget.answered()

    def delay_after(self, error: DriftSealError) -> Optional[float]:
        """Seconds to wait before the next attempt; None: there is none, the error stands."""
        self._made += 1
        if self._made >= self._policy.attempts or not self._policy.is_retryable(error, self._idempotent):
            return None
        delay = (error.retry_after or 0.0) + self._policy.backoff(self._made)
        left = self.time_left()
        if left is not None and delay >= left:
            return None
        return delay if self._budget.take() else None
