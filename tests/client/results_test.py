#!/usr/bin/env python3
"""What of the engine's messages becomes Python: views, ranges, canary sets, requests that forbid to run models."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "client/python"))

from driftseal import _requests as requests
from driftseal import results
from driftseal._proto import detectors_pb2, verdict_pb2


class ResultsTest(unittest.TestCase):
    def test_a_score_says_what_it_rests_on(self):
        message = verdict_pb2.Verdict(path="a", score=verdict_pb2.ModelScore(combined=1.5, view="behaviour"))
        score = results.read_verdict(message).score
        self.assertEqual(score.view, "behaviour")
        self.assertIsNone(score.out_of_range)

    def test_a_column_out_of_range_is_named(self):
        message = verdict_pb2.Verdict(path="a", score=verdict_pb2.ModelScore(
            combined=1, out_of_range=verdict_pb2.OutOfRange(feature="context.scale", value=4, low=1, high=3)))
        self.assertEqual(results.read_verdict(message).score.out_of_range,
                         results.OutOfRange("context.scale", 4, 1, 3))

    def test_a_detector_names_its_canary_sets(self):
        message = detectors_pb2.Detector(name="d", version=1, replays=True)
        message.canary_sets.add(name="digits", sha256="a" * 64)
        detector = results.read_detector(message)
        self.assertEqual(detector.canary_sets, [results.CanarySet("digits", "a" * 64)])
        self.assertTrue(detector.replays)
        self.assertEqual(results.read_detector(detectors_pb2.Detector(name="d")).canary_sets, [])

    def test_requests_carry_canaries_and_forbid_replays(self):
        self.assertTrue(requests.verify_request("a", no_replay=True).no_replay)
        self.assertFalse(requests.verify_request("a").no_replay)
        fit = requests.fit_request("models", canary=[pathlib.PurePath("sets/a.safetensors")], canary_of="d@1")
        self.assertEqual(list(fit.canary), ["sets/a.safetensors"])
        self.assertEqual(fit.canary_of, "d@1")


if __name__ == "__main__":
    unittest.main()
