"""How the preset `fast` was chosen, on development data alone: the trials, in order, and their log.

A trial changes settings of `paper` cut to a tenth of its epochs. It is judged by what it loses
against `paper` at its 200 epochs on the same images, in units of the design's margins for one
category. A gain counts as no loss, so that it hides none elsewhere. The mean is taken over three
metrics, then over data sets, then over the two kinds of data (drawn categories, and defects pasted
on real training images). Such a mean hides a single large loss, so the log also counts and names
these.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rdrepro.metric_names import title_of
from rdrepro.paths import ROOT
from rdrepro.study import printed
from rdrepro.study.stats import ROUNDING

LOG = ROOT / "results" / "fast" / "trials.csv"
COLUMNS = (
    *("trial", "settings", "data", "image_size", "data_seed", "seed", "steps"),
    *("image_auroc", "pixel_auroc", "pixel_aupro", "last_loss", "commit", "finished"),
)
COSINE = {"lr_schedule": "cosine"}
MUON = {**COSINE, "optimiser": "muon"}
# The log also has options that this version lacks, each with its commit.
TRIALS: dict[str, dict[str, Any]] = {
    "paper": {"epochs": 200},
    "a tenth of the epochs": {},
    "averaging": {"weight_averaging": 0.25},
    "cosine": COSINE,
    # added to the cosine, one at a time
    "cosine, averaging": {**COSINE, "weight_averaging": 0.25},
    "cosine, mining": {**COSINE, "hard_mining": 0.5},
    "cosine, batch 32": {**COSINE, "batch_size": 32, "epochs": 40},
    "cosine, lr 0.01": {**COSINE, "lr": 0.01},
    "cosine, beta1 0.9": {**COSINE, "beta1": 0.9},
    "cosine, beta2 0.99": {**COSINE, "beta2": 0.99},
    "cosine, beta2 0.9": {**COSINE, "beta2": 0.9},
    "cosine, beta2 0.99, lr 0.01": {**COSINE, "beta2": 0.99, "lr": 0.01},
    # Muon, with the cosine unless said otherwise
    "muon": MUON,
    "muon, constant": {"optimiser": "muon"},
    "muon, constant, averaging": {"optimiser": "muon", "weight_averaging": 0.25},
    "muon, lr 0.4": {**MUON, "muon_lr": 0.4},
    "muon, lr of Adam 0.02": {**MUON, "lr": 0.02},
    "muon, beta1 0.8": {**MUON, "beta1": 0.8},
    "muon, averaging": {**MUON, "weight_averaging": 0.25},
    "muon, batch 32": {**MUON, "batch_size": 32, "epochs": 40},
    "muon, mining": {**MUON, "hard_mining": 0.5},
    "muon, mining 0.8": {**MUON, "hard_mining": 0.8},
    "muon, mining, beta1 0.8": {**MUON, "hard_mining": 0.5, "beta1": 0.8},
}
# Nearly all trials ran on these, so that they can be compared.
FOUR = ("cable", "capsule", "screw", "toothbrush")
REFERENCE = "paper"  # the trial with which all others are compared
CHOSEN = "muon, mining"  # the trial whose settings the preset has
KINDS = {"official": "embedded", "pasted": "pasted"}  # by the split, the last word of `data`
IMAGES = ["data", "image_size", "data_seed"]  # what identifies a data set of the log
METRICS = ["image_auroc", "pixel_auroc", "pixel_aupro"]
MARGINS = [printed.MARGINS["category"][name] for name in ("image_auroc", "pixel_auroc", "pro")]


def log_of(runs_dir: Path) -> Path:
    """The log's place beside the folder of rows."""
    return runs_dir.parent / LOG.parent.name / LOG.name


def selection_log(file: Path = LOG) -> pd.DataFrame:
    """The trials of the log, a line each, in the order in which they first appear.

    Columns: trial; FOUR (the mean over the embedded categories on which nearly all trials ran);
    embedded and pasted (the mean over all data sets of that kind); score (the mean of the last
    two); `beyond the margin` (how many values lost more than the margin, of one value for each data
    set and metric that ran, the mean over its seeds); `worst value` (the largest loss in margins,
    in points); worst data set; settings; seeds; runs; and commit.

    The unit of means is the margin: -1 is a loss as large as the margin. A mean is NaN where a data
    set did not run. Each run is compared with the reference on the same data and seed, or with the
    mean over its seeds where that seed did not run. Of a repeated run the last line counts. Without
    a log, the table is empty.
    """
    if not file.is_file():
        return pd.DataFrame()
    log = pd.read_csv(file, dtype={"settings": str, "commit": str}).fillna({"settings": ""})
    order = log["trial"].unique()
    log = log.drop_duplicates(["trial", *IMAGES, "seed"], keep="last").reset_index(drop=True)
    log[METRICS] = _changes(log)
    log["score"] = log[METRICS].clip(upper=0).mean(axis=1, skipna=False)
    log["kind"] = log["data"].str.split().str[-1].map(KINDS)
    most = log.groupby("kind")["data"].nunique()
    return pd.DataFrame([_trial(name, log[log["trial"] == name], most) for name in order])


def _changes(log: pd.DataFrame) -> pd.DataFrame:
    """What each run gains or loses against the reference in each metric, in margins."""
    reference = log[log["trial"] == REFERENCE]
    means = reference.groupby(IMAGES, as_index=False)[METRICS].mean()
    keys = [*IMAGES, "seed"]
    same = log[keys].merge(reference[[*keys, *METRICS]], "left", on=keys)[METRICS]
    any_seed = log[IMAGES].merge(means, "left", on=IMAGES)[METRICS]
    return 100 * (log[METRICS] - same.fillna(any_seed)) / MARGINS


def _trial(name: str, runs: pd.DataFrame, most: pd.Series) -> dict[str, Any]:
    """The line of one trial. most: how many data sets there are of each kind."""
    sets = runs.groupby(["kind", *IMAGES])["score"].mean()
    kinds = sets.groupby("kind").mean().where(sets.groupby("kind").size().ge(most))
    kinds = kinds.reindex(KINDS.values())
    four = sets[[data.split()[1] in FOUR for data in sets.index.get_level_values("data")]]
    four = four.xs("embedded") if "embedded" in four.index.get_level_values("kind") else four
    worst = sets.idxmin()[1] if sets.notna().any() else ""
    return {
        "trial": name,
        ", ".join(FOUR): four.mean() if len(four) == len(FOUR) else np.nan,
        **kinds.to_dict(),
        "score": kinds.mean(skipna=False),
        **_single_losses(runs),
        "worst data set": f"{worst} ({sets.min():+.2f})" if worst else "",
        "settings": runs["settings"].iloc[-1],
        "seeds": ", ".join(map(str, sorted(runs["seed"].unique()))),
        "runs": len(runs),
        "commit": ", ".join(dict.fromkeys(runs["commit"].astype(str))),
    }


def _single_losses(runs: pd.DataFrame) -> dict[str, str]:
    """How many single values of a trial lost more than the margin, and the one that lost most."""
    values = runs.groupby(IMAGES)[METRICS].mean().stack().dropna()
    beyond = (values < -1 - ROUNDING).sum()
    worst = ""
    if len(values) and values.min() < 0:
        data, *_, metric = values.idxmin()
        points = values.min() * MARGINS[METRICS.index(metric)]
        worst = f"{title_of(metric)}, {data} ({points:+.1f} points)"
    return {"beyond the margin": f"{beyond} of {len(values)}", "worst value": worst}
