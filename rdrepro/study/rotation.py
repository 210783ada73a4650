"""Rotated test images: a test of the extension's claim to be "rotational independent"."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from rdrepro.metric_names import BY_NAME
from rdrepro.runs.rows import read_scores
from rdrepro.study.formats import interval
from rdrepro.study.selection import by_protocol, clean, complete, newest
from rdrepro.study.stats import paired_bootstrap
from rdrepro.study.titles import data_title
from rdrepro.study.wording import network

QUARTER = 90  # degrees

ROTATION_STUDY = "rotation"
ANGLES = tuple(range(0, 360, 30))  # degrees, counter-clockwise
METRICS = {BY_NAME[n].title: n for n in ("image_auroc", "pixel_auroc", "pixel_aupro")}
RANGE, DROP = "highest - lowest", "0 - lowest"  # lines of a table that follow its angles
ALL, QUARTER_TURNS = "all angles", "quarter turns"
SAME = "same in every resample"  # where no resampling of the images moves a change
# Quarter turns are exact. Other angles also interpolate and have corners to fill.
ROTATED_BY = {ALL: lambda angles: angles >= 0, QUARTER_TURNS: lambda angles: angles % QUARTER == 0}


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
    data, teacher = data_title(row["dataset"], [row["category"]]), network(row["backbone"])
    return {"data": data, "teacher": teacher, "px": row["image_size"], "epochs": row["epochs"]}


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
    """The effect of rotation on image AUROC, as a table to read; see `measured_changes`."""
    lines = measured_changes(runs, folder)
    if lines.empty:
        return lines
    bounds = [
        interval(low, high, 2) if high > low else SAME
        for low, high in lines[["low", "high"]].to_numpy(float)
    ]
    return lines.drop(columns=["low", "high"]).assign(**{"95 % interval": bounds})


def measured_changes(runs: pd.DataFrame, folder: Path | None = None) -> pd.DataFrame:
    """The change of image AUROC by rotation: the mean over angles minus the value at 0 degrees.

    folder: the folder given to `load_runs`.

    Changes are in points. One line is over all angles, another over quarter turns. Quarter turns
    neither interpolate nor fill corners, so they show the effect of direction alone. The 95 %
    interval, from low to high, is over test images (paired bootstrap): normal and anomalous images
    are resampled separately, and each keeps its scores at every angle. Students, seeds and angles
    stay fixed, so the interval does not cover another training or category. Seeds that were tested
    on the same images are averaged. Folds have lines of their own and are never pooled.
    """
    lines = []
    for group in protocols(runs):
        kept = [read_scores(row, folder) for _, row in group.iterrows()]
        images = [" ".join(scores["path"]) for scores in kept]
        for _, part in group.assign(kept=kept).groupby(images, sort=False):
            upright = part["rotation"] == 0
            for name, belongs in ROTATED_BY.items():
                rotated = belongs(part["rotation"]) & ~upright
                if upright.any() and rotated.any():
                    head = named(part) | {"rotated by": name}
                    lines.append(head | _change(part[upright | rotated]))
    return pd.DataFrame(lines)


def _change(part: pd.DataFrame) -> dict[str, object]:
    """The columns of a line of `measured_changes`.

    part: the rows of repetitions that were tested on the same images.
    """
    scores = part.set_index(["repetition", "rotation"])["kept"].map(lambda kept: kept["score"])
    upright, rotated = scores.xs(0, level="rotation"), scores.drop(0, level="rotation")
    beside = [upright[repetition] for repetition, _ in rotated.index]
    at_0, others = np.column_stack(beside), np.column_stack(list(rotated))  # (N, K) each
    labels = part.iloc[0]["kept"]["label"]
    change, low, high = (100 * x for x in paired_bootstrap(at_0, others, labels))
    fold = part.iloc[0]["fold"]
    return {
        "fold": "" if pd.isna(fold) else f"{fold:.0f}",
        "seeds": part["repetition"].nunique(),
        "angles": rotated.index.unique("rotation").size,
        "change": change,
        "low": low,
        "high": high,
    }


def beside_each_other(changes: pd.DataFrame) -> pd.DataFrame:
    """The changes as a table to read: a line per data set, all angles beside quarter turns.

    changes: from `measured_changes`.
    """
    keys = ["data", "teacher", "px", "epochs", "fold", "seeds"]
    lines = []
    for named_by, part in changes.groupby(keys, sort=False) if len(changes) else ():
        line = {("", key): value for key, value in zip(keys, named_by, strict=True)}
        for _, one in part.iterrows():
            bounds = interval(one["low"], one["high"], 1)
            line[one["rotated by"], "change"] = f"{one['change'] + 0:+.1f}"
            line[one["rotated by"], "95 % interval"] = bounds if one["high"] > one["low"] else SAME
        lines.append(line)
    table = pd.DataFrame(lines)
    if table.empty:
        return table
    table.columns = pd.MultiIndex.from_tuples(table.columns)
    empty = [key for key in table if (table[key] == "").all()]
    return table.drop(columns=empty).fillna("-")


def rotation_in_words(changes: pd.DataFrame) -> list[str]:
    """Sentences on how rotation changes image AUROC: over all angles, and by quarter turns.

    changes: from `measured_changes`.
    """
    return [
        _in_words(name, part, changes)
        for name, part in (changes.groupby("rotated by", sort=False) if len(changes) else ())
    ]


def _in_words(name: str, part: pd.DataFrame, changes: pd.DataFrame) -> str:
    known = part["high"] > part["low"]
    lower, higher = known & (part["high"] < 0), known & (part["low"] > 0)
    open_ = (known & ~lower & ~higher).sum()
    largest = part.loc[part["change"].abs().idxmax()]
    said = [
        f"With {name}, image AUROC falls in {lower.sum()} of {len(part)} cases and rises in "
        f"{higher.sum()}.",
        f"In {open_} the 95 % interval contains 0." if open_ else "",
        f"In {(~known).sum()} the change is the {SAME}." if not known.all() else "",
        f"The largest change is {largest['change']:+.1f} points, on {largest['data']}.",
        _caveat(largest, changes) if name == ALL else "",
    ]
    return " ".join(filter(None, said))


def _caveat(largest: pd.Series, changes: pd.DataFrame) -> str:
    """What all angles do besides turning an image, and what quarter turns alone change."""
    caveat = "Angles other than quarter turns also interpolate the image and fill its corners"
    same = changes["rotated by"].eq(QUARTER_TURNS)
    for key in ("data", "teacher", "px", "epochs", "fold"):
        same &= changes[key] == largest[key]
    if not same.any():
        return f"{caveat}."
    by_quarters = changes["change"][same].iloc[0]
    return (
        f"{caveat}. On {largest['data']}, the change by quarter turns is {by_quarters:+.1f} points."
    )
