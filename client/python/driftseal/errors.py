"""What a call to the engine can fail with. Every error carries the id of its request, which the engine logs too."""
from __future__ import annotations

from typing import Any, Iterable, Optional

import grpc

from ._proto import errors_pb2

REQUEST_ID = "x-request-id"
_DETAILS = "grpc-status-details-bin"
_RETRY_INFO = "google.rpc.RetryInfo"
_OVERLOAD = "driftseal.v1.Overload"


class DriftSealError(Exception):
    """A call that failed. `code` is gRPC's name of the reason ("NOT_FOUND")."""

    code: str = "UNKNOWN"

    def __init__(self, message: str, *, code: Optional[str] = None, request_id: str = "",
                 retry_after: Optional[float] = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.request_id = request_id
        #: Seconds after which the engine says that trying again makes sense; None: it does not say so.
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.message} [{self.code}, request {self.request_id}]" if self.request_id else \
            f"{self.message} [{self.code}]"


class Cancelled(DriftSealError):
    code = "CANCELLED"


class InvalidArgument(DriftSealError):
    """The message names the field, and what was expected."""

    code = "INVALID_ARGUMENT"


class DeadlineExceeded(DriftSealError):
    code = "DEADLINE_EXCEEDED"


class NotFound(DriftSealError):
    code = "NOT_FOUND"


class AlreadyExists(DriftSealError):
    code = "ALREADY_EXISTS"


class PermissionDenied(DriftSealError):
    """The token is good, but not for this call."""

    code = "PERMISSION_DENIED"


class Unauthenticated(DriftSealError):
    code = "UNAUTHENTICATED"


class FailedPrecondition(DriftSealError):
    code = "FAILED_PRECONDITION"


class Aborted(DriftSealError):
    code = "ABORTED"


class Unimplemented(DriftSealError):
    code = "UNIMPLEMENTED"


class Internal(DriftSealError):
    code = "INTERNAL"


class Unavailable(DriftSealError):
    """The engine could not be reached, or ended before it answered."""

    code = "UNAVAILABLE"


class DataLoss(DriftSealError):
    code = "DATA_LOSS"


class Overloaded(DriftSealError):
    """The engine refused at once, without work done. `retry_after` says when to come back, in seconds."""

    code = "RESOURCE_EXHAUSTED"

    def __init__(self, message: str, *, resource: str = "", used: int = 0, limit: int = 0, **rest: Any) -> None:
        super().__init__(message, **rest)
        #: What ran out: "queue", "client_queue", "client_rate", "verifications", "operations"; empty: not told.
        self.resource = resource
        #: How much of it was in use, and how much there is.
        self.used, self.limit = used, limit

    @property
    def load(self) -> Optional[float]:
        """Share of the resource in use when the request came; None where the engine did not tell."""
        return self.used / self.limit if self.limit else None


class OperationFailed(DriftSealError):
    """An operation that failed or was cancelled; `progress` is how it ended."""

    code = "ABORTED"

    def __init__(self, message: str, *, progress: Any, **rest: Any) -> None:
        super().__init__(message, **rest)
        self.progress = progress


_BY_CODE = {kind.code: kind for kind in (
    Cancelled, InvalidArgument, DeadlineExceeded, NotFound, AlreadyExists, PermissionDenied, Unauthenticated,
    FailedPrecondition, Aborted, Unimplemented, Internal, Unavailable, DataLoss, Overloaded)}
_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}


def make_error(code: str, message: str, **rest: Any) -> DriftSealError:
    """The exception for gRPC's name of a code."""
    kind = _BY_CODE.get(code)
    return kind(message, **rest) if kind else DriftSealError(message, code=code, **rest)


def from_item(code: int, message: str, retry_after_ms: int, request_id: str = "") -> DriftSealError:
    """The error of one item of a stream."""
    return make_error(_NAMES.get(code, "UNKNOWN"), message, request_id=request_id,
                      retry_after=retry_after_ms / 1000 if retry_after_ms else None)


def _read_details(packed: bytes) -> dict[str, Any]:
    """Overload and RetryInfo out of the trailer; a trailer that cannot be read tells nothing."""
    try:
        details = errors_pb2.ErrorStatus.FromString(packed).details
        found: dict[str, Any] = {}
        for detail in details:
            name = detail.type_url.rpartition("/")[2]
            if name == _RETRY_INFO:
                delay = errors_pb2.RetryInfo.FromString(detail.value).retry_delay
                found["retry_after"] = max(0.0, delay.seconds + delay.nanos / 1e9)
            elif name == _OVERLOAD:
                overload = errors_pb2.Overload.FromString(detail.value)
                resource = errors_pb2.Overload.Resource.Name(overload.resource)
                found.update(resource=resource.replace("RESOURCE_", "").replace("UNSPECIFIED", "").lower(),
                             used=overload.used, limit=overload.limit)
        return found
    except Exception:  # noqa: BLE001 - protobuf's DecodeError, or an enum's value of a later version
        return {}


def from_rpc(error: Any, request_id: str = "") -> DriftSealError:
    """The exception for what grpc raised, of the blocking or of the asyncio kind."""
    details: dict[str, Any] = {}
    for key, value in _pairs(error):
        if key == _DETAILS and isinstance(value, bytes):
            details = _read_details(value)
        elif key == REQUEST_ID:
            request_id = value if isinstance(value, str) else value.decode("ascii", "replace")
    code: str = error.code().name
    if code != Overloaded.code:
        details = {key: value for key, value in details.items() if key == "retry_after"}
    return make_error(code, error.details() or code, request_id=request_id, **details)


def _pairs(error: Any) -> Iterable[tuple[str, Any]]:
    return [(str(key), value) for key, value in (error.trailing_metadata() or ())]
