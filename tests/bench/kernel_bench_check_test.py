#!/usr/bin/env python3
"""The kernel benchmark times nothing that scores wrongly: its driver against the real program and scikit-learn.

Usage: kernel_bench_check_test.py PROGRAM   (driftseal-kernel-bench)
"""
import pathlib, sys, tempfile, types, unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench/kernels"))
import bounds, measure, models, process, targets  # noqa: E402

PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
ROWS = 512


class KernelBenchTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        directory = pathlib.Path(cls.folder.name)
        settings = types.SimpleNamespace(program=PROGRAM, directory=directory, quick=True, repetitions=3,
                                         seconds=0.002, checked=256)
        cls.store = models.Store(directory)
        cls.model = cls.store.model(8, trees=20, vectors=200, others=("mahalanobis", "neighbours"))
        cls.side = measure.Side(settings, 1)

    @classmethod
    def tearDownClass(cls):
        cls.side.close()
        cls.folder.cleanup()

    def setUp(self):
        self.side.load(self.model, self.store.rows(ROWS, 8))

    def compare(self, kernel):
        return self.side.compare(kernel, ROWS, libraries=("scikit-learn",))

    def test_every_member_is_compared_and_timed(self):
        for kernel in self.model.members:
            comparison = self.compare(kernel)
            self.assertEqual([self.side.best_isa, "scikit-learn"], list(comparison["entries"]))
            for entry in comparison["entries"].values():
                self.assertEqual(len(entry["runs"]), 3)
                self.assertGreater(entry["rows_per_second"], 0)
                self.assertLessEqual(entry["largest_error_of_bound"], 1)
            self.assertGreater(measure.ratio(comparison, "scikit-learn"), 0)

    def test_models_are_as_asked_for(self):
        self.assertEqual(len(self.model.members["forest"].estimators_), 20)
        self.assertLessEqual(abs(len(self.model.members["svm"].support_) - 200), 2)
        self.assertTrue((models.draw_rows(100, 8, 1) == models.draw_rows(100, 8, 1)).all(), "rows are seeded")

    def test_a_score_beyond_its_bound_stops_it(self):
        promised = bounds.ours
        bounds.ours = lambda *arguments: 1e-6 * promised(*arguments)
        try:
            with self.assertRaisesRegex(process.BenchError, "our svm .* times the bound. Nothing is timed"):
                self.compare("svm")
        finally:
            bounds.ours = promised

    def test_a_peer_with_another_model_stops_it(self):
        other = self.store.model(8, trees=21)
        self.side.peers.ask("load", estimators=str(other.path / "estimators.joblib"),
                            rows=str(self.store.rows(ROWS, 8)))
        with self.assertRaisesRegex(process.BenchError, "scikit-learn .* scores row"):
            self.compare("forest")

    def test_another_instruction_set_than_the_forced_one_stops_it(self):
        self.side.target = dict(self.side.target, **{self.side.best_isa: 1})
        try:
            with self.assertRaisesRegex(process.BenchError, "was forced to"):
                self.compare("forest")
        finally:
            self.side.target = {isa["name"]: isa["target"] for isa in self.side.ours.ask("machine")["isas"]}

    def test_what_the_program_refuses_is_an_error(self):
        with self.assertRaisesRegex(process.BenchError, "no op fly"):
            self.side.ours.ask("fly")

    def test_targets_are_judged_by_the_figures(self):
        entries = {"avx3": {"rows_per_second": 19.0, "rows_per_cpu_second": 21.0},
                   "scikit-learn": {"rows_per_second": 1.0, "rows_per_cpu_second": 1.0}}
        comparison = {"best_isa": "avx3", "entries": entries}
        missed = targets._speedup(comparison, "scikit-learn", 20, "forest")
        self.assertFalse(missed["met"])
        self.assertEqual((missed["measured"], missed["measured_cpu"]), (19, 21))
        self.assertTrue(targets._speedup(comparison, "scikit-learn", 19, "forest")["met"])


if __name__ == "__main__":
    unittest.main()
