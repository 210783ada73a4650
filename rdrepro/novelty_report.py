"""Table 4 in full: averages, classes with prediction intervals, and the choice of settings."""

from pathlib import Path

import numpy as np
import pandas as pd

from rdrepro.data.novelty import CLASSES
from rdrepro.novelty import gradient_steps, printed_average
from rdrepro.novelty_grid import CHOSEN_BY, clean_rows, grid_effects
from rdrepro.results import read_scores
from rdrepro.stats import average_interval, prediction_intervals, summary
from rdrepro.tables import TITLES, interval

STUDY, CURVES_STUDY = "novelty", "novelty-curves"
PROTOCOL = ["dataset", "provenance.preset", "backbone", "weights", "image_size", "normalise"]
PROTOCOL += ["stem", "sigma", "loss_reduction", "epochs", "batch_size", "score", "precision"]


def averages_table(runs: pd.DataFrame, folder: Path | None = None) -> pd.DataFrame:
    """Return Table 4's averages over the classes by data set and preset, in percent.

    folder: that of `load_runs`. A repetition is a seed that has every class. "over seeds" is the
    95 % t-interval of their mean, "over images" the interval of the newest one's average on its
    test set. Delta is to print; a preset that was chosen by validation says so.
    """
    lines = []
    rows = clean_rows(runs, STUDY)
    for _, group in rows.groupby(PROTOCOL, sort=False) if len(rows) else ():
        first = group.iloc[-1]
        name, classes = first["dataset"], len(CLASSES[first["dataset"]])
        by_seed = group.groupby("seed")["image_auroc"]
        full = by_seed.size()[by_seed.size() == classes].index
        complete = group[group["seed"].isin(full)]
        shown = complete if len(complete) else group
        s = summary(100 * shown.groupby("seed")["image_auroc"].mean())
        images = _over_images(complete, folder) if len(complete) else (np.nan, np.nan)
        printed = printed_average(name)
        line = {"data": TITLES.get(name, name), "preset": first["provenance.preset"]}
        line |= {"px": first["image_size"], "epochs": first["epochs"]}
        line |= {"steps": f"{np.mean([gradient_steps(r) for _, r in group.iterrows()]):.0f}"}
        line |= {"classes": f"{shown['normal_class'].nunique()}/{classes}", "seeds": s.n}
        line |= {"ours": s.mean, "over seeds": interval(s.low, s.high, 2)}
        line |= {"over images": interval(*(100 * x for x in images), 2)}
        line |= {"maximum": 100 * shown["image_auroc_max"].mean()}
        line |= {"printed": printed, "delta": s.mean - printed}
        selection = first.get("provenance.selection")
        lines.append(line | {"remark": selection if isinstance(selection, str) else ""})
    return pd.DataFrame(lines)


def _over_images(complete: pd.DataFrame, folder: Path | None) -> tuple[float, float]:
    newest = complete[complete["seed"] == complete.iloc[-1]["seed"]]
    kept = [read_scores(row, folder) for _, row in newest.iterrows()]
    return average_interval([k["score"] for k in kept], [k["label"] for k in kept])


def predictions_table(runs: pd.DataFrame, preset: str = "novelty_official") -> pd.DataFrame:
    """Return each class's image AUROC (percent), its seeds, and where one more seed will lie.

    The last column is the 95 % prediction interval of `stats.prediction_intervals`.
    """
    parts = []
    rows = clean_rows(runs, STUDY)
    rows = rows[rows["provenance.preset"] == preset] if len(rows) else rows
    for name, group in rows.groupby("dataset", sort=False) if len(rows) else ():
        values = group.pivot_table(index="normal_class", columns="seed", values="image_auroc")
        bounds = 100 * prediction_intervals(values)
        texts = [interval(*x, 2) for x in bounds[["low", "high"]].to_numpy(float)]
        part = pd.DataFrame({"data": TITLES.get(name, name), "class": values.index.astype(int)})
        part["name"] = [CLASSES[name][n] for n in part["class"]]
        part["seeds"] = values.notna().sum(axis=1).to_numpy()
        part["image AUROC"] = 100 * values.mean(axis=1).to_numpy()
        parts.append(part.assign(**{"one more seed": texts}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def grid_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return what each switch gave on validation images, in points, and on average over classes.

    The first line holds the percents of `novelty_official` itself. Intervals are 95 % t-intervals
    over pairs of class and seed.
    """
    effects = grid_effects(runs)
    lines = []
    for switch, group in effects.groupby("switch", sort=False) if len(effects) else ():
        column = "image_auroc" if switch == "novelty_official" else "effect"
        s = summary(group[column])
        line = {"switch": switch}
        for name in CHOSEN_BY:
            mean = group[group["dataset"] == name][column].mean()
            line[f"{TITLES[name]}, {CLASSES[name][CHOSEN_BY[name]]}"] = mean
        line |= {"average": s.mean, "95 % interval": interval(s.low, s.high, 2), "pairs": s.n}
        lines.append(line)
    return pd.DataFrame(lines)
