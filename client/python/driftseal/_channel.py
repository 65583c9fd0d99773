"""How both clients connect: address, credentials, metadata, options, and the table of methods."""
from __future__ import annotations

import os
import pathlib
import uuid
from dataclasses import dataclass
from typing import Any, Callable, Generic, Optional, TypeVar, Union

import grpc

from ._proto import detectors_pb2 as detectors
from ._proto import health
from ._proto import integrity_pb2 as integrity
from ._proto import predictions_pb2 as predictions
from ._proto import scoring_pb2 as scoring
from ._proto import verdict_pb2 as verdict
from .errors import REQUEST_ID

Pem = Union[bytes, str, "os.PathLike[str]"]
Req = TypeVar("Req")
Res = TypeVar("Res")

OPTIONS = [
    # Answers with drivers are larger than their rows; what an engine that is trusted with verdicts sends is no threat.
    ("grpc.max_receive_message_length", 256 << 20),
    ("grpc.max_send_message_length", -1),
    # A peer that is gone without a word is noticed, and an engine that restarts is found again soon.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
]


@dataclass(frozen=True)
class Method(Generic[Req, Res]):
    """A method of the contract. `idempotent`: done twice it leaves the same, so that it may be tried again."""

    path: str
    request: type[Req]
    response: type[Res]
    idempotent: bool = True

    def on(self, kind: Callable[..., Any]) -> Any:
        """The call on a channel: `kind` is channel.unary_unary, channel.unary_stream, ..."""
        request: Any = self.request
        response: Any = self.response
        return kind(self.path, request.SerializeToString, response.FromString)


_SCORING, _DETECTORS = "/driftseal.v1.Scoring/", "/driftseal.v1.Detectors/"
_PREDICTIONS = "/driftseal.v1.Predictions/"
SCORE = Method(_SCORING + "Score", scoring.ScoreRequest, scoring.ScoreResponse)
SCORE_STREAM = Method(_SCORING + "ScoreStream", scoring.ScoreStreamRequest, scoring.ScoreStreamResponse)
VERIFY = Method(_SCORING + "Verify", scoring.VerifyRequest, scoring.VerifyEvent)
VERIFY_STREAM = Method(_SCORING + "VerifyStream", scoring.VerifyStreamRequest, scoring.VerifyStreamResponse)
LIST_ARTIFACTS = Method(_SCORING + "ListArtifacts", scoring.ListArtifactsRequest, scoring.Artifact)
LIST = Method(_DETECTORS + "List", detectors.ListDetectorsRequest, detectors.ListDetectorsResponse)
GET = Method(_DETECTORS + "Get", detectors.GetDetectorRequest, detectors.Detector)
FIT = Method(_DETECTORS + "Fit", detectors.FitRequest, detectors.Operation, idempotent=False)
LOAD = Method(_DETECTORS + "Load", detectors.LoadDetectorRequest, detectors.Detector, idempotent=False)
ACTIVATE = Method(_DETECTORS + "Activate", detectors.ActivateRequest, detectors.Detector)
ROLL_BACK = Method(_DETECTORS + "RollBack", detectors.RollBackRequest, detectors.Detector, idempotent=False)
GET_OPERATION = Method(_DETECTORS + "GetOperation", detectors.GetOperationRequest, detectors.Operation)
WATCH_OPERATION = Method(_DETECTORS + "WatchOperation", detectors.WatchOperationRequest, detectors.Operation)
CANCEL_OPERATION = Method(_DETECTORS + "CancelOperation", detectors.CancelOperationRequest, detectors.Operation)
BACKFILL = Method("/driftseal.v1.Integrity/Backfill", integrity.BackfillRequest, integrity.BackfillEntry)
SANITIZE = Method(_PREDICTIONS + "Sanitize", predictions.SanitizeRequest, predictions.SanitizeResponse,
                  idempotent=False)
RETRAIN_PLAN = Method(_PREDICTIONS + "RetrainPlan", predictions.RetrainPlanRequest, predictions.RetrainPlanResponse)
SCORE_MODEL = Method(_PREDICTIONS + "ScoreModel", predictions.ScoreModelRequest, verdict.Verdict)
HEALTH = Method("/grpc.health.v1.Health/Check", health.HealthCheckRequest, health.HealthCheckResponse)


def _read_pem(pem: Optional[Pem]) -> Optional[bytes]:
    return pem if pem is None or isinstance(pem, bytes) else pathlib.Path(pem).read_bytes()


def _is_local(address: str) -> bool:
    host = address.partition(":///")[2] or address
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return host.strip("[]") in ("localhost", "::1") or host.startswith("127.")


@dataclass(frozen=True)
class Target:
    """Where to connect and as whom."""

    address: str
    credentials: Optional[Any]  # grpc.ChannelCredentials; None: plaintext
    token: Optional[str]
    options: list[tuple[str, Any]]

    def metadata(self) -> tuple[list[tuple[str, str]], str]:
        """What a call carries, and its new request id."""
        request_id = uuid.uuid4().hex
        pairs = [(REQUEST_ID, request_id)]
        if self.token:
            pairs.append(("authorization", f"Bearer {self.token}"))
        return pairs, request_id


def make_target(address: str, token: Optional[str], tls: Optional[bool], root_certificates: Optional[Pem],
                client_certificate: Optional[tuple[Pem, Pem]], server_name: Optional[str],
                allow_plaintext_token: bool) -> Target:
    """ValueError where a token would travel in plain text to another machine."""
    if not address:
        raise ValueError("address: expected host:port, found an empty one")
    secure = tls if tls is not None else root_certificates is not None or client_certificate is not None
    if not secure and (root_certificates is not None or client_certificate is not None):
        raise ValueError("tls=False, but certificates are given")
    if token and not secure and not _is_local(address) and not allow_plaintext_token:
        raise ValueError(f"token: the connection to {address} is not encrypted, and everybody on the way could "
                         "read the token; give root_certificates or tls=True, or allow_plaintext_token=True")
    options: list[tuple[str, Any]] = list(OPTIONS)
    if server_name:
        options.append(("grpc.ssl_target_name_override", server_name))
    credentials = None
    if secure:
        certificate, key = client_certificate or (None, None)
        credentials = grpc.ssl_channel_credentials(_read_pem(root_certificates), _read_pem(key), _read_pem(certificate))
    return Target(address, credentials, token, options)
