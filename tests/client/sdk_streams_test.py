#!/usr/bin/env python3
"""What the Python SDK's streams do when connections break and engines go, with threads and with asyncio.

Usage: sdk_streams_test.py [unittest's arguments]
"""
import asyncio
import inspect
import threading
import unittest

import grpc
import numpy as np
import pandas as pd

from fake_engine import AgainstFake, FAST, Fault, StreamFault
import driftseal
from driftseal import aio

UNAVAILABLE, EXHAUSTED = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED
LOOP = asyncio.new_event_loop()  # one: gRPC keeps the one that it saw first
ROWS = np.arange(10, dtype=np.float64).reshape(5, 2)


class Streams(AgainstFake):
    def ids(self, answers):
        """All ids, checked to be there once each."""
        found = [answer.id for answer in answers]
        self.assertEqual(len(found), len(set(found)))
        return set(found)

    def test_a_stream_outlives_its_connections(self):
        self.engine.stream_faults.extend([StreamFault(after=7), StreamFault(after=1), StreamFault(after=0),
                                          StreamFault(after=50, code=None)])
        answers = list(self.client.verify_stream(self.paths(200)))
        self.assertEqual(self.ids(answers), set(self.paths(200)))
        self.assertGreaterEqual(self.engine.calls["VerifyStream"], 5)
        self.assertEqual(max(self.engine.computed.values()), 1)  # what was stored came back
        self.assertEqual(len(self.engine.runs), 1)

    def test_answers_that_were_lost_come_back_as_stored(self):
        lost = self.paths(100)[90:]
        self.engine.stream_faults.append(StreamFault(after=100, lose=lost))
        answers = list(self.client.verify_stream(self.paths(100), run="nightly"))
        self.assertEqual(self.ids(answers), set(self.paths(100)))
        self.assertEqual(self.engine.runs, {"nightly"})
        self.assertEqual({answer.id for answer in answers if answer.stored_before}, set(lost))
        self.assertEqual(max(self.engine.computed.values()), 1)

    def test_a_run_goes_on_where_it_was(self):
        first = list(self.client.verify_stream(self.paths(10), run="a"))
        again = list(self.client.verify_stream(self.paths(20), run="a"))
        self.assertFalse(any(answer.stored_before for answer in first))
        self.assertEqual(sum(answer.stored_before for answer in again), 10)

    def test_the_engine_goes_away_and_comes_back(self):
        def paths():
            for number, path in enumerate(self.paths(300)):
                if number == 150:
                    self.engine.stop()
                    self.engine.start()
                yield path
        self.assertEqual(self.ids(self.client.verify_stream(paths())), set(self.paths(300)))

    def test_nothing_is_answered_twice(self):
        self.engine.stream_faults.append(StreamFault(twice=True))
        self.assertEqual(self.ids(self.client.verify_stream(self.paths(50))), set(self.paths(50)))

    def test_busy_items_are_sent_again(self):
        for code in (8, 14, 1):
            with self.subTest(code):
                busy = {path: 2 for path in self.paths(20)[::3]}
                self.engine.stream_faults.append(StreamFault(busy=busy, passing=code))
                answers = list(self.client.verify_stream(self.paths(20)))
                self.assertEqual(self.ids(answers), set(self.paths(20)))
                self.assertTrue(all(answer.verdict for answer in answers))

    def test_an_error_of_an_item_is_its_answer(self):
        self.engine.stream_faults.append(StreamFault(busy={"models/3.meta.json": 1}, passing=3))
        answers = {answer.id: answer for answer in self.client.verify_stream(self.paths(10))}
        self.assertEqual(len(answers), 10)
        self.assertIsInstance(answers["models/3.meta.json"].error, driftseal.InvalidArgument)
        self.assertIsNone(answers["models/3.meta.json"].verdict)

    def test_patience_ends(self):
        self.engine.stream_faults.extend([StreamFault(after=0)] * 10000)
        client = self.connect(retry=driftseal.RetryPolicy(initial_backoff=0.01, max_backoff=0.02, patience=0.3))
        with self.assertRaises(driftseal.Unavailable):
            list(client.verify_stream(self.paths(10)))
        self.assertGreater(self.engine.calls["VerifyStream"], 3)

    def test_errors_that_stay_are_raised_at_once(self):
        self.engine.stream_faults.extend([StreamFault(after=3, code=grpc.StatusCode.UNAUTHENTICATED)] * 2)
        with self.assertRaises(driftseal.Unauthenticated):
            list(self.client.verify_stream(self.paths(10)))
        self.assertEqual(self.engine.calls["VerifyStream"], 1)

    def test_the_callers_own_errors_come_through(self):
        def paths():
            yield "a"
            raise KeyError("mine")
        with self.assertRaisesRegex(KeyError, "mine"):
            list(self.client.verify_stream(paths()))
        with self.assertRaisesRegex(ValueError, "'a' is given twice"):
            list(self.client.verify_stream(["a", "b", "a"]))

    def test_the_source_is_read_no_further_than_the_window(self):
        hold, taken = threading.Event(), []
        self.addCleanup(hold.set)
        self.engine.stream_faults.append(StreamFault(hold=hold))

        def paths():
            for path in self.paths(100):
                taken.append(path)
                yield path
        answers = []
        reader = threading.Thread(target=lambda: answers.extend(self.client.verify_stream(paths(), window=8)))
        reader.start()
        self.assertTrue(self.engine.received.acquire(timeout=10))  # the engine holds the first one
        self.assertLessEqual(len(taken), 8)
        hold.set()
        reader.join(30)
        self.assertEqual(self.ids(answers), set(self.paths(100)))

    def test_a_stream_may_be_left_early(self):
        threads = threading.active_count()
        stream = self.client.verify_stream(iter(self.paths(100000)), window=4)
        next(stream)
        stream.close()
        for thread in threading.enumerate():
            if thread.name == "driftseal-stream-source":
                thread.join(10)
                self.assertFalse(thread.is_alive())
        self.assertLessEqual(threading.active_count(), threads + 3)

    def test_rows_with_ids_of_all_kinds(self):
        self.engine.stream_faults.append(StreamFault(after=2))
        items = [("first", ROWS), (("a", 2), ROWS * 2), (None, ROWS * 3)]
        answers = {answer.id: answer.scores for answer in self.client.score_stream(items)}
        self.assertEqual(set(answers), {"first", ("a", 2), None})
        np.testing.assert_array_equal(answers[("a", 2)].combined, 2 * answers["first"].combined)
        self.assertEqual({answer.id for answer in self.client.score_stream([ROWS] * 3)}, {0, 1, 2})

    def test_no_items(self):
        self.assertEqual(list(self.client.verify_stream([])), [])


class Asyncio(AgainstFake):
    """The same logic under asyncio."""

    def go(self, work):
        async def main():
            async with aio.Client(self.engine.address, retry=FAST) as client:
                return await asyncio.wait_for(work(client), 60)
        return LOOP.run_until_complete(main())

    def stream(self, paths, **arguments):
        async def work(client):
            return [answer async for answer in client.verify_stream(paths, **arguments)]
        return self.go(work)

    def test_calls(self):
        self.engine.faults.extend([Fault(UNAVAILABLE), Fault(EXHAUSTED, "full", retry_after=0.2)])
        scored = self.go(lambda client: client.score(pd.DataFrame({"b": [1.0], "a": [2.0]})))
        self.assertEqual(scored.combined[0], 12)
        self.engine.faults.append(Fault(grpc.StatusCode.NOT_FOUND, "nothing there"))
        with self.assertRaisesRegex(driftseal.NotFound, "nothing there"):
            self.go(lambda client: client.score(ROWS))
        self.assertEqual(self.go(lambda client: client.health()), "serving")
        self.engine.faults.append(Fault(UNAVAILABLE))
        self.assertEqual(self.go(lambda client: client.verify("a")).outcome, "pass")

    def test_many_rows(self):
        rows = np.random.default_rng(1).normal(size=(5000, 2)).astype(np.float32)
        self.engine.stream_faults.append(StreamFault(after=2))
        scored = self.go(lambda client: client.score(rows))
        np.testing.assert_allclose(scored.combined, rows[:, 0] + 10.0 * rows[:, 1], rtol=1e-5, atol=1e-6)

    def test_a_stream_outlives_its_connections(self):
        busy = StreamFault(busy={path: 1 for path in self.paths(200)[100:110]}, passing=8)
        self.engine.stream_faults.extend([StreamFault(after=7, twice=True), StreamFault(after=0),
                                          StreamFault(after=20, code=None), busy])
        answers = self.stream(self.paths(200))
        self.assertEqual(sorted(answer.id for answer in answers), sorted(self.paths(200)))
        self.assertEqual(max(self.engine.computed.values()), 1)

    def test_asynchronous_sources_and_their_errors(self):
        async def paths():
            for path in self.paths(20):
                await asyncio.sleep(0)
                yield path
        self.assertEqual(len(self.stream(paths())), 20)

        async def broken():
            yield "a"
            raise KeyError("mine")
        with self.assertRaisesRegex(KeyError, "mine"):
            self.stream(broken())
        with self.assertRaisesRegex(ValueError, "given twice"):
            self.stream(["a", "a"])

    def test_errors_that_stay(self):
        # grpc.aio may report a write that fails in the place of the status: the next connection must find out.
        for after in (0, 1, 5):
            self.engine.stream_faults.extend([StreamFault(after=after, code=grpc.StatusCode.PERMISSION_DENIED)] * 50)
            with self.assertRaises(driftseal.PermissionDenied):
                self.stream(self.paths(100))
            self.assertGreater(len(self.engine.stream_faults), 40)
            self.engine.stream_faults.clear()

    def test_a_stream_may_be_left_early(self):
        async def work(client):
            async for answer in client.verify_stream(self.paths(1000), window=4):
                return answer
        self.assertEqual(self.go(work).verdict.outcome, "pass")

    def test_cancellation_comes_through(self):
        async def work(client):
            self.engine.stream_faults.append(StreamFault(hold=hold))
            task = asyncio.ensure_future(client.score(np.zeros((5000, 2))))
            await asyncio.to_thread(self.engine.received.acquire)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
        hold = threading.Event()
        self.addCleanup(hold.set)
        self.go(work)

    def test_the_same_names_and_arguments(self):
        for blocking, twin in ((driftseal.Client, aio.Client), (driftseal.client.Detectors, aio.Detectors),
                               (driftseal._detectors.Operation, aio.Operation)):
            names = {name for name in vars(blocking) if not name.startswith("_")}
            self.assertEqual(names, {name for name in vars(twin) if not name.startswith("_")})
            for name in names - {"verify", "name"}:  # verify's options are the same, written as **options
                self.assertEqual(list(inspect.signature(getattr(blocking, name)).parameters),
                                 list(inspect.signature(getattr(twin, name)).parameters), name)


if __name__ == "__main__":
    unittest.main()
