#!/usr/bin/env python3
"""Stand-ins for driftseal-fleet and driftseal: the same files and options, no training, verdicts by what the model's
name says of it. Usage: quality_programs.py fleet|driftseal ...

DRIFTSEAL_DIE_AFTER=N and DRIFTSEAL_COUNTER=FILE: the N-th piece of work, counted over processes, kills the program that
started this one and this one, both without a chance to clean up.
"""
import json, os, pathlib, signal, sys, zlib


def work():
    counter = os.environ.get("DRIFTSEAL_COUNTER")
    if not counter:
        return
    done = int(pathlib.Path(counter).read_text() or 0) + 1 if os.path.exists(counter) else 1
    pathlib.Path(counter).write_text(str(done))
    if done == int(os.environ.get("DRIFTSEAL_DIE_AFTER", "0")):
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


def chance(*words):
    """In [0, 1), the same for the same words."""
    return zlib.crc32(zlib.crc32(repr(words).encode()).to_bytes(4, "big") * 5) / 2**32


def option(words, name, default=None):
    return words[words.index(name) + 1] if name in words else default


def fleet(words):
    folder, truth = pathlib.Path(option(words, "--output")), pathlib.Path(option(words, "--truth"))
    folder.mkdir(parents=True, exist_ok=True)
    if option(words, "--canary"):
        pathlib.Path(option(words, "--canary")).mkdir(exist_ok=True)
    kinds = [item.split(":") for item in option(words, "--poison").split(",")]
    seed, index = option(words, "--seed"), int(option(words, "--first-index"))
    for attack, count in kinds:
        for ordinal in range(int(count)):
            meta = folder / f"model-{index:06}.meta.json"
            index += 1
            if meta.exists():
                continue
            shift, variant = (option(words, name, "none").split(",") for name in ("--shift", "--variant"))
            record = {"meta": f"{folder.name}/{meta.name}", "attack": attack, "kind": ("one", "two")[ordinal % 2],
                      "shift": shift[ordinal % len(shift)], "variant": variant[ordinal % len(variant)],
                      "broken_digest": None,
                      "attack_success_rate": None if attack == "none" else 0.7 + 0.3 * chance(seed, index, 0),
                      "clean_drop": 0.01, "clean_primary": 0.9 + 0.05 * chance(seed, index, 1)}
            with open(truth, "a") as file:
                file.write(json.dumps(record) + "\n")
            work()
            meta.write_text(json.dumps({"poisoned": attack != "none"}))


def judge(path, meta, replay):
    poisoned = json.loads(meta.read_text())["poisoned"]
    score = chance(path, replay) + (0.6 if poisoned else 0)
    return {"path": meta.name, "verdict": "review" if score > 0.95 else "pass",
            "score": {"combined": score, "p_value": max(0.0, 1 - score), "calibrated_on": 100,
                      "view": "behaviour" if replay else "files"},
            "signals": [{"kind": "trigger-test", "evidence": {"cost_ms": {"sweep": 5.0}}}]}


def models(folder):
    return sorted(pathlib.Path(folder).glob("*.meta.json"))


def driftseal(words):
    command, folder = words[0], words[1]
    if command == "fit":
        pathlib.Path(option(words, "--model-dir"), "detector_state.json").write_text("{")
        work()
        pathlib.Path(option(words, "--model-dir"), "detector_state.json").write_text("{}")
        print(json.dumps({"models": len(models(folder))}))
    elif command == "verify_all":
        assert pathlib.Path(option(words, "--model-dir"), "detector_state.json").read_text() == "{}", "half a detector"
        output = pathlib.Path(option(words, "--output-path"))
        output.write_text('{"models": [')
        work()
        entries = [judge(f"{folder}/{meta.name}"[-40:], meta, "--no-replay" not in words) for meta in models(folder)]
        output.write_text(json.dumps({"models": entries}))
        return 1
    else:
        for meta in models(folder):
            high = 2.0 * json.loads(meta.read_text())["poisoned"]
            print(json.dumps({"path": meta.name, "values": {
                "behaviour.shift.all_top": chance(meta.name, 1), "behaviour.mapped.excess": chance(meta.name, 2),
                "behaviour.patch.rate_top": chance(meta.name, 3) + high, "meta.primary": 0.9}}))
        work()
    return 0


if __name__ == "__main__":
    sys.exit({"fleet": fleet, "driftseal": driftseal}[sys.argv[1]](sys.argv[2:]))
