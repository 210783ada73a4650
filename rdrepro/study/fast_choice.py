"""How the preset `fast` was chosen, on development data alone: the trials, in order, and their log.

A trial changes settings of `paper` cut to a tenth of its epochs. It is judged by what it loses or
gains against `paper` at its 200 epochs on the same images, in units of the design's margins for one
category. The mean is taken over three metrics, then over data sets, then over the two kinds of
data (drawn categories, and defects pasted on real training images).
"""

from pathlib import Path
from typing import Any

import pandas as pd

from rdrepro.paths import ROOT
from rdrepro.study import printed

LOG = ROOT / "results" / "fast" / "trials.csv"
COLUMNS = (
    *("trial", "settings", "data", "image_size", "data_seed", "seed", "steps"),
    *("image_auroc", "pixel_auroc", "pixel_aupro", "last_loss", "commit", "finished"),
)
COSINE = {"lr_schedule": "cosine"}
MUON = {**COSINE, "optimiser": "muon"}
TRIALS: dict[str, dict[str, Any]] = {
    "paper": {"epochs": 200},
    "a tenth of the epochs": {},
    "cosine": COSINE,
    "linear": {"lr_schedule": "linear"},
    "averaging": {"weight_averaging": 0.25},
    "cosine, warm-up": {**COSINE, "warmup": 0.1},
    # added to cosine, one at a time
    "cosine, averaging": {**COSINE, "weight_averaging": 0.25},
    "cosine, clipping": {**COSINE, "clip_norm": 0.2},
    "cosine, mining": {**COSINE, "hard_mining": 0.5},
    "cosine, noise": {**COSINE, "bottleneck_noise": 0.2},
    "cosine, batch 32": {**COSINE, "batch_size": 32, "epochs": 40},
    "cosine, batch 8": {**COSINE, "batch_size": 8, "epochs": 10},
    "cosine, lr 0.01": {**COSINE, "lr": 0.01},
    "cosine, lr 0.0025": {**COSINE, "lr": 0.0025},
    "cosine, beta1 0.9": {**COSINE, "beta1": 0.9},
    "cosine, half": {**COSINE, "epochs": 10},
    # on the four categories that lost most: what speeds up the descent itself
    "cosine, beta2 0.99": {**COSINE, "beta2": 0.99},
    "cosine, beta2 0.9": {**COSINE, "beta2": 0.9},
    "cosine, beta2 0.99, lr 0.01": {**COSINE, "beta2": 0.99, "lr": 0.01},
    "cosine, beta2 0.99, lr 0.02, warm-up": {**COSINE, "beta2": 0.99, "lr": 0.02, "warmup": 0.1},
    # Muon, with the cosine
    "muon": MUON,
    "muon, lr 0.4": {**MUON, "muon_lr": 0.4},
    "muon, lr 0.8": {**MUON, "muon_lr": 0.8},
    "muon, beta1 0.8": {**MUON, "beta1": 0.8},
    "muon, beta1 0.8, lr 0.4": {**MUON, "beta1": 0.8, "muon_lr": 0.4},
    "muon, linear": {**MUON, "lr_schedule": "linear"},
    "muon, warm-up": {**MUON, "warmup": 0.1},
    "muon, averaging": {**MUON, "weight_averaging": 0.25},
    "muon, mining": {**MUON, "hard_mining": 0.5},
    "muon, mining 0.8": {**MUON, "hard_mining": 0.8},
    "muon, mining, beta1 0.8": {**MUON, "hard_mining": 0.5, "beta1": 0.8},
    "muon, mining, batch 32": {**MUON, "hard_mining": 0.5, "batch_size": 32, "epochs": 40},
    "muon, noise": {**MUON, "bottleneck_noise": 0.2},
    "muon, clipping": {**MUON, "clip_norm": 0.2},
    "muon, batch 32": {**MUON, "batch_size": 32, "epochs": 40},
    "muon, constant": {"optimiser": "muon"},
    "muon, constant, averaging": {"optimiser": "muon", "weight_averaging": 0.25},
    "muon, lr of Adam 0.02": {**MUON, "lr": 0.02},
    "muon, pointwise": {**MUON, "loss_reduction": "pointwise"},
    "cosine, 40 epochs": {**COSINE, "epochs": 40},
    "cosine, 100 epochs": {**COSINE, "epochs": 100},
}
REFERENCE = "paper"  # the trial with which all others are compared
KINDS = {"official": "embedded", "pasted": "pasted"}  # by the split, the last word of `data`
IMAGES = ["data", "image_size", "data_seed"]  # what identifies a data set of the log
METRICS = ["image_auroc", "pixel_auroc", "pixel_aupro"]
MARGINS = [printed.MARGINS["category"][name] for name in ("image_auroc", "pixel_auroc", "pro")]


def log_of(runs_dir: Path) -> Path:
    """The log's place beside the folder of rows."""
    return runs_dir.parent / LOG.parent.name / LOG.name


def selection_log(file: Path = LOG) -> pd.DataFrame:
    """The trials of the log, a line each, in the order in which they first appear.

    Columns: trial, settings, seeds, runs, embedded and pasted (the mean over the data sets of that
    kind), score (the mean of the two), worst data set, and commit. The unit of the three is the
    margin: -1 is a loss as large as the margin. The score is NaN if one kind did not run. Each run
    is compared with the reference on the same data and seed, or with the mean over its seeds where
    that seed did not run. Of a repeated run the last line counts. Without a log, the table is
    empty.
    """
    if not file.is_file():
        return pd.DataFrame()
    log = pd.read_csv(file, dtype={"settings": str, "commit": str}).fillna({"settings": ""})
    order = log["trial"].unique()
    log = log.drop_duplicates(["trial", *IMAGES, "seed"], keep="last").reset_index(drop=True)
    log["score"] = _scores(log)
    log["kind"] = log["data"].str.split().str[-1].map(KINDS)
    return pd.DataFrame([_trial(name, log[log["trial"] == name]) for name in order])


def _scores(log: pd.DataFrame) -> pd.Series:
    """The mean over the metrics of each run's change against the reference, in margins."""
    reference = log[log["trial"] == REFERENCE]
    means = reference.groupby(IMAGES, as_index=False)[METRICS].mean()
    keys = [*IMAGES, "seed"]
    same = log[keys].merge(reference[[*keys, *METRICS]], "left", on=keys)[METRICS]
    any_seed = log[IMAGES].merge(means, "left", on=IMAGES)[METRICS]
    return (100 * (log[METRICS] - same.fillna(any_seed)) / MARGINS).mean(axis=1, skipna=False)


def _trial(name: str, runs: pd.DataFrame) -> dict[str, Any]:
    """The line of one trial."""
    sets = runs.groupby(["kind", *IMAGES])["score"].mean()
    kinds = sets.groupby("kind").mean().reindex(KINDS.values())
    worst = sets.idxmin()[1] if sets.notna().any() else ""
    return {
        "trial": name,
        "settings": runs["settings"].iloc[-1],
        "seeds": ", ".join(map(str, sorted(runs["seed"].unique()))),
        "runs": len(runs),
        **kinds.to_dict(),
        "score": kinds.mean(skipna=False),
        "worst data set": f"{worst} ({sets.min():+.2f})" if worst else "",
        "commit": ", ".join(dict.fromkeys(runs["commit"].astype(str))),
    }
