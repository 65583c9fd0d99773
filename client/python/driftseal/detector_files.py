"""Writes a detector to disk in the format of docs/formats/detector.md: detector_state.json and detector.safetensors."""
from __future__ import annotations

import hashlib
import json
import os
import pathlib

import numpy as np

STATE_FILE, ARRAYS_FILE = "detector_state.json", "detector.safetensors"
FORMAT = "driftseal-detector"
_TYPES = {"float64": "F64", "float32": "F32", "int32": "I32"}


def safetensors(arrays: dict[str, np.ndarray]) -> bytes:
    """The arrays as a safetensors file, the widest elements first, so that all are aligned; deterministic."""
    header, data, offset = {"__metadata__": {"format": FORMAT}}, [], 0
    for name in sorted(arrays, key=lambda key: (-arrays[key].dtype.itemsize, key)):
        array = arrays[name]
        if not np.isfinite(array).all():
            raise ValueError(f"array {name}: holds a value that is not finite")
        content = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        header[name] = {"dtype": _TYPES[array.dtype.name], "shape": list(array.shape),
                        "data_offsets": [offset, offset + len(content)]}
        data.append(content)
        offset += len(content)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(data)


def write(directory: str | os.PathLike, state: dict, arrays: dict[str, np.ndarray]) -> None:
    """Both files, each written beside and renamed, the arrays first: whoever reads in between finds a digest that does
    not match, and refuses the pair."""
    content = safetensors(arrays)
    state = dict(state, format=FORMAT, format_version=1,
                 arrays={"file": ARRAYS_FILE, "sha256": hashlib.sha256(content).hexdigest()})
    text = json.dumps(state, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    folder = pathlib.Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    _write_file(folder / ARRAYS_FILE, content)
    _write_file(folder / STATE_FILE, text.encode("utf-8"))


def _write_file(path: pathlib.Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    # "x" never follows a link that somebody left at this name.
    with open(beside, "xb") as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.replace(beside, path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
