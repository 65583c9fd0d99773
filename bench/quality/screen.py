"""`driftseal fit` and `verify_all` on the fleets, each result kept under the digest of everything it depends on.

    OUT/screens/detectors/KEY/        a detector; whole or not there
    OUT/screens/reports/KEY.json      of each model of one fleet what the figures need
    OUT/screens/columns/KEY.json      the fingerprints of one fleet

A result depends on the programs' bytes too: another driftseal fits and screens anew, on the same fleets.
"""
import json, os, pathlib, shutil

import plan
from commands import QualityError, digest, file_digest, read_json, run, write_json

# Of the CLI: passed; to be reviewed or quarantined; a file of some entry could not be read; inconclusive.
VERIFIED = (0, 1, 3, 4)


class Screen:
    def __init__(self, out, program, jobs, sandbox=()):
        self.program, self.jobs = pathlib.Path(program), jobs
        self.folder = pathlib.Path(out) / "screens"
        self.sandbox = [word for name in sandbox for word in ("--allow-missing-sandbox", name)]
        replay = self.program.with_name("driftseal-replay")
        self.programs = [file_digest(path) for path in (self.program, replay) if path.exists()]

    def detector(self, fleets, mixed, tell):
        """Fits on the clean reference, or on it with 5 % unknown poisoned models: (folder, key, what fit told)."""
        names = ("reference", "contaminants") if mixed else ("reference",)
        folders = [fleets.folder(name) for name in names]
        key = digest([self.programs, fleets.group.name, [folder.name for folder in folders], fleets.seed])
        path = self.folder / "detectors" / key
        told = path / "fit.json"
        if not told.exists():
            tell(f"{fleets.family.name} seed {fleets.seed}: fitting{' on the mixed reference' if mixed else ''}")
            partial = path.with_name(key + ".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            cost = run([self.program, "fit", *folders, "--root", fleets.group, "--canary", fleets.canary, "--model-dir",
                        partial, "--seed", str(fleets.seed), "--threads", self.jobs, "--format", "json", *self.sandbox],
                       self.folder / "logs" / f"fit-{key}.log", output=partial / "fit.partial")
            fit = json.loads((partial / "fit.partial").read_text())
            (partial / "fit.partial").unlink()
            write_json(partial / "fit.json", {"fit": fit, "cost": cost})
            shutil.rmtree(path, ignore_errors=True)
            os.replace(partial, path)
        return path, key, read_json(told)

    def report(self, fleets, part, detector, replay, tell):
        """Of each model of a fleet its entry in short, and what the run cost."""
        path, key, _ = detector
        folder = fleets.folder(part)
        target = self.folder / "reports" / f"{digest([key, folder.name, replay])}.json"
        found = read_json(target)
        if found is None:
            tell(f"{fleets.family.name} seed {fleets.seed}: screening {part}{'' if replay else ' by files alone'}")
            partial = target.with_suffix(".report")
            target.parent.mkdir(parents=True, exist_ok=True)
            cost = run([self.program, "verify_all", folder, "--root", folder, "--model-dir", path, "--output-path",
                        partial, "--threads", self.jobs, "--restart",
                        *(self.sandbox if replay else ["--no-replay"])],
                       self.folder / "logs" / f"verify-{target.stem}.log", accepted=VERIFIED)
            report = read_json(partial)
            if report is None:
                raise QualityError(f"driftseal verify_all {folder} ended with {cost['code']} and wrote no {partial}")
            found = {"models": {entry["path"]: shortened(entry) for entry in report["models"]}, "cost": cost}
            write_json(target, found)
            partial.unlink()
        return found

    def columns(self, fleets, part, detector, tell):
        """{meta file's name: {column: value or None}} by `driftseal fingerprint`, models run."""
        path, key, _ = detector
        folder = fleets.folder(part)
        target = self.folder / "columns" / f"{digest([key, folder.name])}.json"
        found = read_json(target)
        if found is None:
            tell(f"{fleets.family.name} seed {fleets.seed}: fingerprints of {part}")
            partial = target.with_suffix(".lines")
            target.parent.mkdir(parents=True, exist_ok=True)
            run([self.program, "fingerprint", folder, "--root", folder, "--model-dir", path, "--format", "json",
                 *self.sandbox], self.folder / "logs" / f"fingerprint-{target.stem}.log", output=partial)
            lines = map(json.loads, partial.read_text().splitlines())
            found = {line["path"]: {name: value for name, value in line["values"].items()
                                    if name.startswith(("behaviour.", "still.", "balance.", "pair."))} for line in lines}
            write_json(target, found)
            partial.unlink()
        return found

    def records(self, fleets, truth, part, detector, replay, tell):
        """The models of a fleet with their truth and what the screening said: what measure.py takes."""
        report = self.report(fleets, part, detector, replay, tell)["models"]
        if set(report) != set(truth[part]):
            raise QualityError(f"{fleets.folder(part)}: {len(report)} models were screened, "
                               f"the truth knows {len(truth[part])}, or others")
        return [{**truth[part][name], **report[name], "part": part, "family": fleets.family.name,
                 "task": fleets.family.task, "seed": fleets.seed} for name in sorted(report)]


def shortened(entry):
    """What the figures need of an entry of a report; pictures are many times that. Both views that rest on behaviour
    are one here; "out_of_range": marked so instead of an alarm."""
    score = entry.get("score") or {}
    signals = entry.get("signals", [])
    view = "behaviour" if score.get("view") == "still" else score.get("view")
    costs = [signal["evidence"].get("cost_ms") or {} for signal in signals if signal["kind"] == "trigger-test"]
    return {"verdict": entry["verdict"], "score": score.get("combined"), "p": score.get("p_value"),
            "view": view, "still": score.get("view") == "still", "calibrated_on": score.get("calibrated_on"),
            "out_of_range": any(signal["kind"] == "out-of-range" for signal in signals),
            "not_run": any(signal["kind"] == "not-run" for signal in signals),
            "behaviour_ms": sum(costs[0].values()) if costs else None}
