"""The extension's Table 3: the settings for its columns, and the runs of k-folds.

Where a printed column can be understood in several ways, each of them is called a reading.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rdrepro import paths
from rdrepro.config import foreign_fields, parse_overrides
from rdrepro.presets import PATIENCE, PRESETS, SHARE
from rdrepro.registry import DATASETS, FOLDED, FOLDS, MEDICAL, check_dataset
from rdrepro.runs.notebook import resolve_notebook
from rdrepro.study.folds import fold_interval
from rdrepro.study.printed import METHOD_NAMES, SPLITS, printed_values
from rdrepro.study.stats import auroc_interval

if TYPE_CHECKING:
    from rdrepro.runs.execute import Outcome
    from rdrepro.runs.run import Run

# How each printed column can be read. A reading is a preset and its changes. L_MKD may be trained
# with or without early stopping. The last column may be scored by L_MKD, as printed, or by L_KD, as
# in the extension's code (E10).
READINGS: dict[str, dict[str, dict[str, Any]]] = {
    "MKD": {"MKD": {"preset": "mkd"}},
    "Ours": {"Ours": {"preset": "medical"}},
    "Ours+ES": {"Ours+ES": {"preset": "medical_es"}},
    "Ours+L_KD AS": {"Ours+L_KD AS": {"preset": "medical_kd_score"}},
    "Ours+L_MKD": {
        "Ours+L_MKD": {"preset": "medical_mkd"},
        "Ours+L_MKD, ES": {"preset": "medical_mkd", "early_stopping": "train"},
    },
    "Ours+L_MKD AS": {
        "Ours+L_MKD AS": {"preset": "medical_mkd_score"},
        "Ours+L_MKD AS, by L_KD": {"preset": "medical_mkd_score", "score": "kd_loss"},
        "Ours+L_MKD AS, ES": {"preset": "medical_mkd_score", "early_stopping": "train"},
        "Ours+L_MKD AS, ES, by L_KD": {
            "preset": "medical_mkd_score",
            "early_stopping": "train",
            "score": "kd_loss",
        },
    },
}
# The habits of the extension, which are the ways in which its report or code differs from our runs,
# one at a time: the reading that each changes, its entry in DEVIATIONS.md, and the changed reading.
HABITS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "early stopping on tested images": (
        *("Ours", "E9"),  # it trains on the same images; Ours+ES does not
        {"preset": "medical_es", "early_stopping": "leaky"},
    ),
    "L_MKD as printed": ("Ours+L_MKD", "E1", {"preset": "medical_mkd", "loss": "mkd"}),
    "sum of maps": ("Ours", "E2", {"preset": "medical", "map_combine": "sum"}),
    "one cosine per image": ("Ours", "E6", {"preset": "medical", "loss_reduction": "flatten"}),
    "256 pixels": ("Ours", "E8", {"preset": "medical", "image_size": 256}),
    "Adam's second beta as printed": ("Ours", "E7", {"preset": "medical", "beta2": 0.99}),
    "teacher's batch norms in training mode": (
        *("Ours", "E4"),
        {"preset": "medical", "teacher_bn": "train"},
    ),
}
ALL_FOLDS = -1  # as the parameter `fold`: every fold in turn
DOWNLOADED = "head_ct"  # the default data set if it is on disk
OWN = ("dataset", "fold")  # parameters of the notebook, not allowed in its overrides


def resolve_folds(namespace: dict[str, Any]) -> dict[str, "Run"]:
    """The runs of 07_medical's parameters, one per fold, by the name of the fold.

    fold: a number for one fold; -1 or nothing for all folds of a k-fold. dataset: by default Head
    CT if it is on disk, or if a data root or another preset is given; otherwise the embedded scans.
    ValueError if the data set is not medical, or if the overrides name the data set or the fold.
    """
    for name in parse_overrides(str(namespace.get("overrides") or "")):
        if name in OWN:
            raise ValueError(f"overrides: give {name} as a parameter, -p {name} VALUE")
    dataset, wanted = namespace.get("dataset"), namespace.get("fold")
    if dataset is None:
        dataset = _usual_dataset(namespace.get("preset"), namespace.get("data_root"))
    check_dataset(dataset, MEDICAL)
    given = namespace | {"dataset": dataset, "fold": None}
    if wanted not in (None, ALL_FOLDS, str(ALL_FOLDS), "all"):
        runs = [resolve_notebook(given, fold=wanted)]
    else:
        first = resolve_notebook(given)
        folds = range(1, FOLDS) if first.config.split in FOLDED else ()
        runs = [first, *(resolve_notebook(given, fold=n) for n in folds)]
    return {fold_name(run): run for run in runs}


def _usual_dataset(preset: str | None, data_root: str | None) -> str:
    own = PRESETS.get(preset or "", {}).get("dataset", DOWNLOADED)
    if DATASETS[own].family != MEDICAL:
        raise ValueError(
            f"preset={preset!r} is of dataset={own}; name a medical data set, or without a "
            "download use preset='medical_demo'"
        )
    if own != DOWNLOADED:
        return own
    named = data_root or os.environ.get("RDREPRO_DATA") or preset not in (None, "auto")
    if named:
        return DOWNLOADED
    from rdrepro.data.medical import locate  # loads the image libraries

    root = paths.data_dir() or paths.ROOT / "data"
    return DOWNLOADED if locate(root, DOWNLOADED) else "scans"


def fold_name(run: "Run") -> str:
    """The name of a run's split in tables and figures."""
    if run.config.fold is None:
        return run.config.split
    return f"{'fold' if run.config.split in FOLDED else 'draw'} {run.config.fold}"


def split_table(runs: Mapping[str, "Run"]) -> pd.DataFrame:
    """How many images each fold trains on, validates on and tests, by kind."""
    lines = {}
    for name, run in runs.items():
        validation = run.validation()
        counts = {"trained on": len(run.dataset("train"))}
        counts |= {"validated on": 0 if validation is None else len(validation)}
        tested = run.dataset("test").counts()
        lines[name] = counts | {f"tested, {kind}": n for kind, n in sorted(tested.items())}
    return pd.DataFrame.from_dict(lines, orient="index").fillna(0).astype(int)


def copies_table(run: "Run") -> pd.DataFrame:
    """A table of how many pictures of the run's data set are duplicates of others."""
    copies = run.whole("test").copies()
    return pd.DataFrame.from_dict(copies, orient="index", columns=[run.config.dataset])


def folds_table(outcomes: Mapping[str, "Outcome"]) -> pd.DataFrame:
    """The image AUROC of each fold in percent with its 95 % interval over images, and their mean.

    Scores of different folds are never pooled: for the interval of the mean, images are resampled
    within folds. With a single fold there is no mean.
    """
    lines = {}
    for name, outcome in outcomes.items():
        row, counts = outcome.row, outcome.row["counts"]
        value = row["metrics"]["image_auroc"]
        low, high = auroc_interval(value, counts["test_normal"], counts["test_anomalous"])
        epochs = len(row["history"]["epoch"])
        lines[name] = {"image AUROC": 100 * value, "low": 100 * low, "high": 100 * high}
        lines[name] |= {"epochs": epochs, "epoch that counts": best_epoch(row["history"])}
    table = pd.DataFrame.from_dict(lines, orient="index")
    if len(outcomes) == 1:
        return table.round(2)
    low, high = fold_interval([o.row["scores"] for o in outcomes.values()])
    mean = {"image AUROC": table["image AUROC"].mean(), "low": 100 * low, "high": 100 * high}
    whole = ["epochs", "epoch that counts"]
    table.loc["mean of folds"] = mean | table[whole].mean().to_dict()
    return table.round(2)


def best_epoch(history: Mapping[str, list]) -> int:
    """The epoch whose student counts: that of the lowest validation loss, or else the last.

    0 if the method trains nothing.
    """
    losses = history.get("validation_loss")
    if not len(history["epoch"]):
        return 0
    return int(history["epoch"][int(np.argmin(losses)) if losses else -1])


def printed_columns(dataset: str) -> pd.DataFrame:
    """The extension's Table 3 for a data set: column, printed, low and high, in percent.

    low, high: the interval of `auroc_interval` at the counts of the printed split, since its scores
    are not public; NaN where these counts or the value are missing.
    """
    lines = []
    for column, value in printed_values("rkd_medical", "3", "method", dataset=dataset).items():
        low = high = np.nan
        if dataset in SPLITS and not np.isnan(value):
            bounds = auroc_interval(value / 100, *SPLITS[dataset])
            low, high = (100 * x for x in bounds)
        lines.append({"column": column, "printed": value, "low": low, "high": high})
    return pd.DataFrame(lines, columns=["column", "printed", "low", "high"])


def stopping_runs(run: "Run") -> dict[str, "Run"]:
    """A run with and without early stopping (Fig. 7 of the extension), by name.

    The run itself is one of the two. A method without early stopping has only the run itself.
    """
    c = run.config
    if "early_stopping" in foreign_fields(c.method):
        return {METHOD_NAMES.get(c.method, c.method): run}
    kind = c.early_stopping if c.early_stopping != "none" else "train"
    share = c.validation_fraction or (SHARE if kind == "train" else 0.0)
    fields = {"patience": c.patience or PATIENCE, "validation_fraction": share}
    stopped = replace(c, early_stopping=kind, **fields)
    last = replace(c, early_stopping="none", patience=None, validation_fraction=0.0)
    named = {"without early stopping": last, f"early stopping ({kind})": stopped}
    return {name: replace(run, config=config) for name, config in named.items()}


def stopping_histories(run: "Run") -> dict[str, pd.DataFrame]:
    """The loss curves of a run with and without early stopping, by name.

    A student is trained only if none is stored.
    """
    from rdrepro.runs.execute import train  # loads torch

    pairs = stopping_runs(run).items()
    return {name: train(one, one.dataset("train")).history for name, one in pairs}
