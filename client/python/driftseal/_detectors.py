"""The detectors of an engine, and operations that take long, for blocking callers."""
from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Sequence, Union

from . import _channel as methods
from . import _requests as requests
from . import results
from ._proto import detectors_pb2
from ._requests import Path
from .errors import DeadlineExceeded, OperationFailed

if TYPE_CHECKING:
    from .client import Client


class Operation:
    """Something that takes long. It goes on when nobody waits for it."""

    def __init__(self, client: "Client", progress: results.Progress) -> None:
        self._client = client
        self.progress = progress  #: as last heard of; refresh() asks again

    @property
    def name(self) -> str:
        return self.progress.name

    def refresh(self, *, timeout: Optional[float] = None) -> results.Progress:
        """Asks how it stands."""
        return self._take(self._client._quick(methods.GET_OPERATION,
                                              detectors_pb2.GetOperationRequest(name=self.name), timeout))

    def cancel(self, *, timeout: Optional[float] = None) -> results.Progress:
        """Asks it to stop; it ends as "cancelled", unless it was done first."""
        return self._take(self._client._quick(methods.CANCEL_OPERATION,
                                              detectors_pb2.CancelOperationRequest(name=self.name), timeout))

    def wait(self, timeout: Optional[float] = None, *,
             progress: Optional[Callable[[results.Progress], None]] = None) -> results.Detector:
        """Waits for its end. `progress` is called whenever it changes.

        OperationFailed where it failed or was cancelled; DeadlineExceeded after `timeout` seconds (it then goes on);
        NotFound where the engine was started anew meanwhile.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while not self.progress.finished:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                raise DeadlineExceeded(f"operation {self.name}: {self.progress.state} after {timeout:g} s")
            request = detectors_pb2.WatchOperationRequest(name=self.name)
            for message in self._client._server_stream(methods.WATCH_OPERATION, lambda: request, left):
                self._take(message)
                if progress is not None:
                    progress(self.progress)
        return result_of(self.progress)

    def _take(self, message: detectors_pb2.Operation) -> results.Progress:
        self.progress = results.read_progress(message)
        return self.progress


def result_of(progress: results.Progress) -> results.Detector:
    """The detector of an operation that is finished."""
    if progress.state != "done" or progress.detector is None:
        raise OperationFailed(f"operation {progress.name}: {progress.error or progress.state}", progress=progress)
    return progress.detector


class Detectors:
    """`client.detectors`. A detector is named "name" (its active version) or "name@version"."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def list(self, name: str = "", *, timeout: Optional[float] = None) -> List[results.Detector]:
        """All versions of all detectors, or of one, without their columns and families."""
        answer = self._client._quick(methods.LIST, detectors_pb2.ListDetectorsRequest(name=name), timeout)
        return [results.read_detector(detector) for detector in answer.detectors]

    def get(self, detector: str = "", *, timeout: Optional[float] = None) -> results.Detector:
        """One detector, with its columns and families. Empty: the engine's default one."""
        return self._read(methods.GET, detectors_pb2.GetDetectorRequest(detector=detector), timeout)

    def fit(self, folders: Union[Path, Sequence[Path]], *, timeout: Optional[float] = None, **options: Any) -> Operation:
        """Starts to fit a detector on the models of a folder, or of several, beneath the artifact root.

        meta_glob, only_eligible, name, version, seed, calibration_share, family_minimum, activate, alpha, delta, canary,
        canary_of: as in proto/driftseal/v1/detectors.proto (FitRequest).
        """
        request = requests.fit_request(folders, **options)
        return Operation(self._client, results.read_progress(self._client._quick(methods.FIT, request, timeout)))

    def operation(self, name: str, *, timeout: Optional[float] = None) -> Operation:
        """An operation that was started before, by its name."""
        request = detectors_pb2.GetOperationRequest(name=name)
        answer = self._client._quick(methods.GET_OPERATION, request, timeout)
        return Operation(self._client, results.read_progress(answer))

    def load(self, folder: Path, *, activate: bool = False, timeout: Optional[float] = None) -> results.Detector:
        """Loads a detector from a folder beneath the artifact root."""
        request = detectors_pb2.LoadDetectorRequest(folder=requests.path_text(folder), activate=activate)
        return self._read(methods.LOAD, request, timeout)

    def activate(self, detector: str, *, timeout: Optional[float] = None) -> results.Detector:
        """Makes "name@version" the active version of its name."""
        return self._read(methods.ACTIVATE, detectors_pb2.ActivateRequest(detector=detector), timeout)

    def roll_back(self, name: str, *, timeout: Optional[float] = None) -> results.Detector:
        """Makes the version active that was so before."""
        return self._read(methods.ROLL_BACK, detectors_pb2.RollBackRequest(name=name), timeout)

    def _read(self, method: Any, request: Any, timeout: Optional[float]) -> results.Detector:
        return results.read_detector(self._client._quick(method, request, timeout))
