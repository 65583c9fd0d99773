"""Writes the first inputs of the replay protocol's fuzz targets: python3 make_replay.py (docs/formats/replay.md)."""
import pathlib
import struct

here = pathlib.Path(__file__).parent


def message(kind, body):
    return b"DSRS" + struct.pack("<HH", 1, kind) + body


def text(value):
    return struct.pack("<H", len(value)) + value


key = bytes(range(32))
engine = {
    "hello": message(1, struct.pack("<H", 2) + text(b"landlock") + b"\1" + text(b"") + text(b"seccomp") + b"\0" + text(b"none")),
    "exited": message(3, struct.pack("<IQQ", 11, 1000, 2000)),
    "refused": message(4, text(b"fork: no memory")),
    "answer": message(6, struct.pack("<QBQ", 7, 0, 4096) + text(b"")),
    "error": message(6, struct.pack("<QBQ", 7, 3, 0) + text(b"no such model")),
    "answer-too-long": message(6, struct.pack("<QBQ", 7, 0, 4097) + text(b"")),
    "answer-of-another": message(6, struct.pack("<QBQ", 8, 0, 1) + text(b"")),
    "short": message(6, b"\7"),
}
worker = {
    "spawn": message(2, struct.pack("<QI", 1 << 30, 130) + key + struct.pack("<Q", 100)),
    "job": message(5, struct.pack("<QBBQQ", 7, 2, 0, 1000, 4096) + key + struct.pack("<Q", 100) + text(b'{"sweep":true}')),
    "job-without-model": message(5, struct.pack("<QBBQQ", 7, 2, 0, 0, 4096) + key + struct.pack("<Q", 100) + text(b"")),
    "version": b"DSRS" + struct.pack("<HH", 2, 5),
}
for folder, inputs in (("replay_engine", engine), ("replay_worker", worker)):
    (here / folder).mkdir(exist_ok=True)
    for name, data in inputs.items():
        (here / folder / name).write_bytes(data)
