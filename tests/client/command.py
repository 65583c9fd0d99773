"""Runs `driftseal score` over rows, and finds the package under test."""
import csv
import json
import pathlib
import subprocess
import sys
from dataclasses import dataclass

import numpy as np

PACKAGE = pathlib.Path(__file__).resolve().parents[2] / "client" / "python"
sys.path.insert(0, str(PACKAGE))


@dataclass(frozen=True)
class Scored:
    """What the command said of the rows, in their order."""

    code: int
    members: dict  # name: raw scores
    combined: np.ndarray
    p_values: list  # None where there is none
    remark: str


def write_rows(path, names, rows):
    """Doubles as the shortest text that reads back exactly."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([float(value) for value in row] for row in rows)


def run_score(driftseal, rows_file, detector):
    return subprocess.run([driftseal, "score", str(rows_file), "--model-dir", str(detector), "--format", "json"],
                          capture_output=True, text=True, timeout=120)


def score(driftseal, rows_file, detector):
    run = run_score(driftseal, rows_file, detector)
    # 0 nothing stands out, 1 a row does, 4 uncalibrated; anything else is an error.
    if run.returncode not in (0, 1, 4):
        raise RuntimeError(f"driftseal score: exit code {run.returncode}: {run.stderr.strip()}")
    rows = json.loads(run.stdout)["rows"]
    assert [row["row"] for row in rows] == list(range(1, len(rows) + 1))
    as_number = lambda value: np.nan if value is None else value
    members = {name: np.array([as_number(row["members"][name]["raw"]) for row in rows])
               for name in rows[0]["members"]}
    return Scored(run.returncode, members, np.array([as_number(row["combined"]) for row in rows]),
                  [row["p_value"] for row in rows], rows[0].get("remark", ""))
