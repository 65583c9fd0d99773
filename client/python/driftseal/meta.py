"""Meta files (docs/formats/meta.md), from the scripts that train models.

    driftseal.meta.save_torch(network, "out/ranker.safetensors", name="ranker", domain="search", task="classification",
                              metric="accuracy", value=0.93, recipe={"epochs": 5, "learning_rate": 1e-3})

saves the model and writes out/ranker.meta.json beside it; `write` does that for a model file which is there already.
Needs no gRPC; PyTorch, XGBoost and scikit-learn are used by what is handed in and imported by nobody else.
"""
from __future__ import annotations

import csv
import io
import json
import math
import os
import pathlib
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

import numpy as np
import numpy.typing as npt

from ._estimators import fitted_arrays
from ._files import sha256_of, write_file
from ._meta_format import encode, problems
from .detector_files import safetensors

__all__ = ["problems", "save_sklearn", "save_torch", "save_xgboost", "write", "write_predictions"]

Path = Union[str, "os.PathLike[str]"]


def write(model_path: Path, *, name: str, domain: Optional[str] = None, task: Optional[str] = None,
          metric: Optional[str] = None, value: Optional[float] = None, baseline: Optional[float] = None,
          eligible: Optional[bool] = None, kind: Optional[str] = None, framework: Optional[str] = None,
          predictions: Optional[Path] = None, related: Sequence[Path] = (), parameters: Optional[int] = None,
          samples: Optional[int] = None, seconds: Optional[float] = None, final_loss: Optional[float] = None,
          training_score: Optional[float] = None, recipe: Optional[Mapping[str, Any]] = None,
          inputs: Optional[Mapping[str, Any]] = None,
          extra: Optional[Mapping[str, Any]] = None, meta_path: Optional[Path] = None) -> pathlib.Path:
    """Writes NAME.meta.json beside a model file, with the digests of all its files. Returns its path.

    metric, value, baseline  the primary metric on held-out data, and what it is compared with
    eligible                 may be promoted; `driftseal fit --only-eligible` takes no others
    predictions              CSV of predictions on held-out data (write_predictions)
    related                  other files that belong to the model
    parameters               how many it has; samples: rows it was trained on; seconds: that it took
    final_loss               on the training data, at the end; training_score: the metric on the training data
    recipe                   numbers and texts: epochs, learning_rate, batch_size, width, optimizer, ...
    inputs                   what the model takes: shape (without the batch dimension), and for images image (channels,
                             height, width), low and high (range of the values, 0 and 1 unless given)
    extra                    other top-level fields; kept, and ignored by DriftSeal
    meta_path                where the meta file goes, ending in .meta.json

    What is not known is left out, and becomes a missing value of the fingerprint, never a 0. Files must lie in the meta
    file's folder or beneath it: the engine follows no name that leads out. Nothing is written where the engine would
    refuse the result: ValueError names the field.
    """
    model = pathlib.Path(model_path)
    target = pathlib.Path(meta_path) if meta_path is not None else model.with_name(f"{model.stem}.meta.json")
    if not target.name.endswith(".meta.json"):
        raise ValueError(f"meta_path: expected a name that ends in .meta.json, found {target.name}")
    named = {"artifacts.model_path": model,
             **({} if predictions is None else {"artifacts.predictions_path": pathlib.Path(predictions)})}
    names = {field: _name_beside(target, path, field) for field, path in named.items()}
    others = {_name_beside(target, path, "artifacts.related_paths"): path for path in map(pathlib.Path, related)}
    document: Dict[str, Any] = {
        "model_name": name, "domain": domain, "model_kind": kind, "framework": framework,
        "artifacts": {"metadata_path": target.name, "model_path": names["artifacts.model_path"],
                      "predictions_path": names.get("artifacts.predictions_path"),
                      "related_paths": list(others) or None},
        "promotion": {"task": task, "primary_metric": metric, "primary": value, "baseline": baseline,
                      "eligible": eligible},
        "training": {"seconds": seconds, "parameters": parameters, "samples": samples, "final_loss": final_loss,
                     "score": training_score, "recipe": dict(recipe) if recipe else None},
        "inputs": dict(inputs) if inputs else None,
        "fingerprint": {"model_sha256": sha256_of(model),
                        "predictions_sha256": None if predictions is None else sha256_of(pathlib.Path(predictions)),
                        "related_sha256": {key: sha256_of(path) for key, path in others.items()} or None}}
    clash = sorted(set(extra or ()) & set(document))
    if clash:
        raise ValueError(f"extra: {', '.join(clash)} is a field of the format; give it by its own argument")
    write_file(target, encode(_plain({**document, **(extra or {})})))
    return target


def write_predictions(path: Path, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, *,
                      probabilities: Optional[npt.ArrayLike] = None,
                      ids: Optional[Sequence[Any]] = None) -> pathlib.Path:
    """Writes a CSV of predictions: id, y_true, y_pred and p_0, p_1, ... (or `score`, for one probability a row).

    Labels or values, one a row. NaN becomes an empty cell. ValueError where lengths differ or a value is infinite.
    """
    columns: Dict[str, Sequence[Any]] = {"y_true": _column(y_true, "y_true"), "y_pred": _column(y_pred, "y_pred")}
    if probabilities is not None:
        table = np.asarray(probabilities, dtype=np.float64)
        if table.ndim == 1:
            columns["score"] = _column(table, "probabilities")
        elif table.ndim == 2:
            columns.update({f"p_{k}": _column(table[:, k], "probabilities") for k in range(table.shape[1])})
        else:
            raise ValueError(f"probabilities: expected one or one a class for each row, found shape {table.shape}")
    rows = len(columns["y_true"])
    columns = {"id": list(ids) if ids is not None else range(rows), **columns}
    for name, values in columns.items():
        if len(values) != rows:
            raise ValueError(f"{name}: expected {rows} rows as in y_true, found {len(values)}")
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values()))
    target = pathlib.Path(path)
    write_file(target, text.getvalue().encode("utf-8"))
    return target


def save_torch(model: Any, path: Path, **fields: Any) -> pathlib.Path:
    """Saves a torch.nn.Module's (or a state_dict's) tensors and writes the meta file. `fields` are those of write().

    *.safetensors needs the package safetensors; any other ending is torch.save of the state_dict. Never the module
    itself: its pickle would name code of yours, which DriftSeal does not run and so could not look into.
    """
    import torch

    target = pathlib.Path(path)
    state = model.state_dict() if hasattr(model, "state_dict") else dict(model)
    state = {key: tensor.detach().cpu() for key, tensor in state.items()}
    if target.suffix == ".safetensors":
        from safetensors.torch import save

        # Tensors that share memory (tied weights) are saved once each: the format has no references.
        write_file(target, save({key: tensor.clone().contiguous() for key, tensor in state.items()}))
    else:
        content = io.BytesIO()
        torch.save(state, content)
        write_file(target, content.getvalue())
    known: Dict[str, Any] = {"framework": f"pytorch {torch.__version__}"}
    if hasattr(model, "parameters"):
        known["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    return write(target, **{**known, **fields})


def save_xgboost(model: Any, path: Path, **fields: Any) -> pathlib.Path:
    """Saves a Booster or an XGBClassifier, ... as *.json or *.ubj and writes the meta file. `fields`: see write().

    parameters are the nodes of all trees; learning rate, depth and rounds become the recipe where none is given.
    """
    import xgboost

    target = pathlib.Path(path)
    if target.suffix not in (".json", ".ubj"):
        raise ValueError(f"path: expected *.json or *.ubj, found {target.name}")
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    write_file(target, bytes(booster.save_raw(target.suffix[1:])))
    document = json.loads(bytes(booster.save_raw("json")))
    trained = document["learner"]["gradient_booster"]
    trees = trained.get("gbtree", trained).get("model", {}).get("trees", [])  # "dart" keeps a gbtree within
    known: Dict[str, Any] = {"kind": "xgboost", "framework": f"xgboost {xgboost.__version__}",
                             "parameters": sum(len(tree["split_conditions"]) for tree in trees) or None,
                             "recipe": {"epochs": booster.num_boosted_rounds(), **_booster_settings(booster)}}
    return write(target, **{**known, **fields})


def save_sklearn(estimator: Any, path: Path, *, pickle_path: Optional[Path] = None, **fields: Any) -> pathlib.Path:
    """Saves the fitted arrays of a scikit-learn estimator as *.safetensors and writes the meta file.

    scikit-learn has no file of tensors of its own, and DriftSeal opens no pickle. So the model file is the arrays:
    everything the estimator learned (coef_, coefs_[0], steps.1.tree_.threshold, ...), under names that tell where.
    pickle_path: the joblib or pickle file that is served, which you saved yourself. It becomes a related file: its
    digest is recorded and checked, its contents are not looked into. That both came from one estimator is your word.

    Estimators of one shape (linear models, MLPs on the same columns) form a family. Trees differ in shape from fit to
    fit; models of them are a family each, so they get integrity checks and no score.
    """
    import sklearn

    target = pathlib.Path(path)
    if target.suffix != ".safetensors":
        raise ValueError(f"path: expected *.safetensors, found {target.name}")
    arrays = fitted_arrays(estimator)
    if not arrays:
        raise ValueError(f"{type(estimator).__name__}: nothing is fitted; call fit first")
    write_file(target, safetensors(arrays, kind="scikit-learn", finite=False))
    settings = estimator.get_params(deep=False) if hasattr(estimator, "get_params") else {}
    known: Dict[str, Any] = {
        "kind": type(estimator).__name__, "framework": f"scikit-learn {sklearn.__version__}",
        "parameters": sum(array.size for array in arrays.values() if array.dtype.kind == "f"),
        "recipe": {key: setting for key, setting in settings.items() if _is_recipe(setting)}}
    related: List[Path] = [*fields.pop("related", ()), *([pickle_path] if pickle_path is not None else [])]
    return write(target, related=related, **{**known, **fields})


def _name_beside(target: pathlib.Path, path: pathlib.Path, field: str) -> str:
    """The path from the meta file's folder, as the meta file names it."""
    if not path.is_file():
        raise FileNotFoundError(f"{field}: {path} is no file")
    # Links are followed by nobody here: the engine decides about them.
    name = os.path.relpath(os.path.abspath(path), os.path.abspath(target.parent))
    if name == os.pardir or name.startswith(os.pardir + os.sep) or os.path.isabs(name):
        raise ValueError(f"{field}: expected a file in {target.parent or '.'} or beneath it, found {path}")
    return name.replace(os.sep, "/")


def _plain(value: Any) -> Any:
    """Without missing fields, and with NumPy's and PyTorch's scalars as Python's."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if not isinstance(value, (str, int, float)) and callable(getattr(value, "item", None)) and \
            getattr(value, "shape", None) in ((), None):
        return value.item()
    if isinstance(value, np.generic):  # np.float64 and np.str_ are subclasses of Python's
        return value.item()
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _column(values: npt.ArrayLike, name: str) -> List[Any]:
    column = np.asarray(values)
    if column.ndim != 1:
        raise ValueError(f"{name}: expected one value a row, found shape {column.shape}")
    if column.dtype.kind == "f":
        if np.isinf(column).any():
            row = int(np.isinf(column).argmax())
            raise ValueError(f"{name}: row {row}: expected a finite number, found an infinity")
        return ["" if math.isnan(value) else value for value in column.astype(np.float64).tolist()]
    if column.dtype.kind == "b":
        return list(column.astype(np.int8).tolist())
    return list(column.tolist())


def _is_recipe(setting: Any) -> bool:
    return isinstance(setting, (str, bool)) or (
        isinstance(setting, (int, float)) and math.isfinite(setting) and abs(setting) < 2**63)


def _booster_settings(booster: Any) -> Dict[str, Any]:
    """Learning rate and depth, where this version's configuration has them."""
    try:
        settings = json.loads(booster.save_config())["learner"]["gradient_booster"]["tree_train_param"]
        return {"learning_rate": float(settings["eta"]), "width": int(settings["max_depth"])}
    except (KeyError, ValueError):
        return {}
