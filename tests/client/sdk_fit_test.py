#!/usr/bin/env python3
"""The Python SDK fits detectors through the engine: operations, their progress, and stopping them.

Usage: sdk_fit_test.py --driftseal PROGRAM (driftseal-replay lies beside it) [unittest's arguments]
"""
import asyncio
import pathlib
import shutil
import tempfile
import unittest

import fixture
import running_engine
import driftseal
from driftseal import aio


class Fits(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="driftseal-fit-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.root = self.folder / "root"
        running_engine.write_models(self.root / "one", 30)
        running_engine.write_models(self.root / "two", 30, 100)
        self.engine = running_engine.Engine(fixture.driftseal, self.folder, self.root).start()
        self.addCleanup(self.engine.stop)
        self.client = driftseal.Client(self.engine.address)
        self.addCleanup(self.client.close)

    def test_fit_wait_and_use(self):
        seen = []
        operation = self.client.detectors.fit(["one", "two"], name="small", activate=True)
        detector = operation.wait(300, progress=seen.append)
        self.assertEqual((detector.ref, detector.active), ("small@1", True))
        self.assertEqual((operation.progress.state, operation.progress.left_out), ("done", []))
        self.assertEqual(seen[-1], operation.progress)
        self.assertTrue(operation.progress.report)
        known = self.client.detectors.get("small")
        self.assertEqual(sum(family.fitted_on + family.calibrated_on for family in known.families
                             if family.key != "*"), 60)
        self.assertEqual(self.client.verify("two/m100.meta.json", detector="small").detector, "small@1")
        self.assertEqual(operation.cancel().state, "done")  # it was done first
        again = self.client.detectors.operation(operation.name)
        self.assertEqual(again.wait().ref, "small@1")
        with self.assertRaises(driftseal.AlreadyExists):
            self.client.detectors.fit("one", name="small", version=1)

    def test_an_operation_may_be_stopped(self):
        operation = self.client.detectors.fit("one", name="stopped")
        operation.cancel()
        with self.assertRaises(driftseal.OperationFailed) as caught:
            operation.wait(300)
        self.assertEqual(caught.exception.progress.state, "cancelled")
        self.assertEqual(self.client.detectors.list("stopped"), [])

    def test_a_wait_has_an_end_and_a_fit_its_errors(self):
        operation = self.client.detectors.fit("one", name="slow")
        with self.assertRaises(driftseal.DeadlineExceeded):
            operation.wait(0)
        self.assertEqual(operation.wait(300).ref, "slow@1")
        (self.root / "empty").mkdir()
        with self.assertRaises(driftseal.DriftSealError):
            self.client.detectors.fit("empty").wait(300)

    def test_asyncio(self):
        async def work():
            async with aio.Client(self.engine.address) as client:
                operation = await client.detectors.fit("one", name="small")
                return await operation.wait(300), operation.progress.state
        detector, state = asyncio.run(work())
        self.assertEqual((detector.ref, state), ("small@1", "done"))


if __name__ == "__main__":
    fixture.main()
