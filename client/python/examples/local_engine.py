"""An engine of one's own for as long as a `with` block lasts."""
from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from types import TracebackType
from typing import Optional, Sequence, Type

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # or: pip install client/python


class LocalEngine:
    """Runs `driftseal serve` on a free port of this machine; ends it by SIGTERM, which lets it finish its work.

    folder  for its state, its log and the file with its port
    root    the folder of the models: no path that a client sends leaves it
    settings  more flags of `driftseal serve`
    """

    def __init__(self, driftseal: str, folder: pathlib.Path, root: pathlib.Path,
                 model_dir: Optional[pathlib.Path] = None, settings: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "engine.log"
        self._ports = folder / "ports.json"
        self._ports.unlink(missing_ok=True)
        detector = model_dir if model_dir is not None else folder / "no-detector"
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                [driftseal, "serve", "--grpc-listen", "127.0.0.1:0", "--http-listen", "", "--artifact-root", root,
                 "--model-dir", detector, "--state-dir", folder / "state", "--port-file", self._ports, *settings],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def __enter__(self) -> "LocalEngine":
        end = time.monotonic() + 60
        while not self._ports.exists():
            if self._process.poll() is not None or time.monotonic() > end:
                self._process.kill()
                raise RuntimeError(f"the engine did not start: {self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)
        self.address = f"127.0.0.1:{json.loads(self._ports.read_text())['grpc']}"
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], problem: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(60)
        if code != 0 and problem is None:
            raise RuntimeError(f"the engine ended with {code}: {self.log.read_text(errors='replace')[-2000:]}")


def find_driftseal() -> str:
    """The program that a checkout builds, unless DRIFTSEAL names another."""
    return os.environ.get("DRIFTSEAL", str(pathlib.Path(__file__).resolve().parents[3] / "build" / "bin" / "driftseal"))
