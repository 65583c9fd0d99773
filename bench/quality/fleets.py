"""Fleets on disk, made once for each set of options and continued after a kill, and the truth about their models.

    OUT/fleets/FAMILY-sSEED-DIGEST/            the digest is that of the clean reference, with which gates compare
        truth.jsonl  canary/  reference-DIGEST/  clean-DIGEST/  ...
        reference-DIGEST.done.json             written last: models, seconds, digest of the program
"""
import json, pathlib

import plan
from commands import QualityError, file_digest, read_json, run, write_json


class Fleets:
    """The fleets of one family and seed."""

    def __init__(self, out, family, seed, sizes, program, jobs, extra=()):
        self.family, self.seed, self.program, self.jobs, self.extra = family, seed, pathlib.Path(program), jobs, extra
        self.parts = plan.parts(family, seed, sizes)
        self.folders = {part.name: plan.folder(family, part, seed, index) for index, part in enumerate(self.parts)}
        group = f"{family.name}-s{seed}-{self.folders['reference'].rsplit('-', 1)[1]}"
        self.group = pathlib.Path(out) / "fleets" / group
        self.canary = self.group / "canary"

    def folder(self, name):
        return self.group / self.folders[name]

    def make(self, tell):
        """Trains what is not there. driftseal-fleet itself continues a fleet that it was killed in."""
        for index, part in enumerate(self.parts):
            folder = self.folder(part.name)
            marker = self.group / f"{folder.name}.done.json"
            done = read_json(marker)
            if done is not None:
                if done["models"] != part.count or not folder.is_dir():
                    raise QualityError(f"{marker}: expected {part.count} models in {folder}. "
                                       "Remove both to make it again")
                continue
            tell(f"{self.family.name} seed {self.seed}: training {part.count} models of {part.name}")
            command = [self.program, "--output", folder, "--truth", self.group / "truth.jsonl", "--workers", self.jobs,
                       *plan.arguments(self.family, part, self.seed, index), *self.extra]
            if part.name == "reference":
                command += ["--canary", self.canary]
            cost = run(command, self.group / "logs" / f"{folder.name}.log")
            found = len(list(folder.glob("*.meta.json")))
            if found != part.count:
                raise QualityError(f"{folder}: {found} models were written, expected {part.count}")
            write_json(marker, {"models": part.count, "program": file_digest(self.program), **cost})

    def truth(self):
        """{part: {meta file's name: record}} of all parts, each record with `works` (below) and `label`."""
        path, known = self.group / "truth.jsonl", {}
        for number, line in enumerate(path.read_text().splitlines(), 1):
            try:
                record = json.loads(line)
                folder, name = record["meta"].split("/", 1)
            except (ValueError, KeyError, TypeError) as error:
                raise QualityError(f"{path}:{number}: expected a record of a truth file: {error}")
            known.setdefault(folder, {})[name] = record
        found = {}
        for part in self.parts:
            records = known.get(self.folders[part.name], {})
            if len(records) != part.count:
                raise QualityError(f"{path}: {len(records)} models of {part.name}, expected {part.count}")
            found[part.name] = {name: {**record, "works": works(record), "label": label(record)}
                                for name, record in records.items()}
        return found


def label(record):
    """The attack as the tables name it."""
    if record["attack"] in plan.SPLIT_BY_KIND:
        return f"{record['attack']} ({record['kind']})"
    return record["attack"]


def works(record):
    """Whether a plant counts: success >= 80 % where it has an aim, at a clean drop <= 3 points. The truth file's own
    `gated` is true of every file changed after its digest was recorded, whatever it does; the digest finds those, and
    here behaviour is on trial. None of clean models."""
    if record["attack"] == "none":
        return None
    if record["clean_drop"] is None:
        raise QualityError(f"truth of {record['meta']}: clean_drop is null, "
                           "expected clean models of its family beside it")
    success = record["attack_success_rate"]
    return (success is None or success >= plan.GATE_SUCCESS) and record["clean_drop"] <= plan.GATE_DROP
