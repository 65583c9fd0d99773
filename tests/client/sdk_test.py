#!/usr/bin/env python3
"""The Python SDK against the real engine: rows, models, detectors, files, with threads and with asyncio.

Usage: sdk_test.py --driftseal PROGRAM [unittest's arguments]
"""
import asyncio
import inspect
import json
import pathlib
import shutil
import subprocess
import tempfile
import threading
import unittest
import warnings

import numpy as np
import pandas as pd

import command
import fixture
import running_engine
import driftseal
from driftseal import aio

LOOP = asyncio.new_event_loop()  # one: gRPC keeps the one that it saw first
COLUMNS = ["a", "b", "c"]


def setUpModule():
    """One engine for all tests: a detector of models is its default, and knows how to load one of rows."""
    global folder, root, engine
    warnings.simplefilter("ignore")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="driftseal-sdk-"))
    unittest.addModuleCleanup(shutil.rmtree, folder)
    root = folder / "root"
    running_engine.write_models(root / "trusted", 120)
    running_engine.make_model_detector(fixture.driftseal, root / "trusted", folder / "detector")
    running_engine.write_models(root / "fleet", 40, 1000)
    running_engine.write_models(root / "fleet", 5, 2000, fingerprint=lambda place: {"model_sha256": "0" * 64})
    (root / "fleet" / "broken.meta.json").write_text("{")
    for version in (1, 2):
        running_engine.make_row_detector(root / f"rows{version}", version, COLUMNS, seed=version)
    engine = running_engine.Engine(fixture.driftseal, folder, root).start()
    unittest.addModuleCleanup(engine.stop)
    with driftseal.Client(engine.address) as client:
        for version in (1, 2):
            client.detectors.load(f"rows{version}", activate=version == 1)


class Blocking(unittest.TestCase):
    """What driftseal.Client does; Asyncio runs the same tests with its twin."""

    def setUp(self):
        self.client = driftseal.Client(engine.address)
        self.addCleanup(self.client.close)

    def all(self, stream):
        return list(stream)


class Tests:
    """Of both clients."""

    def test_scores_are_those_of_the_command_line(self):
        rows = np.random.default_rng(5).normal(size=(200, 3))
        command.write_rows(folder / "rows.csv", COLUMNS, rows.astype(np.float32))
        expected = command.score(fixture.driftseal, folder / "rows.csv", root / "rows1")
        found = self.client.score(rows, detector="rows", detail="drivers")
        self.assertEqual(found.detector, "rows@1")
        # The engine scores rows in single precision.
        np.testing.assert_allclose(found.combined, expected.combined, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found.members["forest"], expected.members["forest"], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found.p_value, expected.p_values, atol=0.03)
        self.assertEqual(len(found.details), 200)
        self.assertLessEqual({driver.feature for driver in found.details[0].drivers}, set(COLUMNS))
        self.assertTrue(found.details[0].drivers)

    def test_data_frames(self):
        frame = pd.DataFrame(np.random.default_rng(6).normal(size=(50, 3)), columns=["c", "x", "a"],
                             index=pd.RangeIndex(100, 150)).assign(b=0.5)
        found = self.client.score(frame, detector="rows")
        expected = self.client.score(frame[COLUMNS].to_numpy(), detector="rows")
        np.testing.assert_array_equal(found.combined, expected.combined)
        self.assertEqual(list(found.to_frame().index), list(range(100, 150)))
        with self.assertRaisesRegex(ValueError, "1 of the detector's 3 columns are missing: 'b'"):
            self.client.score(frame.drop(columns="b"), detector="rows")

    def test_missing_values_and_values_that_are_refused(self):
        rows = np.zeros((4, 3))
        rows[2, 1] = np.nan
        found = self.client.score(rows, detector="rows", detail="drivers")
        self.assertIn("b", found.details[2].remark)
        rows[3, 0] = np.inf
        with self.assertRaises(driftseal.InvalidArgument) as caught:
            self.client.score(rows, detector="rows")
        self.assertRegex(str(caught.exception), "3|4")
        self.assertRegex(caught.exception.request_id, "^[0-9a-f]{32}$")
        with self.assertRaises(driftseal.InvalidArgument):
            self.client.score(np.zeros((2, 4)), detector="rows")
        with self.assertRaises(driftseal.NotFound):
            self.client.score(rows[:2], detector="nobody")

    def test_many_rows_and_streams_give_the_same_scores(self):
        rows = np.random.default_rng(7).normal(size=(20000, 3)).astype(np.float32)
        whole = self.client.score(rows, detector="rows")
        self.assertEqual(len(whole), 20000)
        sampled = self.client.score(rows[::400], detector="rows")
        np.testing.assert_allclose(whole.combined[::400], sampled.combined, rtol=1e-6)
        parts = {f"part {start}": rows[start:start + 500] for start in range(0, 20000, 500)}
        answers = self.all(self.client.score_stream(parts.items(), detector="rows"))
        self.assertEqual({answer.id for answer in answers}, set(parts))
        for answer in answers:
            start = int(answer.id.split()[1])
            np.testing.assert_allclose(answer.scores.combined, whole.combined[start:start + 500], rtol=1e-6)

    def test_an_item_that_fails_does_not_end_the_stream(self):
        bad = np.full((1, 3), np.inf)
        answers = self.all(self.client.score_stream([np.zeros((1, 3)), bad, np.zeros((2, 3))], detector="rows"))
        errors = {answer.id: answer.error for answer in answers}
        self.assertIsInstance(errors.pop(1), driftseal.InvalidArgument)
        self.assertEqual(errors, {0: None, 2: None})

    def test_models_are_scored_and_verified_as_on_the_command_line(self):
        report = folder / "report.json"
        subprocess.run([fixture.driftseal, "verify_all", root / "fleet", "--model-dir", folder / "detector",
                        "--restart", "--output-path", report], capture_output=True, timeout=120)
        expected = {f"fleet/{entry['path']}": entry for entry in json.loads(report.read_text())["models"]}
        paths = [artifact.path for artifact in self.all(self.client.list_artifacts("fleet"))]
        self.assertEqual(set(paths), set(expected))
        self.assertEqual(paths, sorted(paths))
        answers = {answer.id: answer.verdict for answer in self.all(self.client.verify_stream(paths))}
        self.assertEqual({path: verdict.outcome for path, verdict in answers.items()},
                         {path: entry["verdict"] for path, entry in expected.items()})
        self.assertEqual({verdict.outcome for verdict in answers.values()} & {"pass", "quarantine", "error"},
                         {"pass", "quarantine", "error"})
        one = answers["fleet/m1000.meta.json"]
        entry = expected["fleet/m1000.meta.json"]
        self.assertEqual([signal.kind for signal in one.signals], [signal["kind"] for signal in entry["signals"]])
        self.assertAlmostEqual(one.score.p_value, entry["score"]["p_value"])
        scored = self.client.score_models(["fleet/m1000.meta.json", "fleet/m1001.meta.json"])
        self.assertAlmostEqual(scored.combined[0], one.score.combined, places=9)
        self.assertEqual(scored.index, ["fleet/m1000.meta.json", "fleet/m1001.meta.json"])

    def test_verify_tells_progress_and_evidence(self):
        stages = []
        verdict = self.client.verify("fleet/m2000.meta.json", progress=stages.append, report_entry=True)
        self.assertEqual(stages[-2:], ["reading", "scoring"])
        self.assertEqual((verdict.outcome, verdict.flagged), ("quarantine", True))
        self.assertEqual(verdict.signals[0].kind, "digest-mismatch")
        self.assertEqual(verdict.signals[0].evidence["recorded_sha256"], "0" * 64)
        self.assertEqual(verdict.files[0].recorded_sha256, "0" * 64)
        self.assertRegex(verdict.files[0].actual_sha256, "^[0-9a-f]{64}$")
        self.assertEqual(verdict.report_entry["verdict"], "quarantine")
        self.assertEqual(self.client.verify("fleet/m1001.meta.json", only_eligible=True).outcome, "skipped")

    def test_paths_stay_beneath_the_root(self):
        for path in ("../outside.meta.json", "/etc/passwd", "fleet/../../x"):
            with self.subTest(path), self.assertRaises(driftseal.DriftSealError) as caught:
                self.client.verify(path)
            self.assertNotIsInstance(caught.exception, (driftseal.Internal, driftseal.Unavailable))

    def test_detectors_are_swapped_and_rolled_back(self):
        names = {detector.ref: detector.active for detector in self.client.detectors.list("rows")}
        self.assertEqual(names, {"rows@1": True, "rows@2": False})
        self.assertEqual(self.client.detectors.activate("rows@2").ref, "rows@2")
        self.assertEqual(self.client.score(np.zeros((1, 3)), detector="rows").detector, "rows@2")
        self.assertEqual(self.client.detectors.roll_back("rows").ref, "rows@1")
        self.assertEqual(self.client.score(np.zeros((1, 3)), detector="rows").detector, "rows@1")
        known = self.client.detectors.get("rows")
        self.assertEqual((known.features, known.active, len(known.families)), (COLUMNS, True, 1))
        self.assertEqual(self.client.detectors.get().name, "driftseal")  # the default one
        with self.assertRaises(driftseal.NotFound):
            self.client.detectors.get("rows@9")
        with self.assertRaises(driftseal.NotFound):
            self.client.detectors.operation("none")

    def test_backfill(self):
        place = root / self.id()
        running_engine.write_models(place, 3, fingerprint=lambda number: {})
        entries = self.all(self.client.backfill(self.id()))
        self.assertEqual([entry.outcome for entry in entries], ["written"] * 3)
        self.assertEqual([entry.outcome for entry in self.all(self.client.backfill(self.id()))], ["unchanged"] * 3)
        self.assertIn("model_sha256", json.loads((place / "m0.meta.json").read_text())["fingerprint"])

    def test_sanitize(self):
        name = f"{self.id()}.csv"
        rng = np.random.default_rng(3)
        lines = [f"{place},{rng.integers(2)},{rng.integers(2)},{rng.random():.4f}" for place in range(100)]
        (root / name).write_text("\n".join(["id,y_true,y_pred,score", *lines]) + "\n")
        result = self.client.sanitize_predictions(name, contamination=0.1)
        self.assertEqual((result.rows, result.dropped), (100, 10))
        self.assertEqual(len((root / result.output_path).read_text().splitlines()), 91)
        with self.assertRaises(driftseal.AlreadyExists):
            self.client.sanitize_predictions(name)

    def test_retrain_plan(self):
        plan = self.client.retrain_plan("fleet/m2001.meta.json")
        self.assertEqual(plan.verdict.outcome, "quarantine")
        self.assertTrue(plan.steps)
        self.assertIn("digest-mismatch", {kind for step in plan.steps for kind in step.because})

    def test_health(self):
        self.assertEqual(self.client.health(), "serving")
        self.assertEqual(self.client.health("driftseal.v1.Scoring"), "serving")


class BlockingTests(Tests, Blocking):
    def test_threads_share_a_client(self):
        rows = np.random.default_rng(8).normal(size=(64, 3))
        expected, found = self.client.score(rows, detector="rows").combined, []

        def work():
            for _ in range(20):
                found.append(np.array_equal(self.client.score(rows, detector="rows").combined, expected))
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(found, [True] * 160)


class Awaiting:
    """An asyncio client that blocks, so that the same tests run against it."""

    def __init__(self, wrapped):
        self.wrapped = wrapped

    def __getattr__(self, name):
        found = getattr(self.wrapped, name)
        if not callable(found):
            return Awaiting(found)

        def call(*arguments, **options):
            result = found(*arguments, **options)
            return LOOP.run_until_complete(asyncio.wait_for(result, 60)) if inspect.isawaitable(result) else result
        return call


class AsyncioTests(Tests, unittest.TestCase):
    def setUp(self):
        self.client = Awaiting(aio.Client(engine.address))
        self.addCleanup(self.client.close)

    def all(self, stream):
        async def collect():
            return [item async for item in stream]
        return LOOP.run_until_complete(asyncio.wait_for(collect(), 60))

    def test_many_calls_at_once(self):
        async def work():
            async with aio.Client(engine.address) as client:
                calls = (client.score(np.full((2, 3), place), detector="rows") for place in range(200))
                return await asyncio.gather(*calls)
        for scores in LOOP.run_until_complete(work()):
            self.assertEqual(scores.detector, "rows@1")
            self.assertEqual(scores.combined[0], scores.combined[1])


if __name__ == "__main__":
    fixture.main()
