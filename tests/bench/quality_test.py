#!/usr/bin/env python3
"""The quality benchmark: its estimates against numbers from outside, known verdicts, gates, and resuming after a kill.

Usage: quality_test.py
"""
import contextlib, io, json, os, pathlib, subprocess, sys, tempfile, unittest
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench/quality"))
import commands, estimates, fleets, measure, plan, run, screen, tables, targets  # noqa: E402


class EstimatesTest(unittest.TestCase):
    def test_intervals_are_scipys(self):
        # scipy 1.17.1: binomtest(k, n).proportion_ci(level, "exact")
        for k, n, level, low, high in ((0, 20, 0.95, 0.0, 0.16843347098308548),
                                       (3, 60, 0.95, 0.010432329644348218, 0.13924324672110006),
                                       (60, 60, 0.95, 0.9403705077136653, 1.0),
                                       (7, 450, 0.95, 0.006276419873679246, 0.031786570996780936),
                                       (150, 3000, 0.95, 0.04247662990695811, 0.058415547202625845),
                                       (5, 100, 0.9, 0.01990556366176475, 0.10225337764327451)):
            found = estimates.clopper_pearson(k, n, level)
            self.assertAlmostEqual(found[0], low, 9, (k, n))
            self.assertAlmostEqual(found[1], high, 9, (k, n))
        self.assertEqual(estimates.clopper_pearson(0, 0), (0.0, 1.0))
        with self.assertRaisesRegex(ValueError, "0 <= k <= n"):
            estimates.clopper_pearson(3, 2)

    def test_areas_are_scikit_learns(self):
        # scikit-learn 1.9.1: roc_auc_score([1] * len(poisoned) + [0] * len(clean), poisoned + clean)
        self.assertAlmostEqual(estimates.auroc([0.9, 0.4, 0.4, 0.75, 2.0], [0.1, 0.4, 0.35, 0.8, 0.4, -1.0, 0.2]),
                               0.8571428571428571, 12)
        poisoned, clean = [(i * 37 % 101) / 10 for i in range(40)], [(i * 53 % 89) / 10 - 1 for i in range(60)]
        self.assertAlmostEqual(estimates.auroc(poisoned, clean), 0.6431250000000001, 12)
        self.assertIsNone(estimates.auroc([], [1.0]))

    def test_the_threshold_lets_no_more_than_asked_for_through(self):
        clean = list(range(200))
        self.assertEqual(estimates.threshold(clean, 0.01), 197)  # 198 and 199 are above it
        self.assertEqual(estimates.threshold(clean[:99], 0.01), 98)  # one of 99 is more than 1 %
        self.assertEqual(estimates.threshold([5.0] * 100, 0.01), 5.0)  # ties are no alarms

    def test_detectors_are_not_compared_and_attacks_weigh_the_same(self):
        strata = [{"clean": [0, 1], "attacks": {"a": [2.0] * 3, "b": [0.5]}},
                  {"clean": [100, 101], "attacks": {"a": [100.5]}}]
        values = estimates.attack_means(strata, estimates.area_statistic)
        self.assertEqual(values, {"a": (3 * 1.0 + 0.5) / 4, "b": 0.5})
        each, over_all = estimates.bootstrap(strata, estimates.area_statistic, 200)
        self.assertLessEqual(over_all[0], estimates.mean(values.values()))
        self.assertGreaterEqual(over_all[1], estimates.mean(values.values()))
        self.assertEqual(each, estimates.bootstrap(strata, estimates.area_statistic, 200)[0], "seeded")

    def test_intervals_of_areas_cover_what_they_should(self):
        # Scores N(0, 1) and N(1, 1): the area is Phi(1 / sqrt 2) = 0.76025 (scipy.stats.norm.cdf). 120 intervals of
        # 95 %: fewer than 102 that hold it have a probability below 1e-4 (scipy.stats.binom.cdf(101, 120, 0.95)).
        import numpy
        generator, held = numpy.random.default_rng(5), 0
        for trial in range(120):
            strata = [{"clean": generator.normal(0, 1, 60), "attacks": {"a": generator.normal(1, 1, 60)}}]
            low, high = estimates.bootstrap(strata, estimates.area_statistic, 150, seed=trial)[1]
            held += low <= 0.76025 <= high
        self.assertGreaterEqual(held, 102)


def record(part, score, attack="none", works=None, p=None, family="digits-mlp-48", **others):
    return {"family": family, "task": "digits", "seed": 1, "part": part, "attack": attack, "label": attack,
            "works": works, "shift": "none", "variant": "none", "clean_primary": 0.9, "verdict": "pass", "score": score,
            "p": p, "view": "behaviour", "out_of_range": False, "not_run": False, **others}


def known():
    """Clean scores 0..99 with the p-values they have among themselves; patches half found, warps all, one plant of
    each that fails."""
    records = [record("clean", i, p=(101 - i) / 101) for i in range(100)]
    records += [record("development", 98.5, "patch", True, 2 / 101) for _ in range(4)]
    records += [record("development", 49.5, "patch", True, 0.5) for _ in range(4)]
    records += [record("development", 0.0, "patch", False, 1.0)]
    records += [record("held-out", 200, "warp", True, 1 / 101) for _ in range(8)]
    records += [record("held-out", 200, "warp", False, 1 / 101)]
    records += [record("shifts", 10, p=0.9, shift="long", out_of_range=i < 3,
                       verdict="inconclusive" if i < 3 else "pass") for i in range(9)]
    records += [record("shifts", 150, p=1 / 101, shift="long", verdict="review")]
    records += [record("shifted-attacks", 99, "patch", True, 0.02, shift="long") for _ in range(1)]
    records += [record("shifted-attacks", 9, "patch", True, 0.9, shift="long") for _ in range(3)]
    return records


class KnownVerdictsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.family = next(f for f in plan.FAMILIES if f.name == "digits-mlp-48")
        records = known()
        cls.screens = {"behaviour": records, "mixed": records, "files": [{**r, "view": "files"} for r in records]}
        cls.figures = measure.figures(cls.screens, [cls.family], 50)
        cls.told = cls.figures["all"]

    def test_attacks(self):
        attacks = self.told["detection"]["attacks"]
        patch, warp = attacks["patch"], attacks["warp"]
        self.assertEqual((patch["plants"], patch["working"], patch["unscored"]), (9, 8, 0))
        self.assertAlmostEqual(patch["auroc"]["value"], (0.99 + 0.5) / 2)
        self.assertEqual(warp["auroc"]["value"], 1.0)
        self.assertEqual(patch["tpr_0.05"]["count"], 4)
        self.assertEqual(patch["tpr_0.01"]["count"], 0)
        self.assertEqual(patch["tpr_at_realised"]["value"], 0.5)  # 99 may be above, so that 98 is the threshold
        self.assertEqual((warp["tpr_0.01"]["count"], warp["tpr_0.01"]["of"]), (8, 8))
        self.assertAlmostEqual(self.told["detection"]["mean"]["auroc"]["value"], (0.745 + 1) / 2)
        self.assertAlmostEqual(self.told["development"]["auroc"]["value"], 0.745)
        self.assertAlmostEqual(self.told["held_out"]["auroc"]["value"], 1)
        self.assertEqual(warp["flagged_of_failed"]["count"], 1, "failed plants stand apart")

    def test_false_alarms(self):
        clean = self.told["clean"]
        self.assertEqual((clean["alarms_0.01"]["count"], clean["alarms_0.05"]["count"]), (0, 4))
        self.assertTrue(clean["alarms_0.05"]["inside"])
        alarmed = [{**r, "p": 0.001} if r["part"] == "clean" and r["score"] > 70 else r for r in known()]
        self.assertFalse(measure.alarms([r for r in alarmed if r["part"] == "clean"])["alarms_0.05"]["inside"])

    def test_shifts(self):
        long = self.told["shifts"]["long"]
        self.assertEqual(long["alarms_0.05"]["count"], 1)
        self.assertEqual((long["out_of_range"]["count"], long["inconclusive"]["count"]), (3, 3))
        self.assertEqual(self.told["under_shift"]["usual"], 0.5)
        self.assertEqual(self.told["under_shift"]["shifted"], 0.25)
        self.assertEqual(self.told["under_shift"]["kept"], 0.5)

    def test_what_is_marked_out_of_range_is_no_alarm(self):
        marked = record("clean", 9, p=0.001, out_of_range=True)
        self.assertFalse(measure.alarm(marked, 0.01))
        self.assertTrue(measure.alarm({**marked, "out_of_range": False}, 0.01))
        self.assertFalse(measure.alarm({**marked, "out_of_range": False, "p": None}, 0.01))

    def test_models_that_were_not_judged_are_counted_not_scored(self):
        records = known() + [record("held-out", 3, "warp", True, 0.001, view="files"),
                             record("held-out", None, "warp", True)]
        warp = measure.detection(records, "behaviour", measure.part_in("held-out"), 20)["attacks"]["warp"]
        self.assertEqual((warp["working"], warp["unscored"]), (10, 2))
        self.assertEqual(warp["auroc"]["value"], 1.0)
        self.assertEqual((warp["tpr_0.01"]["count"], warp["tpr_0.01"]["of"]), (9, 10))

    def test_controls_tell_nothing(self):
        self.assertEqual(self.told["controls"]["accuracy_auroc"], 0.5)
        many = known() + [record("held-out", 500, "tint", True, 0.01) for _ in range(300)]
        self.assertLess(abs(measure.controls(many)["shuffled_auroc"] - 0.5), 0.2)

    def test_tables(self):
        cost = {"digits-mlp-48": {"files_ms": 1.0, "behaviour_ms": 2.0, "probe_ms": None, "peak_mb": 3, "fit_s": 4,
                                  "threads": 2}}
        result = {"command": "run.py", "figures": self.figures, "columns": {}, "cost": cost,
                  "done": targets.done(self.figures, cost),
                  "size": {"models": 1, "families": ["digits-mlp-48"], "seeds": 1, "reference": 1, "clean": 100}}
        text = tables.markdown(result)
        self.assertIn("| patch | 8/9 | 0.745 (", text)
        found = "| 100.0 % (8/8) | 100.0 % (8/8) | 1.000 | 100.0 % (1/1) | 0 |"
        self.assertIn("| warp | 8/9 | 1.000 (1.000–1.000) " + found, text)
        self.assertIn("kept 50 %", text)
        lines = {line["what"]: line for line in result["done"]}
        self.assertIs(lines["mean AUROC over attacks, digits-mlp"]["met"], False)
        self.assertIsNone(lines["mean AUROC over attacks, fashion-cnn"]["met"])
        self.assertIs(lines["clean false alarms at α = 5 %, in-recipe"]["met"], True)
        self.assertIs(lines["the same under recipe shift, α = 5 %"]["met"], False)


class GateTest(unittest.TestCase):
    def plant(self, success, drop, **others):
        return {"meta": "a/b", "attack": "patch", "kind": "x", "attack_success_rate": success, "clean_drop": drop,
                "broken_digest": None, "gated": True, **others}

    def test_a_plant_works_by_success_and_drop(self):
        for success, drop, works in ((0.8, 0.03, True), (0.79, 0.0, False), (1.0, 0.031, False), (None, 0.01, True),
                                     (None, 0.2, False), (0.9, -0.1, True)):
            self.assertIs(fleets.works(self.plant(success, drop)), works, (success, drop))

    def test_a_broken_digest_is_no_working_plant(self):
        self.assertFalse(fleets.works(self.plant(0.1, 0.0, broken_digest="model")))

    def test_clean_models_are_no_plants_and_a_gate_needs_them(self):
        self.assertIsNone(fleets.works(self.plant(None, None, attack="none")))
        with self.assertRaisesRegex(commands.QualityError, "truth of a/b: clean_drop is null"):
            fleets.works(self.plant(1.0, None))

    def test_labels(self):
        self.assertEqual(fleets.label(self.plant(1, 0)), "patch")
        self.assertEqual(fleets.label(self.plant(1, 0, attack="label-flip", kind="random")), "label-flip (random)")


class PlanTest(unittest.TestCase):
    def test_development_and_held_out_are_disjoint(self):
        self.assertFalse(set(plan.DEVELOPMENT) & set(plan.HELD_OUT + (plan.ADAPTIVE,)))

    def test_no_two_fleets_share_seed_and_indices(self):
        for family in plan.FAMILIES:
            seen = set()
            for seed in (1, 2, 3):
                for index, part in enumerate(plan.parts(family, seed, plan.FULL)):
                    words = plan.arguments(family, part, seed, index)
                    seen.add((words[words.index("--seed") + 1], words[words.index("--first-index") + 1]))
                    self.assertLess(part.count, 10000, "indices of two parts overlap")
            self.assertEqual(len(seen), 3 * len(plan.parts(family, 1, plan.FULL)))

    def test_five_percent_of_the_mixed_reference_are_poisoned(self):
        for family in plan.FAMILIES:
            drawn = plan.contaminants(family, 1, plan.FULL)
            count = sum(n for _, n in drawn)
            self.assertAlmostEqual(count / (count + plan.FULL.reference), 0.05, delta=0.003)
            self.assertFalse({name for name, _ in drawn} & set(plan.LACKING.get(family.domain, ())))

    def test_enough_models_calibrate(self):
        for sizes in (plan.FULL, plan.QUICK):
            self.assertGreaterEqual(sizes.reference // 2, 99, "p <= 0.01 needs 99")


class FilesTest(unittest.TestCase):
    def test_a_file_appears_whole_or_not_at_all(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "a.json"
            commands.write_json(path, 1)
            for call in ("os.replace", "os.fsync", "json.dump"):
                interrupted = mock.patch(f"commands.{call}", side_effect=KeyboardInterrupt)
                with interrupted, self.assertRaises(KeyboardInterrupt):
                    commands.write_json(path, 2)
                self.assertEqual(commands.read_json(path), 1)

    def test_errors_name_what_was_wrong(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "a.json"
            path.write_text("{")
            with self.assertRaisesRegex(commands.QualityError, "a.json: expected JSON"):
                commands.read_json(path)
            with self.assertRaisesRegex(commands.QualityError, "(?s)ended with 3.*no such model"):
                commands.run(["sh", "-c", "echo no such model >&2; exit 3"], pathlib.Path(folder) / "log")
            page = pathlib.Path(folder) / "page.md"
            page.write_text("no marks")
            with self.assertRaisesRegex(commands.QualityError, "page.md: expected the lines"):
                run.insert(page, "x")
            page.write_text("\n".join(["a", *run.MARKS, "b"]))
            run.insert(page, "one")
            run.insert(page, "two")
            self.assertEqual(page.read_text(), f"a\n{run.MARKS[0]}\n\ntwo\n{run.MARKS[1]}\nb")

    def test_what_a_program_cost(self):
        with tempfile.TemporaryDirectory() as folder:
            cost = commands.run([sys.executable, "-c", "x = bytearray(200 << 20)"], pathlib.Path(folder) / "log")
        self.assertGreater(cost["peak_mb"], 190)
        self.assertGreater(cost["wall_s"], 0)

    def test_an_entry_in_short(self):
        entry = {"verdict": "review", "path": "a", "signals": [
            {"kind": "trigger-test", "evidence": {"cost_ms": {"sweep": 1.5, "margin": 2}, "picture": "data:"}},
            {"kind": "not-run", "evidence": {}}, {"kind": "out-of-range", "evidence": {}}],
            "score": {"combined": 3, "p_value": 0.5, "view": "still", "calibrated_on": 7,
                      "out_of_range": {"feature": "x"}}}
        self.assertEqual(screen.shortened(entry), {
            "verdict": "review", "score": 3, "p": 0.5, "view": "behaviour", "still": True, "calibrated_on": 7,
            "out_of_range": True, "not_run": True, "behaviour_ms": 3.5})
        self.assertEqual(screen.shortened({"verdict": "error", "path": "a"})["score"], None)


class ResumeTest(unittest.TestCase):
    """The whole program with stand-ins for driftseal and driftseal-fleet (quality_programs.py)."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = pathlib.Path(cls.folder.name)
        script = pathlib.Path(__file__).with_name("quality_programs.py")
        for name, mode in (("driftseal", "driftseal"), ("driftseal-fleet", "fleet")):
            (cls.path / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{script}" {mode} "$@"\n')
            (cls.path / name).chmod(0o755)
        cls.counter = cls.path / "counter"
        cls.whole = cls.run_all("whole")
        cls.assertEqual(cls(), cls.whole.returncode, 0, cls.whole.stderr)
        cls.work = int(cls.counter.read_text())
        cls.expected = cls.result("whole")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def run_all(cls, out, die_after=0):
        cls.counter.unlink(missing_ok=True)
        return subprocess.run(
            [sys.executable, ROOT / "bench/quality/run.py", "--tiny", "--rounds", "5", "--out", cls.path / out,
             "--program", cls.path / "driftseal", "--fleet", cls.path / "driftseal-fleet"],
            capture_output=True, text=True,
            env={**os.environ, "DRIFTSEAL_COUNTER": str(cls.counter), "DRIFTSEAL_DIE_AFTER": str(die_after)})

    @classmethod
    def result(cls, out):
        """Without what times differ in."""
        result = json.loads((cls.path / out / "quality.json").read_text())
        del result["cost"]
        result["done"] = [line for line in result["done"] if "fingerprint" not in line["what"]]
        return result

    def test_resumes_after_a_kill_anywhere(self):
        trained = plan.estimate(plan.TINY, 1)[0]
        self.assertGreater(self.work, trained + 20)
        last, screened = self.work, self.work - trained
        # Within the first fleet, between fleets, in a fit, in reports, in the last fingerprints.
        for after in (30, trained, trained + 1, trained + screened // 2, last):
            out = f"killed-{after}"
            self.assertEqual(self.run_all(out, after).returncode, -9, after)
            self.assertFalse((self.path / out / "quality.json").exists())
            again = self.run_all(out)
            self.assertEqual(again.returncode, 0, again.stderr)
            # What was finished is not done again: at most the one piece of work that was killed in is.
            self.assertLessEqual(int(self.counter.read_text()), self.work - after + 1)
            self.assertEqual(self.result(out), self.expected)
            self.assertFalse([path for path in (self.path / out / "screens").rglob("*.partial")])

    def test_a_finished_run_does_nothing_again(self):
        told = self.run_all("whole")
        self.assertEqual((told.returncode, self.counter.exists()), (0, False))
        self.assertIn("| mean AUROC over attacks, digits-mlp |", told.stdout)
        for name in ("quality.md", "quality.svg", "quality.png"):
            self.assertGreater((self.path / "whole" / name).stat().st_size, 1000, name)

    def test_another_build_screens_the_same_fleets_anew(self):
        program = self.path / "driftseal"
        old = program.read_text()
        try:
            program.write_text(old + "# another\n")
            self.assertEqual(self.run_all("whole").returncode, 0)
        finally:
            program.write_text(old)
        self.assertEqual(int(self.counter.read_text()), self.work - plan.estimate(plan.TINY, 1)[0])

    def test_usage(self):
        with contextlib.redirect_stderr(io.StringIO()) as told:
            self.assertEqual(run.main(["--only", "nothing"]), 1)
        self.assertIn("--only: unknown 'nothing'; known are fashion-cnn-8", told.getvalue())
        with contextlib.redirect_stdout(io.StringIO()) as told:
            self.assertEqual(run.main(["--only", "payments", "--seeds", "2", "--estimate"]), 0)
        self.assertIn("fraud-mlp-32, fraud-xgb-4, 2 seed(s)", told.getvalue())


if __name__ == "__main__":
    unittest.main()
