"""How well poisoning is found, measured on fleets of real models whose truth the screening never sees.

    build/venv/bin/python bench/quality/run.py --quick     two small families, one seed: minutes
    build/venv/bin/python bench/quality/run.py             all families, three seeds: hours
    build/venv/bin/python bench/quality/run.py --only digits-mlp,fashion-cnn-8

Everything is kept beneath --out under the digest of its options; the same command goes on after a kill. Another
build of driftseal screens the same fleets anew. The figures land in OUT/quality.json, quality.md, quality.svg and
quality.png; docs/quality.md explains them. `--markdown FILE` puts the tables between that page's marks.
"""
import argparse, dataclasses, pathlib, statistics, sys

import columns
import measure
import plan
import plot
import tables
import targets
from commands import QualityError, write_json
from fleets import Fleets
from screen import Screen

MARKS = ("<!-- figures: written by bench/quality/run.py --markdown -->", "<!-- end of figures -->")


def tell(text):
    print(text, flush=True)


def sizes_of(arguments):
    sizes = plan.TINY if arguments.tiny else plan.QUICK if arguments.quick else plan.FULL
    if arguments.only:
        wanted = arguments.only.split(",")
        names = [f.name for f in plan.FAMILIES if f.name in wanted or f.domain in wanted or f.task in wanted]
        for word in wanted:
            if not any(word in (f.name, f.domain, f.task) for f in plan.FAMILIES):
                raise QualityError(f"--only: unknown {word!r}; known are " + ", ".join(f.name for f in plan.FAMILIES))
        sizes = dataclasses.replace(sizes, families=plan.FAMILIES).cut(names)
    if arguments.seeds:
        sizes = dataclasses.replace(sizes, seeds=arguments.seeds)
    return sizes


def cost_of(screen, fleets, detector):
    """Milliseconds a model, start of the program included, on the clean test models, which nothing else differs in."""
    models = next(part.count for part in fleets.parts if part.name == "clean")
    full, files = (screen.report(fleets, "clean", detector, replay, tell) for replay in (True, False))
    probes = [entry["behaviour_ms"] for entry in full["models"].values() if entry["behaviour_ms"] is not None]
    fit = detector[2]["cost"]
    return {"files_ms": 1000 * files["cost"]["wall_s"] / models, "behaviour_ms": 1000 * full["cost"]["wall_s"] / models,
            "behaviour_cpu_ms": 1000 * full["cost"]["cpu_s"] / models, "threads": screen.jobs,
            "probe_ms": statistics.median(probes) if probes else None, "fit_s": fit["wall_s"],
            "peak_mb": max(fit["peak_mb"], full["cost"]["peak_mb"])}


def screen_family(screen, fleets, records, with_columns):
    """Trains, fits and screens one family and seed; adds to `records`. Returns cost, and columns where asked for."""
    fleets.make(tell)
    truth = fleets.truth()
    detector = screen.detector(fleets, False, tell)
    mixed = screen.detector(fleets, True, tell)
    for part in fleets.parts:
        if part.name not in plan.NOT_SCREENED:
            records["behaviour"] += screen.records(fleets, truth, part.name, detector, True, tell)
    for part in plan.MIXED_PARTS:
        records["mixed"] += screen.records(fleets, truth, part, mixed, True, tell)
    for part in plan.FILES_PARTS:
        records["files"] += screen.records(fleets, truth, part, detector, False, tell)
    found = None
    if with_columns:
        parts = ("reference",) + plan.FILES_PARTS
        found = ({part: screen.columns(fleets, part, detector, tell) for part in parts}, truth)
    return cost_of(screen, fleets, detector), found


def run(arguments):
    sizes, out = sizes_of(arguments), pathlib.Path(arguments.out)
    models, seconds = plan.estimate(sizes, arguments.jobs)
    tell(f"{models} models of {', '.join(f.name for f in sizes.families)}, {sizes.seeds} seed(s); about "
         f"{seconds / 60:.0f} minutes with {arguments.jobs} cores where nothing is there yet")
    if arguments.estimate:
        return None
    screen = Screen(out, arguments.program, arguments.jobs, arguments.allow_missing_sandbox)
    records, cost, read = {"behaviour": [], "mixed": [], "files": []}, {}, []
    for seed in range(1, sizes.seeds + 1):
        for family in sizes.families:
            fleets = Fleets(out, family, seed, sizes, arguments.fleet, arguments.jobs)
            told, found = screen_family(screen, fleets, records, seed == 1)
            cost.setdefault(family.name, told)
            if found:
                read.append(found)
    tell("figures")
    figures = measure.figures(records, sizes.families, arguments.rounds)
    size = {**dataclasses.asdict(sizes), "families": [f.name for f in sizes.families], "models": models}
    result = {"command": "bench/quality/run.py" + (" --quick" if arguments.quick else ""), "size": size,
              "programs": screen.programs, "development": plan.DEVELOPMENT, "held_out": plan.HELD_OUT,
              "figures": figures, "columns": columns.ablation(read), "cost": cost, "done": targets.done(figures, cost)}
    write_json(out / "quality.json", result)
    return result


def insert(page, text):
    """Puts the figures between the marks of a page."""
    page = pathlib.Path(page)
    old = page.read_text()
    if old.count(MARKS[0]) != 1 or old.count(MARKS[1]) != 1 or old.index(MARKS[0]) > old.index(MARKS[1]):
        raise QualityError(f"{page}: expected the lines {MARKS[0]!r} and {MARKS[1]!r}, each once")
    before, after = old.split(MARKS[0])[0], old.split(MARKS[1])[1]
    partial = page.with_name(page.name + ".partial")
    partial.write_text(f"{before}{MARKS[0]}\n\n{text}\n{MARKS[1]}{after}")
    partial.replace(page)


def parse(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="digits-mlp-48 and fraud-mlp-32, one seed")
    size.add_argument("--tiny", action="store_true", help="a handful of models: tries the program, tells nothing")
    parser.add_argument("--only", help="families, domains or tasks, separated by commas")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--jobs", type=int, default=2, help="cores [2]")
    parser.add_argument("--out", default="build/quality")
    parser.add_argument("--program", default="build/bin/driftseal")
    parser.add_argument("--fleet", default="build/bin/driftseal-fleet")
    parser.add_argument("--allow-missing-sandbox", action="append", default=[], metavar="NAME")
    parser.add_argument("--markdown", metavar="PAGE", help="also put the tables between the marks of this page")
    parser.add_argument("--rounds", type=int, default=1000, help="of the bootstrap")
    parser.add_argument("--estimate", action="store_true", help="say what it would take, and do nothing")
    return parser.parse_args(words)


def main(words=None):
    arguments = parse(words)
    try:
        result = run(arguments)
        if result is None:
            return 0
        text, out = tables.markdown(result), pathlib.Path(arguments.out)
        (out / "quality.md").write_text(text)
        plot.draw(result, [out / "quality.svg", out / "quality.png"])
        if arguments.markdown:
            insert(arguments.markdown, text)
    except QualityError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: the same command goes on", file=sys.stderr)
        return 130
    print(tables.done_table(result), tables.summary_table(result), f"Everything: {out}/quality.md", sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
