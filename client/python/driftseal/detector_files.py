"""Writes a detector to disk in the format of docs/formats/detector.md: detector_state.json and detector.safetensors."""
from __future__ import annotations

import hashlib
import json
import os
import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt

from ._files import write_file

STATE_FILE, ARRAYS_FILE = "detector_state.json", "detector.safetensors"
FORMAT = "driftseal-detector"
_TYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64", "int32": "I32", "int16": "I16",
          "int8": "I8", "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL"}


def safetensors(arrays: dict[str, npt.NDArray[Any]], kind: str = FORMAT, finite: bool = True) -> bytes:
    """The arrays as a safetensors file, the widest elements first, so that all are aligned; deterministic.

    ValueError for an array of a type that the format has not, and with `finite` for values that are not.
    """
    header: dict[str, Any] = {"__metadata__": {"format": kind}}
    data, offset = [], 0
    for name in sorted(arrays, key=lambda key: (-arrays[key].dtype.itemsize, key)):
        array = arrays[name]
        if array.dtype.name not in _TYPES:
            raise ValueError(f"array {name}: {array.dtype} is no type of the safetensors format")
        if finite and not np.isfinite(array).all():
            raise ValueError(f"array {name}: holds a value that is not finite")
        content = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False).tobytes()
        header[name] = {"dtype": _TYPES[array.dtype.name], "shape": list(array.shape),
                        "data_offsets": [offset, offset + len(content)]}
        data.append(content)
        offset += len(content)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(data)


def write(directory: str | os.PathLike[str], state: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Both files, each written beside and renamed, the arrays first: whoever reads in between finds a digest that does
    not match, and refuses the pair."""
    content = safetensors(arrays)
    state = dict(state, format=FORMAT, format_version=1,
                 arrays={"file": ARRAYS_FILE, "sha256": hashlib.sha256(content).hexdigest()})
    text = json.dumps(state, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    folder = pathlib.Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / ARRAYS_FILE, content)
    write_file(folder / STATE_FILE, text.encode("utf-8"))
