"""Requests of both clients, from what callers write."""
from __future__ import annotations

import os
from typing import Any, Dict, Iterable, Iterator, Optional, Sequence, Tuple, Union

import numpy.typing as npt

from ._proto import detectors_pb2 as detectors
from ._proto import scoring_pb2 as scoring
from ._rows import DETAILS, PRIORITIES, choose, pack

Path = Union[str, "os.PathLike[str]"]


def path_text(path: Path) -> str:
    """A path beneath the engine's artifact root, with slashes."""
    return os.fspath(path).replace(os.sep, "/")


def score_request(rows: Optional[npt.NDArray[Any]], paths: Sequence[Path], detector: str, family: str, detail: str,
                  priority: str) -> scoring.ScoreRequest:
    request = scoring.ScoreRequest(detector=detector, family=family, detail=choose(DETAILS, detail, "detail"),
                                   priority=choose(PRIORITIES, priority, "priority"),
                                   fingerprints=[path_text(path) for path in paths])
    if rows is not None:
        request.rows.CopyFrom(pack(rows))
    return request


def verify_request(path: Path, *, detector: str = "", alpha: Optional[float] = None,
                   quarantine_alpha: Optional[float] = None, score_only: bool = False, report_entry: bool = False,
                   only_eligible: bool = False, priority: str = "normal",
                   no_replay: bool = False) -> scoring.VerifyRequest:
    request = scoring.VerifyRequest(path=path_text(path), detector=detector, score_only=score_only,
                                    want_report_entry=report_entry, only_eligible=only_eligible, no_replay=no_replay,
                                    priority=choose(PRIORITIES, priority, "priority"))
    if alpha is not None:
        request.policy.alpha = alpha
    if quarantine_alpha is not None:
        request.policy.quarantine_alpha = quarantine_alpha
    return request


def named_request(item: Union[Path, Tuple[str, Path]], run: str,
                  options: Dict[str, Any]) -> Tuple[str, scoring.VerifyStreamRequest]:
    """One item of verify_stream: a path, which then is its id as well, or an id and a path."""
    name, path = item if isinstance(item, tuple) else (path_text(item), item)
    return name, scoring.VerifyStreamRequest(id=name, run=run, request=verify_request(path, **options))


def fit_request(folders: Union[Path, Sequence[Path]], *, meta_glob: str = "", only_eligible: bool = False,
                name: str = "", version: int = 0, seed: int = 0, calibration_share: float = 0.0,
                family_minimum: int = 0, activate: bool = False, alpha: Optional[float] = None,
                delta: Optional[float] = None, canary: Sequence[Path] = (),
                canary_of: str = "") -> detectors.FitRequest:
    names = [folders] if isinstance(folders, (str, os.PathLike)) else list(folders)
    if not names:
        raise ValueError("folders: expected at least one, found none")
    return detectors.FitRequest(folder=path_text(names[0]), paths=[path_text(name) for name in names[1:]],
                                meta_glob=meta_glob, only_eligible=only_eligible, name=name, version=version, seed=seed,
                                calibration_share=calibration_share, family_minimum=family_minimum, activate=activate,
                                alpha=alpha, delta=delta, canary=[path_text(path) for path in canary],
                                canary_of=canary_of)


def named_rows(items: Iterable[Any]) -> Iterator[Tuple[Any, Any]]:
    """Arrays get their place as id; (id, array) keeps its own."""
    for place, item in enumerate(items):
        yield item if isinstance(item, tuple) else (place, item)
