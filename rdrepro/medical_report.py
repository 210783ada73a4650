"""The extension's Table 3 from rows: readings beside print, steps against noise, habits."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import norm

from rdrepro.cells import SPLITS, protocol_defaults
from rdrepro.config import RunConfig
from rdrepro.data.medical import FOLDS
from rdrepro.medical import HABITS, READINGS, best_epoch, printed_columns
from rdrepro.presets import PRESETS
from rdrepro.results import study_rows
from rdrepro.stats import (
    fold_interval,
    fold_resamples,
    hanley_mcneil_deviation,
    percentiles,
    prediction_intervals,
    summary,
)
from rdrepro.tables import TITLES, interval
from rdrepro.weights import RANDOM

STUDY, HABITS_STUDY, LONG_STUDY = "medical", "medical-habits", "medical-long"
FIELDS = ("loss", "early_stopping", "score", "map_combine", "loss_reduction", "image_size", "beta2")
# Differences that the report draws conclusions from (its Sec. 4.3), as pairs of columns.
STEPS = (
    ("MKD", "Ours"),
    ("Ours", "Ours+ES"),
    ("Ours", "Ours+L_KD AS"),
    ("Ours", "Ours+L_MKD"),
    ("Ours+L_MKD", "Ours+L_MKD AS"),
)
PANEL, REPETITION = ["dataset", "backbone", "epochs"], ["data_seed", "seed"]
READING_OF = {name: how for column in READINGS.values() for name, how in column.items()}
COLUMN_OF = {name: column for column, readings in READINGS.items() for name in readings}
Z95 = norm.ppf(0.975)
Key = tuple[str, str, int, str]  # data set, teacher, epochs, reading


class Folds(NamedTuple):
    """The rows of one reading on one data set by one teacher, a row per fold, in their order."""

    dataset: str
    teacher: str
    epochs: int
    reading: str
    rows: pd.DataFrame

    @property
    def aurocs(self) -> np.ndarray:
        """Return the folds' image AUROCs as fractions."""
        return self.rows["image_auroc"].to_numpy(float)

    @property
    def scores(self) -> list[Mapping[str, Any]]:
        """Return the folds' scores, as rows hold them."""
        return list(self.rows["scores"])


def _wanted(how: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a row of a variant has in the fields that variants differ in."""
    settings = PRESETS[how["preset"]] | how
    wanted = {name: settings.get(name, getattr(RunConfig, name)) for name in FIELDS}
    if settings.get("method") == "mkd":
        wanted = {}  # its preset alone tells it
    # The study keeps the teacher frozen (E4) unless a variant is about that.
    return wanted | {"teacher_bn": how.get("teacher_bn", RunConfig.teacher_bn)}


def all_folds(runs: pd.DataFrame, variants: Mapping[str, Mapping], study: str) -> list[Folds]:
    """Return a study's clean rows by data set, teacher, epochs and variant, the newest per fold.

    Only k-folds of one protocol, one seed and one draw of folds (`data_seed`) stand together: of
    protocols that of most folds, of seeds and draws the lowest. No row of random weights counts.
    """
    rows = study_rows(runs, study)
    found = []
    if rows.empty:
        return found
    rows = rows[(rows["split"] == "kfold") & (rows["weights"] != RANDOM)]
    fields = [name for name in protocol_defaults() if name != "fold"]
    for name, how in variants.items():
        fits = rows["provenance.preset"] == how["preset"]
        for field, value in _wanted(how).items():
            fits &= rows[field] == value
        for (dataset, backbone, epochs), group in rows[fits].groupby(PANEL, sort=False):
            protocol = group[fields].map(str).agg(" ".join, axis="columns")
            sizes = protocol.map(group.groupby(protocol)["fold"].nunique())
            group = group[protocol == protocol[sizes == sizes.max()].iloc[-1]]
            first = group.sort_values(REPETITION).iloc[0]
            same = (group[REPETITION] == first[REPETITION]).all(axis=1)
            one = group[same].drop_duplicates("fold", keep="last").sort_values("fold")
            found.append(Folds(dataset, backbone, int(epochs), name, one))
    return found


def by_reading(runs: pd.DataFrame, study: str = STUDY) -> dict[Key, Folds]:
    """Return the folds of each reading of Table 3, by what tells them apart."""
    found = all_folds(runs, READING_OF, study)
    return {(f.dataset, f.teacher, f.epochs, f.reading): f for f in found}


class Change(NamedTuple):
    """What one reading adds to another on the same images, in points."""

    mean: float
    low: float
    high: float
    correlation: float  # of the two AUROCs over resampled images


def change(before: Folds | None, after: Folds | None) -> Change | None:
    """Return the difference of two readings with its paired 95 % interval over images.

    None where one is missing or they do not have the same folds.
    """
    if before is None or after is None or list(before.rows["fold"]) != list(after.rows["fold"]):
        return None
    a, b = fold_resamples(before.scores), fold_resamples(after.scores)
    shared = float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) and np.ptp(b) else 0.0
    points = (after.aurocs.mean() - before.aurocs.mean(), *percentiles(b - a))
    return Change(*(100 * x for x in points), shared)


def columns_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return each reading of Table 3 beside its printed column, by data set and teacher; percent.

    ours: the mean of the folds' AUROCs. low, high: its 95 % interval over images; fold_low,
    fold_high: the 95 % t-interval over folds. overlap: of the interval over images with print's,
    approximated at its split's counts. one_low ... five_high: 95 % prediction intervals of one
    more fold by another seed, and of five folds drawn anew.
    """
    lines = [_column_line(folds) for folds in by_reading(runs).values()]
    table = pd.DataFrame(lines)
    if table.empty:
        return table
    order = {name: i for i, name in enumerate(READING_OF)}
    place = table["reading"].map(order)
    return (
        table.assign(place=place)
        .sort_values(["dataset", "place", "teacher"], ignore_index=True)
        .drop(columns="place")
    )


def _column_line(folds: Folds) -> dict[str, Any]:
    printed = printed_columns(folds.dataset).set_index("column").loc[COLUMN_OF[folds.reading]]
    low, high = (100 * x for x in fold_interval(folds.scores))
    s = summary(100 * folds.aurocs)
    overlap = low <= printed["high"] and printed["low"] <= high
    values = pd.DataFrame([folds.aurocs])
    more = {"one": 1, "five": FOLDS}
    ahead = {name: prediction_intervals(values, more=n).iloc[0] for name, n in more.items()}
    return {
        "dataset": folds.dataset,
        "column": COLUMN_OF[folds.reading],
        "reading": folds.reading,
        "printed": printed["printed"],
        "printed_low": printed["low"],
        "printed_high": printed["high"],
        "teacher": folds.teacher,
        "epochs": folds.epochs,
        "folds": s.n,
        "ours": s.mean,
        "low": low,
        "high": high,
        "fold_low": s.low,
        "fold_high": s.high,
        "overlap": "overlaps" if overlap else "does not overlap",
        "stopped at": np.mean([best_epoch(h) for h in folds.rows["history"]]),
        **{f"{name}_{k}": 100 * v for name, bounds in ahead.items() for k, v in bounds.items()},
    }


def readable_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return `columns_table` for reading, intervals as text."""
    if table.empty:
        return table
    pairs = {
        "printed, 95 %": ("printed_low", "printed_high"),
        "over images": ("low", "high"),
        "over folds": ("fold_low", "fold_high"),
        "one more fold": ("one_low", "one_high"),
        "five folds anew": ("five_low", "five_high"),
    }
    texts = {
        name: [interval(*x) for x in table[list(ends)].to_numpy(float)]
        for name, ends in pairs.items()
    }
    shown = table.assign(**texts, dataset=table["dataset"].map(lambda n: TITLES.get(n, n)))
    names = ["dataset", "reading", "printed", "printed, 95 %", "teacher", "epochs", "stopped at"]
    names += ["folds", "ours", "over images", "over folds", "overlap"]
    shown = shown[[*names, "one more fold", "five folds anew"]]
    return shown.rename(columns={"dataset": "data", "stopped at": "epoch that counts"})


def steps_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return each step between printed columns, what noise allows, and ours, in points.

    noise: the 95 % half-width of the printed difference over images, from Hanley and McNeil's
    deviations at the split's counts and the correlation that two columns of ours have on the same
    images; the seed of training is not in it, so it is a lower bound. ours: the difference of the
    means of folds with its paired 95 % interval over images.
    """
    found, lines = by_reading(runs), []
    for dataset, teacher, epochs in dict.fromkeys(key[:3] for key in found):
        for before, after in STEPS:
            pair = [_beside(found, (dataset, teacher, epochs), name) for name in (before, after)]
            ours = change(*pair)
            if ours:
                head = {"data": TITLES.get(dataset, dataset), "step": f"{before} to {after}"}
                lines.append(head | {"teacher": teacher} | _step(dataset, before, after, ours))
    return pd.DataFrame(lines)


def _beside(found: Mapping[Key, Folds], panel: tuple, reading: str) -> Folds | None:
    """Return a reading of a panel.

    The baseline has a teacher and epochs of its own: of most folds the most epochs.
    """
    dataset, teacher, epochs = panel
    own = PRESETS[READING_OF[reading]["preset"]].get("backbone")
    if own is None:
        return found.get((dataset, teacher, epochs, reading))
    ran = [f for f in found.values() if (f.dataset, f.reading) == (dataset, reading)]
    return max(ran, key=lambda f: (len(f.rows), f.epochs), default=None)


def _step(dataset: str, before: str, after: str, ours: Change) -> dict[str, Any]:
    """Return what a step's line says: printed and its noise, ours and its interval."""
    printed = printed_columns(dataset).set_index("column")["printed"] / 100
    a, b = (hanley_mcneil_deviation(printed[name], *SPLITS[dataset]) for name in (before, after))
    noise = 100 * Z95 * np.sqrt(max(a**2 + b**2 - 2 * ours.correlation * a * b, 0))
    difference = 100 * (printed[after] - printed[before])
    return {
        "printed": difference,
        "noise": noise,
        "print": "larger than noise" if abs(difference) > noise else "within noise",
        "ours": ours.mean,
        "95 % interval": interval(ours.low, ours.high),
        "ours is": "resolved" if ours.low > 0 or ours.high < 0 else "within noise",
        "correlation": ours.correlation,
    }


def habits_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return what each habit of the extension changes, in points, with paired 95 % intervals.

    Against the reading that it belongs to, on the same folds; the interval is over images.
    """
    base, lines = by_reading(runs), []
    for changed in all_folds(runs, {n: how for n, (_, _, how) in HABITS.items()}, HABITS_STUDY):
        reading, entry, how = HABITS[changed.reading]
        usual = base.get((changed.dataset, changed.teacher, changed.epochs, reading))
        moved = change(usual, changed)
        if moved is None:
            continue
        (field,) = set(how) - {"preset"}
        line = {"entry": entry, "habit": changed.reading, "switch": f"`{field}={how[field]}`"}
        line |= {"dataset": changed.dataset, "teacher": changed.teacher, "epochs": changed.epochs}
        line |= {"against": reading, "folds": len(usual.rows), "base": 100 * usual.aurocs.mean()}
        lines.append(line | {k: getattr(moved, k) for k in ("mean", "low", "high")})
    return pd.DataFrame(lines)


def long_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return one fold at the epochs that the extension's code runs, beside the study's; percent."""
    base, lines = by_reading(runs), []
    for (dataset, teacher, epochs, reading), folds in by_reading(runs, LONG_STUDY).items():
        place = (dataset, teacher, reading)
        for usual in (f for k, f in base.items() if (k[0], k[1], k[3]) == place):
            both = folds.rows.merge(usual.rows, on="fold", suffixes=("", "_short"))
            for _, row in both.iterrows():
                line = {"data": TITLES.get(dataset, dataset), "reading": reading}
                line |= {"teacher": teacher, "fold": int(row["fold"])}
                for n, end in ((usual.epochs, "_short"), (epochs, "")):
                    line[f"{n} epochs"] = 100 * row[f"image_auroc{end}"]
                    line[f"minutes, {n} epochs"] = row[f"cost.train_seconds{end}"] / 60
                lines.append(line)
    return pd.DataFrame(lines)


def habit_deviations(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the habits' effects as lines of `deviations.effects`, by data set and teacher."""
    lines = []
    for _, line in habits_table(runs).iterrows():
        data = f"{line['dataset']}, {line['teacher']}, {line['epochs']} epochs, "
        found = {k: line[k] for k in ("entry", "switch", "base", "mean", "low", "high")}
        found |= {"data": f"{data}{line['folds']} folds", "metric": "image_auroc", "seeds": 1}
        lines.append(found)
    return pd.DataFrame(lines)
