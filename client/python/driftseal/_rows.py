"""Rows of numbers on their way to the engine: matched to columns, packed, split into messages."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterator, Sequence, Union

import numpy as np
import numpy.typing as npt

from ._proto import scoring_pb2 as scoring

if TYPE_CHECKING:
    import pandas as pd

    Table = Union[npt.ArrayLike, pd.DataFrame]
else:
    Table = Any

#: Of one message: the engine's own batches are of this size, and all rows of a message wait for its last.
ROWS_PER_MESSAGE = 1024
BYTES_PER_MESSAGE = 4 << 20
_WIRE = np.dtype("<f4")

DETAILS = {"scores": scoring.DETAIL_SCORES, "members": scoring.DETAIL_MEMBERS, "drivers": scoring.DETAIL_DRIVERS}
PRIORITIES = {"low": scoring.PRIORITY_LOW, "normal": scoring.PRIORITY_NORMAL, "high": scoring.PRIORITY_HIGH}


def is_frame(rows: Any) -> bool:
    """A DataFrame of pandas, told without importing pandas."""
    return hasattr(rows, "columns") and hasattr(rows, "to_numpy") and hasattr(rows, "index")


def match_columns(frame: Any, features: Sequence[str]) -> npt.NDArray[Any]:
    """The detector's columns of a DataFrame, in the detector's order, as one matrix.

    ValueError names what is missing.
    """
    names = [str(name) for name in frame.columns]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"rows: expected every column once, found twice: {_listed(twice)}")
    places = {name: place for place, name in enumerate(names)}
    missing = [name for name in features if name not in places]
    if missing:
        raise ValueError(f"rows: {len(missing)} of the detector's {len(features)} columns are missing: "
                         f"{_listed(missing)}")
    chosen = frame.iloc[:, [places[name] for name in features]]
    wrong = [f"{name} ({kind})" for name, kind in zip(features, chosen.dtypes)
             if getattr(kind, "kind", "O") not in "fiub"]
    if wrong:
        raise ValueError(f"rows: expected columns of numbers, found {_listed(wrong)}")
    if all(isinstance(kind, np.dtype) for kind in chosen.dtypes):
        return np.asarray(chosen.to_numpy())
    # pandas's own integers and floats have a missing value of theirs.
    return np.asarray(chosen.to_numpy(dtype=np.float64, na_value=np.nan))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) if " (" not in name else name for name in names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"


def as_matrix(rows: Any) -> npt.NDArray[Any]:
    """rows × columns of real numbers; nothing is copied that is an array already. ValueError otherwise."""
    matrix = np.asarray(rows)
    if matrix.ndim != 2:
        raise ValueError(f"rows: expected a matrix of rows and columns, found shape {matrix.shape}"
                         + (" (one row alone is rows[None, :])" if matrix.ndim == 1 else ""))
    if matrix.shape[1] == 0:
        raise ValueError("rows: expected at least one column, found none")
    if matrix.dtype.kind not in "fiub":
        raise ValueError(f"rows: expected numbers, found {matrix.dtype}")
    return matrix


def pack(matrix: npt.NDArray[Any]) -> scoring.Rows:
    """float32, little-endian, row by row. Values beyond float32 become infinite, which the engine refuses by row."""
    with np.errstate(over="ignore"):
        packed = matrix.astype(_WIRE, order="C", copy=False).tobytes()
    return scoring.Rows(cols=matrix.shape[1], float32_le=packed)


def split(matrix: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Views of the matrix that each fit into a message; one of them at least."""
    rows = max(1, min(ROWS_PER_MESSAGE, BYTES_PER_MESSAGE // (matrix.shape[1] * _WIRE.itemsize)))
    for start in range(0, max(1, len(matrix)), rows):
        yield matrix[start:start + rows]


def choose(table: dict[str, Any], value: str, field: str) -> Any:
    """The enum's value for a word."""
    if value not in table:
        raise ValueError(f"{field}: expected {', '.join(map(repr, table))}, found {value!r}")
    return table[value]
