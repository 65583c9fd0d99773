"""The format of meta files (docs/formats/meta.md), as the engine reads it."""
from __future__ import annotations

import json
import math
import re
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

BYTES_LIMIT, DEPTH_LIMIT, PATH_LIMIT, RELATED_LIMIT = 4 << 20, 32, 4096, 1000
ELEMENTS_LIMIT, FLOAT_LIMIT = 1 << 20, 3.4028234663852886e38
_DIGEST = re.compile(r"(sha256:)?[0-9a-fA-F]{64}")

Check = Callable[[Any], Optional[str]]  # what was expected, None where the value is that


def _text(value: Any) -> Optional[str]:
    return None if isinstance(value, str) else "a string"


def _number(value: Any) -> Optional[str]:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "a number"
    return None if math.isfinite(value) else "a finite number"


def _count(value: Any) -> Optional[str]:
    return _number(value) or (None if value >= 0 else "a number of at least 0")


def _flag(value: Any) -> Optional[str]:
    return None if isinstance(value, bool) else "true or false"


def _path(value: Any) -> Optional[str]:
    if not isinstance(value, str):
        return "a string"
    if "\0" in value:
        return "a path without a NUL character"
    fits = len(value.encode("utf-8", "surrogatepass")) <= PATH_LIMIT
    return None if fits else f"a path of at most {PATH_LIMIT} bytes"


def _digest(value: Any) -> Optional[str]:
    return None if isinstance(value, str) and _DIGEST.fullmatch(value) else "64 hexadecimal digits in a string"


def _object(value: Any) -> Optional[str]:
    return None if isinstance(value, dict) else "an object"


def _paths(value: Any) -> Optional[str]:
    if not isinstance(value, list):
        return "an array of strings"
    if len(value) > RELATED_LIMIT:
        return f"at most {RELATED_LIMIT} paths"
    return next(filter(None, map(_path, value)), None)


def _digests(value: Any) -> Optional[str]:
    if not isinstance(value, dict):
        return "an object of paths and digests"
    checked = (problem for path, digest in value.items() for problem in (_path(path), _digest(digest)))
    return next(filter(None, checked), None)


def _sizes(most: int) -> Check:
    def check(value: Any) -> Optional[str]:
        sized = isinstance(value, list) and 1 <= len(value) <= most and all(
            isinstance(size, int) and not isinstance(size, bool) and 1 <= size <= ELEMENTS_LIMIT for size in value)
        fits = sized and math.prod(value) <= ELEMENTS_LIMIT
        return None if fits else f"1 to {most} whole numbers from 1 with a product of at most {ELEMENTS_LIMIT}"
    return check


def _inputs(inputs: Any) -> Iterator[str]:
    """What no field of `inputs` tells alone. The other checks have passed."""
    if not isinstance(inputs, dict):
        return
    low, high = (default if inputs.get(key) is None else inputs[key] for key, default in (("low", 0), ("high", 1)))
    if not -FLOAT_LIMIT <= low < high <= FLOAT_LIMIT:
        yield f"inputs.low: expected numbers of single precision with low below high, found {low} and {high}"
    image, shape = inputs.get("image"), inputs.get("shape")
    if image is not None and (len(image) != 3 or math.prod(image) != math.prod(shape or [])):
        yield f"inputs.image: expected channels, height and width with the product of inputs.shape, found {image}"


FIELDS: Dict[str, Check] = {
    "model_name": lambda value: _text(value) or (None if value else "a string that is not empty"),
    "domain": _text, "model_kind": _text, "framework": _text,
    "artifacts": _object, "artifacts.metadata_path": _path, "artifacts.model_path": _path,
    "artifacts.predictions_path": _path, "artifacts.canary_path": _path, "artifacts.related_paths": _paths,
    "inputs": _object, "inputs.shape": _sizes(8), "inputs.image": _sizes(3), "inputs.low": _number,
    "inputs.high": _number,
    "promotion": _object, "promotion.task": _text, "promotion.primary_metric": _text, "promotion.primary": _number,
    "promotion.baseline": _number, "promotion.eligible": _flag,
    "training": _object, "training.seconds": _count, "training.parameters": _count, "training.samples": _count,
    "training.final_loss": _number, "training.score": _number, "training.recipe": _object,
    "fingerprint": _object, "fingerprint.model_sha256": _digest, "fingerprint.predictions_sha256": _digest,
    "fingerprint.canary_sha256": _digest, "fingerprint.behaviour_hash": _digest,
    "fingerprint.related_sha256": _digests,
}


def _walk(value: Any, place: str, level: int) -> Iterator[Tuple[str, Any, int]]:
    """All values with their places and levels. No recursion deeper than the format's own limit."""
    yield place, value, level
    if level > DEPTH_LIMIT:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(item, f"{place}.{key}" if place else str(key), level + 1)
            if not isinstance(key, str):
                yield place, key, DEPTH_LIMIT + 2
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _walk(item, f"{place}[{index}]", level + 1)


def problems(document: Any) -> List[str]:
    """What the engine would refuse, each as "field: expected ..."; empty: nothing."""
    if not isinstance(document, dict):
        return ["expected an object"]
    found = [] if document.get("model_name") is not None else ["model_name: expected a string, found none"]
    for field, check in FIELDS.items():
        value: Any = document
        for part in field.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        expected = None if value is None else check(value)
        if expected:
            found.append(f"{field}: expected {expected}, found {str(value)[:80]!r}")
    if not any(problem.startswith("inputs") for problem in found):
        found.extend(_inputs(document.get("inputs")))
    for place, value, level in _walk(document, "", 1):
        if level == DEPTH_LIMIT + 2:
            found.append(f"{place}: expected keys that are strings, found {value!r}")
        elif level > DEPTH_LIMIT and isinstance(value, (dict, list, tuple)):
            found.append(f"{place[:80]}: expected at most {DEPTH_LIMIT} levels")
        elif isinstance(value, float) and not math.isfinite(value):
            found.append(f"{place}: expected a finite number, found {value}")
        elif isinstance(value, int) and not -2**63 <= value < 2**64:
            found.append(f"{place}: expected a number of 64 bits, found a larger one")
        elif value is not None and not isinstance(value, (str, int, float, bool, dict, list, tuple)):
            found.append(f"{place}: expected a value that JSON has, found a {type(value).__name__}")
    return list(dict.fromkeys(found))


def encode(document: Dict[str, Any]) -> bytes:
    """The text of a meta file. ValueError names everything that the engine would refuse."""
    found = problems(document)
    if found:
        raise ValueError("meta file: " + "; ".join(found[:10]))
    try:
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"
    except UnicodeEncodeError as error:
        raise ValueError(f"meta file: expected Unicode text, found half a character in {error.object[:80]!r}") from None
    if len(text) > BYTES_LIMIT:
        raise ValueError(f"meta file: expected at most {BYTES_LIMIT} bytes, found {len(text)}")
    return text
