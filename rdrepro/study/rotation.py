"""Rotated test images: a test of the extension's claim to be "rotational independent"."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from rdrepro.metric_names import BY_NAME
from rdrepro.registry import title_of
from rdrepro.runs.rows import read_scores
from rdrepro.study.formats import interval
from rdrepro.study.selection import by_protocol, clean, complete, newest
from rdrepro.study.stats import paired_bootstrap

QUARTER = 90  # degrees

ROTATION_STUDY = "rotation"
ANGLES = tuple(range(0, 360, 30))  # degrees, counter-clockwise
METRICS = {BY_NAME[n].title: n for n in ("image_auroc", "pixel_auroc", "pixel_aupro")}
RANGE, DROP = "highest - lowest", "0 - lowest"  # lines of a table that follow its angles
# Quarter turns are exact. Other angles also interpolate and have corners to fill.
TURNS = {"all": lambda angles: angles >= 0, "quarter turns": lambda angles: angles % QUARTER == 0}


def protocols(runs: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the study's clean rows by data and protocol, the newest of each repetition and angle.

    A repetition is a seed and fold. It is left out if it lacks an angle that others have.
    """
    rows = clean(runs, ROTATION_STUDY)
    if rows.empty:
        return
    repetition = rows["seed"].map(str) + " " + rows["fold"].map(str)
    rows = rows.assign(repetition=repetition)
    for group in by_protocol(rows, ["category", "data_seed"], ["rotation", "fold"]):
        group = complete(newest(group, "repetition", "rotation"), "repetition", "rotation")
        if len(group):
            yield group


def means(group: pd.DataFrame) -> pd.DataFrame:
    """The mean of each metric over repetitions in percent, a line per angle in degrees.

    group: one of `protocols`. Metrics of pixels are NaN where the data have no masks.
    """
    values = group.reindex(columns=["rotation", *METRICS.values()]).astype(float)
    return 100 * values.groupby("rotation").mean().set_axis(list(METRICS), axis=1)


def named(group: pd.DataFrame) -> dict[str, object]:
    """The columns that identify a group of rows: data, teacher, resolution and epochs."""
    row = group.iloc[-1]
    data = title_of(row["dataset"])
    data = f"{row['category']} ({data})" if row["category"] else data
    parts = {"backbone": row["backbone"], "px": row["image_size"], "epochs": row["epochs"]}
    return {"data": data} | parts


def rotation_table(runs: pd.DataFrame) -> pd.DataFrame:
    """The metrics by data set and angle, averaged over seeds and folds, in percent.

    Two lines in points follow the angles of each data set: the range over angles, and the drop from
    0 degrees to the lowest value of each metric. The lowest value is found on the test set itself,
    so chance alone produces such a drop. `rotation_effects` is free of that.
    """
    lines = []
    for group in protocols(runs):
        table = means(group)
        table.index = [f"{angle:g}" for angle in table.index]
        highest, lowest = table.max(), table.min()
        table.loc[RANGE] = highest - lowest
        if "0" in table.index:
            table.loc[DROP] = table.loc["0"] - lowest
        head = named(group) | {"runs": group["repetition"].nunique()}
        lines += [head | {"angle": angle} | dict(line) for angle, line in table.iterrows()]
    return pd.DataFrame(lines)


def rotation_effects(runs: pd.DataFrame, folder: Path | None = None) -> pd.DataFrame:
    """The effect of rotation on image AUROC: the mean over angles minus the value at 0 degrees.

    folder: the folder given to `load_runs`.

    Effects are in points. One line is over all angles, another over quarter turns. Quarter turns
    neither interpolate nor fill corners, so they show the effect of direction alone. The 95 %
    interval is over test images (paired bootstrap): normal and anomalous images are resampled
    separately, and each keeps its scores at every angle. Students, seeds and angles stay fixed, so
    the interval does not cover another training or category. Seeds that were tested on the same
    images are averaged. Folds have lines of their own and are never pooled.
    """
    lines = []
    for group in protocols(runs):
        kept = [read_scores(row, folder) for _, row in group.iterrows()]
        images = [" ".join(scores["path"]) for scores in kept]
        for _, part in group.assign(kept=kept).groupby(images, sort=False):
            upright = part["rotation"] == 0
            for turns, belongs in TURNS.items():
                turned = belongs(part["rotation"]) & ~upright
                if upright.any() and turned.any():
                    head = named(part) | {"turns": turns}
                    lines.append(head | _effect(part[upright | turned]))
    return pd.DataFrame(lines)


def _effect(part: pd.DataFrame) -> dict[str, object]:
    """The columns of a line of `rotation_effects`.

    part: the rows of repetitions that were tested on the same images.
    """
    scores = part.set_index(["repetition", "rotation"])["kept"].map(lambda kept: kept["score"])
    upright, turned = scores.xs(0, level="rotation"), scores.drop(0, level="rotation")
    beside = [upright[repetition] for repetition, _ in turned.index]
    at_0, others = np.column_stack(beside), np.column_stack(list(turned))  # (N, K) each
    labels = part.iloc[0]["kept"]["label"]
    change, low, high = (100 * x for x in paired_bootstrap(at_0, others, labels))
    bounds = interval(low, high, 2) if high > low else "not resolvable"  # no resample moves it
    fold = part.iloc[0]["fold"]
    return {
        "fold": "" if pd.isna(fold) else f"{fold:.0f}",
        "runs": part["repetition"].nunique(),
        "angles": turned.index.unique("rotation").size,
        "change": change,
        "95 % interval": bounds,
    }


def quarter_turns_in_words(effects: pd.DataFrame) -> str:
    """A sentence that says by how many points quarter turns change each data set's image AUROC.

    effects: from `rotation_effects`.
    """
    if effects.empty:
        return ""
    exact = effects[effects["turns"] == "quarter turns"]
    told = [f"{line['data']} {line['change']:+.1f}" for _, line in exact.iterrows()]
    return f"Quarter turns change image AUROC, in points: {', '.join(told)}."
