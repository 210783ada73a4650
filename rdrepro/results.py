"""Result rows: one JSON file per run, written whole or not at all, and read back as a table."""

import hashlib
import itertools
import json
import lzma
import math
import os
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from rdrepro import paths
from rdrepro.config import eval_key, train_key
from rdrepro.cost import measure_cost, trained_parameters
from rdrepro.data.medical import MEDICAL_DATASETS, NORMAL
from rdrepro.evaluation import Predictions, evaluate, predict
from rdrepro.models.reverse_distillation import ReverseDistillation
from rdrepro.presets import selection
from rdrepro.provenance import environment, now
from rdrepro.resolve import Run
from rdrepro.training import Trained, train
from rdrepro.weights import sha256

SCHEMA_VERSION = 1
SCORE_DIGITS = 6
METRIC_DIGITS = 6
MOST_SCORES = 2000  # in the row itself; more lie in a compressed file beside it


@cache
def schema() -> dict:
    """Return the JSON schema of a row."""
    return json.loads(Path(__file__).with_name("schema.json").read_text(encoding="utf-8"))


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(schema())


@cache
def later_fields() -> dict[str, Any]:
    """Return the configuration fields that a row may lack, with what their absence means."""
    config = schema()["properties"]["config"]["properties"]
    return {name: entry["default"] for name, entry in config.items() if "default" in entry}


@dataclass(frozen=True)
class Outcome:
    """A finished run: what it saw of the test images, and its row."""

    run: Run
    history: pd.DataFrame
    predictions: Predictions
    row: dict[str, Any]


def execute(run: Run) -> dict[str, Any]:
    """Train a run (or find its student), test it and return its row: 01_mvtec in one call."""
    return carry_out(run).row


def carry_out(run: Run, timed: bool = False) -> Outcome:
    """Train a run (or find its student) and test it. timed: measure what testing costs, too."""
    started, test_set = now(), run.dataset("test")

    def look(model: ReverseDistillation) -> dict[str, float]:
        return evaluate(predict(model, test_set, run.config, run.device))

    trained = train(run, run.dataset("train"), look)
    predictions = predict(trained.model, test_set, run.config, run.device)
    cost = measure_cost(trained.model, test_set, run.config, run.device) if timed else None
    row = make_row(run, trained, predictions, evaluate(predictions), started, cost)
    return Outcome(run, trained.history, predictions, row)


def make_row(
    run: Run,
    trained: Trained,
    predictions: Predictions,
    metrics: dict[str, float],
    started: str,
    cost: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the row of a finished run, valid against schema.json. cost: of `measure_cost`."""
    p, config, history = predictions, run.config, trained.history
    row = {
        "schema": SCHEMA_VERSION,
        "status": "collapsed" if p.collapsed else "complete",
        "config": asdict(config)
        | {
            "train_layers": list(config.train_layers),
            "map_layers": list(config.map_layers),
        },
        "metrics": {k: _rounded(v, METRIC_DIGITS) for k, v in metrics.items()},
        "counts": {
            "train": trained.images,
            "test_normal": int((p.gt_labels == 0).sum()),
            "test_anomalous": int((p.gt_labels == 1).sum()),
            "trainable_parameters": trained_parameters(trained.model),
        },
        "cost": {
            "train_seconds": round(float(trained.seconds), 2),
            "predict_seconds": round(p.seconds, 2),
            **(cost or {}),
        },
        "provenance": provenance(run, trained, predictions, started),
        "history": {
            name: [_rounded(value, METRIC_DIGITS) for value in column]
            for name, column in history.to_dict("list").items()
        },
        "scores": {
            "path": p.paths,
            "label": p.gt_labels.tolist(),
            "score": [float(f"{s:.{SCORE_DIGITS}g}") for s in p.scores],
            **({"group": list(p.groups)} if len(p.groups) else {}),
        },
    }
    check_row(row)
    return row


def _rounded(value: float, digits: int) -> float | int | None:
    """Return a number as JSON has it: NaN, an undefined metric, becomes null."""
    if isinstance(value, int):
        return value
    return None if value is None or math.isnan(value) else round(float(value), digits)


def check_row(row: dict[str, Any]) -> None:
    """Raise ValueError where a row does not fit schema.json."""
    error = best_match(_validator().iter_errors(row))
    if error:
        place = ".".join(map(str, error.absolute_path)) or "the row"
        raise ValueError(f"the row does not fit schema.json: {place}: {error.message}")


def provenance(
    run: Run, trained: Trained, predictions: Predictions, started: str
) -> dict[str, Any]:
    """Return where a result comes from. It is dirty where its testing or its training was."""
    train_data, test_data = trained.data_hash, predictions.data_hash
    chosen = selection(run.preset, run.config.dataset, run.config.normal_class)
    here = environment(run.device)
    dirty = [here["dirty"], trained.environment["dirty"]]
    return {
        **here,
        "dirty": None if None in dirty else any(dirty),
        "study": run.study,
        "preset": run.preset,
        **({"selection": chosen} if chosen else {}),
        "weights_sha256": sha256(run.weights.path) if run.weights.path else None,
        "train_data_sha256": train_data,
        "test_data_sha256": test_data,
        "train_key": train_key(run.config, train_data),
        "eval_key": eval_key(run.config, train_data, test_data),
        "student_reused": trained.reused,
        "trained": trained.environment,
        "started": started,
    }


def save_row(row: dict[str, Any], folder: Path) -> Path:
    """Write a row to a new file of `folder`, whole or not at all; return the file.

    No run overwrites another's row: a second one of the same configuration gets a number.
    """
    check_row(row)
    folder.mkdir(parents=True, exist_ok=True)
    c, key = row["config"], row["provenance"]["eval_key"][:8]
    stem = f"{c['category']}-{c['backbone'].replace('/', '-')}-s{c['seed']}-{key}"
    if c.get("normal_class") is not None:
        stem = f"{c['dataset']}-{stem}"
    if c["dataset"] in MEDICAL_DATASETS:
        part = c["split"] if c["fold"] is None else f"{c['split']}{c['fold']}"
        stem = f"{c['dataset']}-{part}-{stem.removeprefix(NORMAL + '-')}"
    if len(row["scores"].get("score", ())) > MOST_SCORES:
        row = row | {"scores": {"file": _save_scores(row["scores"], folder, stem)}}
    aside = folder / f".{stem}.{os.getpid()}.tmp"
    aside.write_text(_to_json(row), encoding="utf-8")
    try:
        return _rename_to_free_name(aside, folder, stem)
    finally:
        aside.unlink(missing_ok=True)


def _save_scores(scores: dict[str, list], folder: Path, stem: str) -> str:
    """Write scores to a compressed file and return its name, which tells what it holds."""
    content = lzma.compress(json.dumps(scores).encode(), preset=9)
    name = f"{stem}.scores-{hashlib.sha256(content).hexdigest()[:8]}.json.xz"
    aside = folder / f".{name}.{os.getpid()}.tmp"
    aside.write_bytes(content)
    aside.replace(folder / name)
    return name


def read_scores(row: dict[str, Any] | pd.Series, folder: Path | None = None) -> dict[str, list]:
    """Return path, label and score of each test image of a line of `load_runs`.

    folder: that of `load_runs`. ValueError where the file beside the row is missing or damaged.
    """
    scores = row["scores"]
    if "file" not in scores:
        return scores
    folder = folder or paths.results_dir() / "runs"
    try:
        file = (folder / row["file"]).with_name(scores["file"])
        return json.loads(lzma.decompress(file.read_bytes()))
    except (OSError, lzma.LZMAError, ValueError) as error:
        raise ValueError(f"the scores {scores['file']} cannot be read ({error})") from None


def _rename_to_free_name(aside: Path, folder: Path, stem: str) -> Path:
    for number in itertools.count(1):
        target = folder / (f"{stem}.json" if number == 1 else f"{stem}-{number}.json")
        if target.exists():
            continue
        try:
            os.link(aside, target)  # unlike a rename, it fails where another was first
        except FileExistsError:
            continue
        except OSError:  # a file system without hard links
            aside.rename(target)
        return target
    raise AssertionError("unreachable")


def _to_json(row: dict[str, Any]) -> str:
    """Return a row as JSON with one line per top-level entry, readable in a diff."""
    lines = (f'"{key}": {json.dumps(value, allow_nan=False)}' for key, value in row.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def load_runs(folder: Path | None = None) -> pd.DataFrame:
    """Return all rows below `folder` (default: results/runs), one per line, newest last.

    Columns are the configuration's fields, the metrics, and `counts.*`, `cost.*`, `provenance.*`;
    `history` and `scores` hold each run's own dict; `file` is relative to the folder, `study` its
    first part. ValueError names a file that is no row.
    """
    folder = folder or paths.results_dir() / "runs"
    rows = []
    for path in sorted(folder.rglob("*.json")):
        try:
            row = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
            check_row(row)
        except (ValueError, OSError) as error:
            raise ValueError(f"{path} is no result row: {error}") from None
        file = path.relative_to(folder)
        study = file.parts[0] if len(file.parts) > 1 else row["provenance"]["study"] or ""
        rows.append(_flat(row) | {"file": file.as_posix(), "study": study})
    table = pd.DataFrame(rows)
    if not rows:
        return table
    order = pd.to_datetime(table["provenance.finished"], utc=True, format="ISO8601")
    return table.iloc[order.argsort(kind="stable")].reset_index(drop=True)


def study_rows(runs: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the clean rows of a study; the table as it is where it is empty."""
    return runs[(runs["study"] == name) & runs["provenance.dirty"].eq(False)] if len(runs) else runs


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON; an undefined metric is null")


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat = {"status": row["status"], **later_fields(), **row["config"], **row["metrics"]}
    for part in ("counts", "cost", "provenance"):
        flat |= {f"{part}.{k}": v for k, v in row[part].items()}
    return flat | {"history": row["history"], "scores": row["scores"]}
