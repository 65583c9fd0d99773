#!/usr/bin/env python3
"""The Python SDK and engines that are protected, overloaded, drained or killed.

Usage: sdk_engine_test.py --driftseal PROGRAM [unittest's arguments]
"""
import asyncio
import pathlib
import shutil
import subprocess
import tempfile
import threading
import unittest
import warnings

import numpy as np

import fixture
import running_engine
import driftseal
from driftseal import aio

LOOP = asyncio.new_event_loop()
FLEET = 2400
PATIENT = driftseal.RetryPolicy(attempts=200, initial_backoff=0.005, max_backoff=0.1, budget=1e6)


class WithFolder(unittest.TestCase):
    def setUp(self):
        warnings.simplefilter("ignore")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="driftseal-sdk-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.root = self.folder / "root"
        self.root.mkdir()

    def engine(self, *flags):
        engine = running_engine.Engine(fixture.driftseal, self.folder, self.root, *flags).start()
        self.addCleanup(engine.stop)
        return engine


class Protected(WithFolder):
    def token(self, client, *scopes):
        """A new token, of which the file knows only the digest."""
        run = subprocess.run([fixture.driftseal, "token", client, "--scope", ",".join(scopes),
                              "--tokens-file", self.folder / "tokens"], capture_output=True, text=True, timeout=60)
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout.split()[-1]

    def test_tls_and_tokens(self):
        running_engine.make_row_detector(self.folder / "detector")
        pem = running_engine.certificates(self.folder)
        scoring, everything = self.token("scorer", "score"), self.token("boss", "admin")
        address = self.engine("--tls-cert", pem("server.pem"), "--tls-key", pem("server.key"), "--tokens-file",
                              self.folder / "tokens").address
        trust = {"root_certificates": pem("ca.pem")}
        rows = np.zeros((1, 3))
        with driftseal.Client(address, token=scoring, **trust) as client:
            self.assertEqual(client.score(rows).detector, "rows@1")
            with self.assertRaises(driftseal.PermissionDenied):
                client.detectors.activate("rows@1")
        with driftseal.Client(address, token=everything, root_certificates=pem("ca.pem").read_bytes()) as client:
            self.assertEqual(client.detectors.activate("rows@1").version, 1)
        for token in ("wrong", None):
            with driftseal.Client(address, token=token, **trust) as client:
                self.assertEqual(client.health(), "serving")
                with self.assertRaises(driftseal.Unauthenticated) as caught:
                    client.score(rows)
                self.assertRegex(caught.exception.request_id, "^[0-9a-f]{32}$")
                with self.assertRaises(driftseal.Unauthenticated):
                    list(client.verify_stream(["a"]))
        once = driftseal.RetryPolicy(attempts=1)
        for arguments in ({"root_certificates": pem("client.pem")}, {}):  # another authority; no TLS
            with driftseal.Client(address, retry=once, **arguments) as client, self.assertRaises(driftseal.Unavailable):
                client.health(timeout=20)

        async def score():
            async with aio.Client(address, token=scoring, **trust) as client:
                return await client.score(rows)
        self.assertEqual(LOOP.run_until_complete(score()).detector, "rows@1")

    def test_mutual_tls(self):
        running_engine.make_row_detector(self.folder / "detector")
        pem = running_engine.certificates(self.folder)
        address = self.engine("--tls-cert", pem("server.pem"), "--tls-key", pem("server.key"), "--tls-client-ca",
                              pem("ca.pem")).address
        with driftseal.Client(address, root_certificates=pem("ca.pem"),
                              client_certificate=(pem("client.pem"), pem("client.key"))) as client:
            self.assertEqual(client.health(), "serving")
        once = driftseal.RetryPolicy(attempts=1)
        with driftseal.Client(address, root_certificates=pem("ca.pem"), retry=once) as client:
            with self.assertRaises(driftseal.Unavailable):
                client.health(timeout=20)


class Overload(WithFolder):
    """A queue of 64 rows, and far more callers."""

    def setUp(self):
        super().setUp()
        running_engine.make_row_detector(self.folder / "detector")
        self.address = self.engine("--queue-rows", 64, "--batch-rows", 32, "--score-threads", 1).address
        self.rows = np.random.default_rng(1).normal(size=(32, 3))  # half the queue: more are never taken at once

    def flood(self, policy, calls=40, threads=16):
        answers = []
        with driftseal.Client(self.address, retry=policy, timeout=60) as client:
            def work():
                for _ in range(calls):
                    try:
                        answers.append(client.score(self.rows, detail="drivers"))
                    except driftseal.DriftSealError as error:
                        answers.append(error)
            workers = [threading.Thread(target=work) for _ in range(threads)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join(120)
        self.assertEqual(len(answers), calls * threads)
        return answers

    def test_without_retries_the_caller_is_told_the_load(self):
        refused = [answer for answer in self.flood(driftseal.RetryPolicy(attempts=1)) if isinstance(answer, Exception)]
        self.assertTrue(refused)
        for error in refused:
            self.assertIsInstance(error, driftseal.Overloaded)
            self.assertIn(error.resource, ("queue", "client_queue"))
            self.assertGreater(error.limit, 0)
            self.assertGreater(error.retry_after, 0)

    def test_with_retries_everybody_is_answered(self):
        answers = self.flood(PATIENT, calls=10)
        self.assertEqual([answer for answer in answers if isinstance(answer, Exception)], [])
        for answer in answers:
            np.testing.assert_array_equal(answer.combined, answers[0].combined)

    def test_a_stream_is_slowed_down_and_not_refused(self):
        with driftseal.Client(self.address) as client:
            answers = list(client.score_stream([self.rows] * 500))
        self.assertEqual({answer.id for answer in answers}, set(range(500)))
        self.assertEqual([answer.error for answer in answers if answer.error], [])


class Restarts(WithFolder):
    """A fleet of FLEET models is streamed while the engine goes away and comes back."""

    def setUp(self):
        super().setUp()
        running_engine.write_models(self.root / "trusted", 80)
        running_engine.make_model_detector(fixture.driftseal, self.root / "trusted", self.folder / "detector")
        self.paths = [f"fleet/{name}" for name in running_engine.write_models(self.root / "fleet", FLEET, 1000)]
        self.process = self.engine()

    def check(self, answers):
        found = [answer.id for answer in answers]
        self.assertEqual(len(found), FLEET)
        self.assertEqual(set(found), set(self.paths))
        self.assertEqual([answer.error for answer in answers if answer.error], [])
        self.assertEqual({answer.verdict.outcome for answer in answers} - {"pass", "review", "quarantine"}, set())

    def interrupted(self, end, run):
        """All answers of a stream during which the engine ends twice; `end` ends it."""
        answers = []
        with driftseal.Client(self.process.address) as client:
            for answer in client.verify_stream(self.paths, run=run, window=64):
                answers.append(answer)
                if len(answers) in (FLEET // 4, FLEET // 2):
                    end()
                    self.process.start()
        return answers

    def test_kill_while_streaming(self):
        killed = self.interrupted(self.process.kill, "killed")
        self.check(killed)
        with driftseal.Client(self.process.address) as client:
            again = list(client.verify_stream(self.paths, run="killed"))
        self.check(again)
        self.assertTrue(all(answer.stored_before for answer in again))  # nothing that was answered is lost
        found = {answer.id: answer.verdict for answer in killed}
        self.assertEqual({answer.id: answer.verdict for answer in again}, found)

    def test_drain_while_streaming(self):
        codes = []
        self.check(self.interrupted(lambda: codes.append(self.process.stop()), "drained"))
        self.assertEqual(codes, [0, 0])

    def test_kill_while_streaming_with_asyncio(self):
        async def work():
            answers = []
            async with aio.Client(self.process.address) as client:
                async for answer in client.verify_stream(self.paths, window=64):
                    answers.append(answer)
                    if len(answers) == FLEET // 3:
                        self.process.kill()
                        self.process.start()
            return answers
        self.check(LOOP.run_until_complete(asyncio.wait_for(work(), 180)))


if __name__ == "__main__":
    fixture.main()
