"""One run, from a resolved configuration to its row: train or load a student, and test it."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from rdrepro.config import eval_key, train_key
from rdrepro.data.decoded import Decoded
from rdrepro.data.splits import ImageData
from rdrepro.detector import Detector, Look
from rdrepro.evaluation import Predictions, evaluate, predict
from rdrepro.files import one_at_a_time, sweep
from rdrepro.methods import build_model
from rdrepro.presets import selection
from rdrepro.progress import say
from rdrepro.runs.checkpoints import (
    FileCheckpoint,
    check_writable,
    load_student,
    save_student,
    training_hash,
)
from rdrepro.runs.cost import measure_cost
from rdrepro.runs.provenance import environment, now
from rdrepro.runs.rows import check_row, save_row
from rdrepro.runs.run import Run
from rdrepro.runs.schema import SCHEMA_VERSION
from rdrepro.runs.weights import sha256
from rdrepro.training import HISTORY, VALIDATION, has_curve

SCORE_DIGITS = 6
METRIC_DIGITS = 6


@dataclass(frozen=True)
class Trained:
    """A trained model, with what a row records about its training."""

    model: Detector
    history: pd.DataFrame  # empty where nothing is trained
    environment: dict[str, Any]  # code, libraries and machine that trained it
    images: int
    data_hash: str  # of the training data
    reused: bool  # whether the student was saved by an earlier run
    seconds: float  # of the epochs, or of filling a memory bank
    checkpoint: FileCheckpoint | None = None  # where the training's state was kept

    @property
    def label(self) -> str:
        """Where the student comes from: "this run", or when and on which device it was trained."""
        when = self.environment["finished"][:16].replace("T", " ")
        device = self.environment["device"]
        return f"student trained {when} UTC on {device}" if self.reused else "this run"


def train(run: Run, data: ImageData, look: Look | None = None) -> Trained:
    """Train the run's model, or load its student where an earlier run has saved it.

    `look` is called with the model every `eval_every` epochs and after the `eval_last` last ones,
    and its metrics go into the history. Such a curve needs training, so no saved student is loaded
    then. A training that was interrupted goes on from its last checkpoint. Raises PermissionError
    where no result can be written, and ValueError where images were changed during the training.
    """
    model, validation = build_model(run.config, run.weights), run.validation()
    if model.kept() is None:
        return _fill(run, model, data)
    images, held_out = data.fingerprint(), validation.fingerprint() if validation else None
    data_hash = training_hash(images, held_out)
    kept = run.results_dir / "models" / f"{train_key(run.config, data_hash)}.safetensors"
    for folder in (kept.parent, run.rows_dir):
        check_writable(folder)
        sweep(folder)
    with one_at_a_time(kept, lambda: say("Another process trains this student; waiting for it.")):
        if kept.is_file() and not has_curve(run.config):
            return _found(run, model, data, data_hash, kept)
        checkpoint = _checkpoint(run, kept, data_hash)
        train_set = Decoded(data, images)
        validation = Decoded(validation, held_out) if validation else None
        history = model.fit(train_set, run.config, run.device, look, validation, checkpoint)
        trainer = environment(run.device)
        trainer["dirty"] = _worst([trainer["dirty"], *checkpoint.dirty])
        if source := history.attrs.get("features"):
            trainer["features"] = source
        columns = [*HISTORY, VALIDATION] if validation else HISTORY
        try:
            save_student(model, history[columns], trainer, kept)
        except OSError as error:
            say(f"The student is not kept: {error.strerror}. The run goes on.")
        if kept.is_file() and not has_curve(run.config):
            checkpoint.remove()
    seconds = model.fit_seconds
    return Trained(model, history, trainer, len(data), data_hash, False, seconds, checkpoint)


def _fill(run: Run, model: Detector, data: ImageData) -> Trained:
    """Fit a model without keeping any of it."""
    check_writable(run.rows_dir)
    sweep(run.rows_dir)
    data_hash = data.fingerprint()
    history = model.fit(Decoded(data, data_hash), run.config, run.device)
    trainer = environment(run.device)
    return Trained(model, history, trainer, len(data), data_hash, False, model.fit_seconds)


def _found(run: Run, model: Detector, data: ImageData, data_hash: str, kept: Path) -> Trained:
    """The student that an earlier run has saved."""
    history, trainer = load_student(model, kept)
    model.to(run.device)
    trained = Trained(model, history, trainer, len(data), data_hash, True, history["seconds"].sum())
    say(f"Nothing is trained here: the same settings and images gave a {trained.label}.")
    return trained


def _checkpoint(run: Run, kept: Path, data_hash: str) -> FileCheckpoint:
    """Where the state of this training is kept.

    With `eval_every` or `eval_last`, the history also depends on how maps are scored.
    """
    key = train_key(run.config, data_hash)
    if has_curve(run.config):
        key = eval_key(run.config, data_hash, run.dataset("test").fingerprint())
    path = kept.with_name(f"{key}.checkpoint.safetensors")
    return FileCheckpoint(path, key, environment(run.device))


def _worst(dirty: Sequence[bool | None]) -> bool | None:
    """Whether any part of a run had uncommitted changes; None where that is unknown."""
    return None if None in dirty else any(dirty)


@dataclass(frozen=True)
class Outcome:
    """A finished run: its training, its predictions on the test images, and its row."""

    run: Run
    trained: Trained
    history: pd.DataFrame
    predictions: Predictions
    row: dict[str, Any]


def execute(run: Run) -> dict[str, Any]:
    """Train a run (or load its student), test it and return its row.

    This is what the notebook 01_mvtec does step by step.
    """
    return carry_out(run).row


def carry_out(run: Run, timed: bool = False) -> Outcome:
    """Train a run (or load its student) and test it.

    timed: whether the cost of testing is measured as well.
    """
    started, test_set = now(), run.dataset("test")

    def look(model: Detector) -> dict[str, float]:
        return evaluate(predict(model, test_set, run.config, run.device), run.device)

    trained = train(run, run.dataset("train"), look)
    predictions = predict(trained.model, test_set, run.config, run.device)
    cost = measure_cost(trained.model, test_set, run.config, run.device) if timed else None
    metrics = evaluate(predictions, run.device)
    row = make_row(run, trained, predictions, metrics, started, cost)
    return Outcome(run, trained, trained.history, predictions, row)


def make_row(
    run: Run,
    trained: Trained,
    predictions: Predictions,
    metrics: dict[str, float],
    started: str,
    cost: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The row of a finished run, valid against schema.json.

    cost: the result of `measure_cost`; None if the cost was not measured.
    """
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
            "trainable_parameters": trained.model.trained_parameters(),
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


def keep_row(run: Run, trained: Trained, row: dict[str, Any]) -> Path:
    """Write the row of a run; return its file.

    The checkpoint of its training is then removed. A run that looks at the test set needs it until
    this moment, because a saved student holds no curve.
    """
    file = save_row(row, run.rows_dir)
    if trained.checkpoint:
        trained.checkpoint.remove()
    return file


def _rounded(value: float, digits: int) -> float | int | None:
    """A number for JSON, rounded. NaN, the value of an undefined metric, becomes None (null)."""
    if isinstance(value, int):
        return value
    return None if value is None or math.isnan(value) else round(float(value), digits)


def provenance(
    run: Run, trained: Trained, predictions: Predictions, started: str
) -> dict[str, Any]:
    """What a row records about the origin of its result.

    `dirty` is true where tracked files had uncommitted changes at testing or at training.
    """
    train_data, test_data = trained.data_hash, predictions.data_hash
    chosen = selection(run.preset, run.config.dataset, run.config.normal_class)
    here = environment(run.device)
    return {
        **here,
        "dirty": _worst([here["dirty"], trained.environment["dirty"]]),
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
