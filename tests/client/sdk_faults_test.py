#!/usr/bin/env python3
"""What the Python SDK does when calls fail: retries, deadlines, errors; columns of DataFrames; the retry arithmetic.

Usage: sdk_faults_test.py [unittest's arguments]
"""
import time
import unittest

import grpc
import numpy as np
import pandas as pd

from fake_engine import AgainstFake, FAST, Fault, StreamFault
import driftseal
from driftseal._flow import Flow
from driftseal.retry import Attempts, Budget

UNAVAILABLE, EXHAUSTED = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED
ROWS = np.arange(10, dtype=np.float64).reshape(5, 2)


class Calls(AgainstFake):
    def test_unavailable_is_tried_again_under_one_request_id(self):
        self.engine.faults.extend([Fault(UNAVAILABLE)] * 3)
        self.assertEqual(self.client.score(ROWS).detector, "fake@1")
        self.assertEqual(self.engine.calls["Score"], 4)
        self.assertEqual(len({metadata["x-request-id"] for metadata in self.engine.metadata}), 1)

    def test_attempts_are_bounded(self):
        self.engine.faults.extend([Fault(UNAVAILABLE)] * 100)
        with self.assertRaises(driftseal.Unavailable) as caught:
            self.client.score(ROWS)
        self.assertEqual(self.engine.calls["Score"], FAST.attempts)
        self.assertEqual(caught.exception.request_id, self.engine.metadata[0]["x-request-id"])
        self.assertIn(caught.exception.request_id, str(caught.exception))

    def test_overload_waits_as_long_as_the_engine_says(self):
        self.engine.faults.append(Fault(EXHAUSTED, "full", retry_after=0.3))
        began = time.monotonic()
        self.client.score(ROWS)
        self.assertGreaterEqual(time.monotonic() - began, 0.3)
        self.assertEqual(self.engine.calls["Score"], 2)

    def test_overload_carries_load_and_delay(self):
        self.engine.faults.append(Fault(EXHAUSTED, "full", retry_after=0.25))
        with self.assertRaises(driftseal.Overloaded) as caught:
            self.connect(retry=driftseal.RetryPolicy(attempts=1)).score(ROWS)
        error = caught.exception
        self.assertEqual((error.resource, error.used, error.limit, error.load, error.retry_after),
                         ("queue", 90, 100, 0.9, 0.25))

    def test_overload_beyond_the_deadline_is_told_at_once(self):
        self.engine.faults.append(Fault(EXHAUSTED, "full", retry_after=30))
        began = time.monotonic()
        with self.assertRaises(driftseal.Overloaded):
            self.client.score(ROWS, timeout=5)
        self.assertLess(time.monotonic() - began, 4)
        self.assertEqual(self.engine.calls["Score"], 1)

    def test_exhausted_without_a_delay_is_final(self):
        self.engine.faults.append(Fault(EXHAUSTED, "message larger than max"))
        with self.assertRaises(driftseal.Overloaded) as caught:
            self.client.score(ROWS)
        self.assertIsNone(caught.exception.retry_after)
        self.assertEqual(self.engine.calls["Score"], 1)

    def test_what_cannot_be_repeated_is_not(self):
        self.engine.faults.append(Fault(UNAVAILABLE))
        with self.assertRaises(driftseal.Unavailable):
            self.client.detectors.roll_back("fake")
        self.assertEqual(self.engine.calls["RollBack"], 1)
        self.engine.faults.append(Fault(EXHAUSTED, "full", retry_after=0.01))  # refused before anything was done
        self.assertEqual(self.client.detectors.roll_back("fake").version, 0)
        self.assertEqual(self.engine.calls["RollBack"], 3)

    def test_each_code_has_its_exception(self):
        for code, kind in ((grpc.StatusCode.INVALID_ARGUMENT, driftseal.InvalidArgument),
                           (grpc.StatusCode.NOT_FOUND, driftseal.NotFound),
                           (grpc.StatusCode.ALREADY_EXISTS, driftseal.AlreadyExists),
                           (grpc.StatusCode.UNAUTHENTICATED, driftseal.Unauthenticated),
                           (grpc.StatusCode.PERMISSION_DENIED, driftseal.PermissionDenied),
                           (grpc.StatusCode.FAILED_PRECONDITION, driftseal.FailedPrecondition),
                           (grpc.StatusCode.UNIMPLEMENTED, driftseal.Unimplemented),
                           (grpc.StatusCode.INTERNAL, driftseal.Internal),
                           (grpc.StatusCode.DATA_LOSS, driftseal.DataLoss),
                           (grpc.StatusCode.OUT_OF_RANGE, driftseal.DriftSealError)):
            with self.subTest(code.name):
                self.engine.calls.clear()
                self.engine.faults.append(Fault(code, "because"))
                with self.assertRaises(kind) as caught:
                    self.client.score(ROWS)
                self.assertEqual((caught.exception.code, caught.exception.message), (code.name, "because"))
                self.assertEqual(self.engine.calls["Score"], 1)

    def test_a_broken_verification_begins_anew(self):
        self.engine.faults.append(Fault(UNAVAILABLE))
        stages = []
        self.assertEqual(self.client.verify("a.meta.json", progress=stages.append).outcome, "pass")
        self.assertEqual(stages, ["queued", "reading", "scoring"] * 2)

    def test_a_broken_list_names_nothing_twice(self):
        self.engine.faults.append(Fault(UNAVAILABLE))
        self.assertEqual([artifact.path for artifact in self.client.list_artifacts("x")],
                         [f"x/{place}.meta.json" for place in range(10)])
        self.assertEqual(self.engine.calls["ListArtifacts"], 2)

    def test_tokens_do_not_leave_the_machine_in_plain_text(self):
        with self.assertRaisesRegex(ValueError, "not encrypted"):
            driftseal.Client("engine.example.org:50051", token="secret")
        driftseal.Client("engine.example.org:50051", token="secret", allow_plaintext_token=True).close()
        for address in ("localhost:1", "127.0.0.1:1", "[::1]:1", "unix:/tmp/x"):
            driftseal.Client(address, token="secret").close()
        self.connect(token="secret").health()
        self.assertEqual(self.engine.metadata[-1]["authorization"], "Bearer secret")


class Columns(AgainstFake):
    def test_columns_are_found_by_name_and_the_index_is_kept(self):
        frame = pd.DataFrame({"other": ["x"] * 3, "b": [1, 2, 3], "a": [10.0, np.nan, 30.0]}, index=["r", "s", "t"])
        scored = self.client.score(frame.fillna({"a": 20}))
        np.testing.assert_array_equal(scored.combined, [20, 40, 60])
        np.testing.assert_array_equal(scored.members["first"], [10, 20, 30])
        table = scored.to_frame()
        self.assertEqual(list(table.index), ["r", "s", "t"])
        self.assertEqual(list(table.columns), ["combined", "p_value", "member.sum", "member.first"])
        self.assertTrue(np.isnan(self.client.score(frame).combined[1]))

    def test_missing_values_of_pandas_own_types(self):
        frame = pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": pd.array([True, False], dtype="boolean")})
        scored = self.client.score(frame)
        np.testing.assert_array_equal(scored.combined, [11, np.nan])

    def test_errors_name_the_columns(self):
        for frame, words in ((pd.DataFrame({"x": [1.0]}), "2 of the detector's 2 columns are missing: 'a', 'b'"),
                             (pd.DataFrame({"a": ["one"], "b": [1]}), "expected columns of numbers, found a"),
                             (pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]), "found twice: 'a'")):
            with self.subTest(words), self.assertRaisesRegex(ValueError, words):
                self.client.score(frame)

    def test_another_version_with_other_columns(self):
        frame = pd.DataFrame({"a": [1.0], "b": [2.0]})
        self.assertEqual(self.client.score(frame).combined[0], 21)
        self.assertEqual(self.client.score(frame).combined[0], 21)
        self.assertEqual(self.engine.calls["Get"], 1)  # the columns are remembered
        self.engine.version, self.engine.features = 2, ["b", "a"]
        scored = self.client.score(frame)
        self.assertEqual((scored.detector, scored.combined[0]), ("fake@2", 12))

    def test_arrays_that_are_no_rows(self):
        for rows, words in ((np.zeros(3), r"rows\[None, :\]"), (np.zeros((2, 0)), "at least one column"),
                            (np.array([["a", "b"]]), "expected numbers"), (np.zeros((1, 2, 3)), "shape"),
                            (np.zeros((1, 2), complex), "expected numbers")):
            with self.subTest(words), self.assertRaisesRegex(ValueError, words):
                self.client.score(rows)
        for word in ("detail", "priority"):
            with self.assertRaisesRegex(ValueError, word):
                self.client.score(ROWS, **{word: "most"})

    def test_every_layout_travels_alike(self):
        rows = np.random.default_rng(1).normal(size=(7, 2))
        expected = self.client.score(rows).combined
        for variant in (np.asfortranarray(rows), rows.astype(">f8"), np.repeat(rows, 2, axis=0)[::2],
                        np.hstack([rows, rows])[:, :2], rows.astype(np.float32), rows.tolist()):
            np.testing.assert_allclose(self.client.score(variant).combined, expected, rtol=1e-6)

    def test_many_rows_are_split_and_come_back_in_order(self):
        rows = np.random.default_rng(1).normal(size=(5000, 2)).astype(np.float32)
        self.engine.stream_faults.append(StreamFault(after=2))
        scored = self.client.score(rows)
        np.testing.assert_allclose(scored.combined, rows[:, 0] + 10.0 * rows[:, 1], rtol=1e-5, atol=1e-6)
        self.assertEqual(self.engine.calls, {"Score": 1, "ScoreStream": 2})


class Policy(unittest.TestCase):
    """The arithmetic, without a network."""

    def test_backoff_grows_to_its_limit_with_full_jitter(self):
        policy = driftseal.RetryPolicy(initial_backoff=0.1, max_backoff=1, multiplier=2)
        self.assertEqual([policy.backoff(retry, 1.0) for retry in (1, 2, 3, 4, 5, 6, 1000)],
                         [0.1, 0.2, 0.4, 0.8, 1, 1, 1])
        self.assertEqual(policy.backoff(3, 0.0), 0)
        drawn = [policy.backoff(4) for _ in range(2000)]
        self.assertTrue(0 <= min(drawn) < 0.1 and 0.7 < max(drawn) <= 0.8)

    def test_the_budget_is_the_clients(self):
        budget = Budget(2)
        self.assertEqual([budget.take() for _ in range(3)], [True, True, False])
        for _ in range(11):
            budget.answered()
        self.assertEqual([budget.take() for _ in range(2)], [True, False])

    def test_nothing_is_tried_after_the_deadline(self):
        attempts = Attempts(driftseal.RetryPolicy(initial_backoff=0), Budget(9), 0.0, True)
        self.assertIsNone(attempts.delay_after(driftseal.Unavailable("gone")))

    def test_patience_counts_from_the_first_failure(self):
        flow = Flow(driftseal.RetryPolicy(patience=10), 4)
        flow.add("a", 1, 0.0)
        flow.delay_after(driftseal.Unavailable("gone"), 1000.0)  # after a long and quiet wait
        flow.delay_after(driftseal.Unavailable("gone"), 1009.0)
        with self.assertRaises(driftseal.Unavailable):
            flow.delay_after(driftseal.Unavailable("gone"), 1011.0)

    def test_a_postponed_request_waits_also_over_a_new_connection(self):
        flow = Flow(driftseal.RetryPolicy(initial_backoff=0), 4)
        flow.add("a", "request a", 0.0)
        flow.add("b", "request b", 0.0)
        self.assertEqual((flow.take(0.0), flow.take(0.0), flow.take(0.0)), ("request a", "request b", None))
        self.assertFalse(flow.answer("a", driftseal.Overloaded("full", retry_after=5.0), 1.0))
        flow.restart()
        self.assertEqual((flow.take(1.0), flow.take(1.0), flow.until_next(1.0)), ("request b", None, 5.0))
        self.assertEqual(flow.take(6.0), "request a")
        self.assertTrue(flow.answer("a", None, 7.0))
        self.assertFalse(flow.answer("a", None, 7.0))

    def test_policies_that_make_no_sense(self):
        for arguments in ({"attempts": 0}, {"initial_backoff": -1}, {"multiplier": 0.5}):
            with self.assertRaises(ValueError):
                driftseal.RetryPolicy(**arguments)


if __name__ == "__main__":
    unittest.main()
