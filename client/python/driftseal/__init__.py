"""Python side of DriftSeal.

    driftseal.Client            a client of the engine; driftseal.aio.Client is its twin for asyncio
    driftseal.meta              meta files, from training scripts
    driftseal.import_sklearn    detectors trained in scikit-learn

docs/python.md shows all three.
"""
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import aio, meta
    from .client import Client
    from .errors import (Aborted, AlreadyExists, Cancelled, DataLoss, DeadlineExceeded, DriftSealError,
                         FailedPrecondition, Internal, InvalidArgument, NotFound, OperationFailed, Overloaded,
                         PermissionDenied, Unauthenticated, Unavailable, Unimplemented)
    from .results import (Artifact, BackfillEntry, Detector, Progress, RetrainPlan, Sanitized, Scores, StreamedScores,
                          StreamedVerdict, Verdict)
    from .retry import RetryPolicy

# Loaded when they are asked for: the import of scikit-learn detectors and meta files need no gRPC.
_HOMES = {
    "client": ("Client",),
    "retry": ("RetryPolicy",),
    "errors": ("Aborted", "AlreadyExists", "Cancelled", "DataLoss", "DeadlineExceeded", "DriftSealError",
               "FailedPrecondition", "Internal", "InvalidArgument", "NotFound", "OperationFailed", "Overloaded",
               "PermissionDenied", "Unauthenticated", "Unavailable", "Unimplemented"),
    "results": ("Artifact", "BackfillEntry", "Detector", "Progress", "RetrainPlan", "Sanitized", "Scores",
                "StreamedScores", "StreamedVerdict", "Verdict"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = ("aio", "meta")

__all__ = ["Aborted", "AlreadyExists", "Artifact", "BackfillEntry", "Cancelled", "Client", "DataLoss",
           "DeadlineExceeded", "Detector", "DriftSealError", "FailedPrecondition", "Internal", "InvalidArgument",
           "NotFound", "OperationFailed", "Overloaded", "PermissionDenied", "Progress", "RetrainPlan", "RetryPolicy",
           "Sanitized", "Scores", "StreamedScores", "StreamedVerdict", "Unauthenticated", "Unavailable",
           "Unimplemented", "Verdict", "aio", "meta"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME_OF[name]}", __name__), name)
