#!/usr/bin/env python3
"""Streams a folder of models through an engine of its own and, given a report of `driftseal verify_all`, compares.

    stream_fleet.py --root incoming --model-dir detector --report verification_report.json

Exit codes: 0, 1 where a verdict differs from the report's.
"""
from __future__ import annotations

import argparse
import collections
import json
import pathlib
import sys
import time
from typing import Dict

from local_engine import LocalEngine, find_driftseal

import driftseal

ORDER = ("pass", "review", "quarantine", "inconclusive", "error")


def counts(verdicts: Dict[str, str]) -> str:
    """ "40 models: 30 pass, 4 review, 6 quarantine, 0 inconclusive" """
    found = collections.Counter(verdicts.values())
    shown = [f"{found[outcome]} {outcome}" for outcome in ORDER if outcome != "error" or found[outcome]]
    return f"{len(verdicts)} models: {', '.join(shown)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, required=True)
    parser.add_argument("--model-dir", type=pathlib.Path, required=True)
    parser.add_argument("--report", type=pathlib.Path)
    parser.add_argument("--state", type=pathlib.Path, required=True, help="folder for the engine's state and log")
    parser.add_argument("--allow-missing-sandbox", metavar="NAMES",
                        help="measures of the sandbox that may lack where models are run, or all")
    arguments = parser.parse_args()
    settings = ["--replay-allow-missing", arguments.allow_missing_sandbox] if arguments.allow_missing_sandbox else []
    verdicts: Dict[str, str] = {}
    with LocalEngine(find_driftseal(), arguments.state, arguments.root, arguments.model_dir, settings) as engine, \
            driftseal.Client(engine.address) as client:
        print(f"engine at {engine.address}: {client.health()}, detector {client.detectors.get().ref}")
        began = time.monotonic()
        for answer in client.verify_stream(artifact.path for artifact in client.list_artifacts()):
            if answer.verdict is None:
                print(f"{answer.id}: {answer.error}", file=sys.stderr)
                return 1
            verdicts[answer.id] = answer.verdict.outcome
        took = time.monotonic() - began
    print(f"\n{counts(verdicts)}\n{took:.1f} s, {len(verdicts) / took:.0f} models/s over the stream")
    if arguments.report is None:
        return 0
    expected = {entry["path"]: entry["verdict"] for entry in json.loads(arguments.report.read_text())["models"]}
    different = sorted(path for path in expected.keys() | verdicts.keys() if expected.get(path) != verdicts.get(path))
    for path in different[:10]:
        print(f"{path}: {verdicts.get(path)} here, {expected.get(path)} in {arguments.report}", file=sys.stderr)
    if not different:
        print(f"the same verdict for each model as in {arguments.report}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
