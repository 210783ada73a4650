"""Table 4 in full: averages, classes with prediction intervals, and the choice of settings."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from rdrepro.cells import protocol_defaults
from rdrepro.data.novelty import CLASSES
from rdrepro.novelty import gradient_steps, printed_average
from rdrepro.novelty_grid import GRID, clean_rows, grid_effects
from rdrepro.presets import CHOSEN_CLASSES
from rdrepro.results import read_scores
from rdrepro.stats import average_interval, prediction_intervals, summary
from rdrepro.tables import TITLES, interval

STUDY, CURVES_STUDY = "novelty", "novelty-curves"


def protocols(runs: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield a study's rows on the data sets of Table 4 by protocol, the newest of class and seed.

    Rows of one protocol agree in every field but the free ones, the class and the preset's name;
    rows that validate stand in the grid's own table.
    """
    rows = clean_rows(runs, STUDY)
    if rows.empty:
        return
    rows = rows[rows["dataset"].map(printed_average).notna() & (rows["split"] == "official")]
    fields = [name for name in protocol_defaults() if name not in ("normal_class", "fold")]
    keys = [rows[name].map(str).rename(name) for name in ["provenance.preset", *fields]]
    for _, group in rows.groupby(keys, sort=False):
        yield group.drop_duplicates(["normal_class", "seed"], keep="last")


def averages_table(runs: pd.DataFrame, folder: Path | None = None) -> pd.DataFrame:
    """Return Table 4's averages over the classes by data set and protocol, in percent.

    folder: that of `load_runs`. A repetition is a seed that has every class; without one there is
    no average. "over seeds" is the 95 % t-interval of their mean, "over images" the interval of
    the newest one's average on its test set. Delta is to print; a preset that was chosen by
    validation says so, and "without the chosen class" leaves out the class that it was chosen by.
    """
    return pd.DataFrame([_average_line(group, folder) for group in protocols(runs)])


def _average_line(group: pd.DataFrame, folder: Path | None) -> dict[str, object]:
    first = group.iloc[-1]
    name, classes = first["dataset"], len(CLASSES[first["dataset"]])
    sizes = group.groupby("seed")["normal_class"].nunique()
    complete = group[group["seed"].isin(sizes.index[sizes == classes])]
    others = complete[complete["normal_class"] != CHOSEN_CLASSES.get(name)]
    s = summary(100 * complete.groupby("seed")["image_auroc"].mean())
    images = _over_images(complete, folder) if len(complete) else (np.nan, np.nan)
    printed, steps = printed_average(name), [gradient_steps(r) for _, r in group.iterrows()]
    selection = first.get("provenance.selection")
    return {
        "data": TITLES.get(name, name),
        "preset": first["provenance.preset"],
        "backbone": first["backbone"],
        "px": first["image_size"],
        "epochs": first["epochs"],
        "steps": f"{np.mean(steps):.0f}",
        "classes": f"{group['normal_class'].nunique()}/{classes}",
        "seeds": s.n,
        "ours": s.mean,
        "over seeds": interval(s.low, s.high, 2),
        "over images": interval(*(100 * x for x in images), 2),
        "maximum": 100 * complete["image_auroc_max"].mean(),
        "without the chosen class": 100 * others["image_auroc"].mean(),
        "printed": printed,
        "delta": s.mean - printed,
        "remark": selection if isinstance(selection, str) else "",
    }


def _over_images(complete: pd.DataFrame, folder: Path | None) -> tuple[float, float]:
    """Return the interval of the newest seed's average, NaN where classes had other test images."""
    newest = complete[complete["seed"] == complete.iloc[-1]["seed"]]
    kept = [read_scores(row, folder) for _, row in newest.iterrows()]
    if any(k["path"] != kept[0]["path"] for k in kept):
        return np.nan, np.nan
    return average_interval([k["score"] for k in kept], [k["label"] for k in kept])


def predictions_table(runs: pd.DataFrame, preset: str = "novelty_official") -> pd.DataFrame:
    """Return each class's image AUROC (percent), its seeds, and where one more seed will lie.

    Of each data set the protocol of that preset with most rows. The last column is the 95 %
    prediction interval of `stats.prediction_intervals`.
    """
    largest: dict[str, pd.DataFrame] = {}
    for group in protocols(runs):
        first = group.iloc[-1]
        if first["provenance.preset"] == preset and len(group) > len(
            largest.get(first["dataset"], ())
        ):
            largest[first["dataset"]] = group
    parts = [_class_lines(name, group) for name, group in largest.items()]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _class_lines(name: str, group: pd.DataFrame) -> pd.DataFrame:
    values = group.pivot_table(index="normal_class", columns="seed", values="image_auroc")
    bounds = 100 * prediction_intervals(values)
    part = pd.DataFrame({"data": TITLES.get(name, name), "class": values.index.astype(int)})
    part["name"] = [CLASSES[name][n] for n in part["class"]]
    part["seeds"] = values.notna().sum(axis=1).to_numpy()
    part["image AUROC"] = 100 * values.mean(axis=1).to_numpy()
    texts = [interval(*x, 2) for x in bounds[["low", "high"]].to_numpy(float)]
    return part.assign(**{"one more seed": texts})


def grid_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return what each switch gave on validation images, in points, and on average over classes.

    The first line holds the percents of `novelty_official` itself. Intervals are 95 % t-intervals
    over pairs of class and seed.
    """
    effects = grid_effects(runs)
    lines = []
    for switch in GRID if len(effects) else ():
        group = effects[effects["switch"] == switch]
        column = "image_auroc" if switch == "novelty_official" else "effect"
        s = summary(group[column])
        line = {"switch": switch}
        for name in CHOSEN_CLASSES:
            mean = group[group["dataset"] == name][column].mean()
            line[f"{TITLES[name]}, {CLASSES[name][CHOSEN_CLASSES[name]]}"] = mean
        line |= {"average": s.mean, "95 % interval": interval(s.low, s.high, 2), "pairs": s.n}
        lines.append(line)
    return pd.DataFrame(lines)
