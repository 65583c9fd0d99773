"""Files that appear whole or not at all, and their digests."""
from __future__ import annotations

import hashlib
import os
import pathlib


def sha256_of(path: pathlib.Path) -> str:
    """Of the file's bytes, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()


def write_file(path: pathlib.Path, content: bytes) -> None:
    """Written beside and renamed: a reader sees the old file or the new one, never a part."""
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
