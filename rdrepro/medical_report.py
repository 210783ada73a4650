"""The extension's Table 3 from rows: readings beside print, steps against noise, habits."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rdrepro.cells import SPLITS
from rdrepro.config import RunConfig
from rdrepro.data.medical import FOLDS
from rdrepro.medical import HABITS, READINGS, best_epoch, printed_columns
from rdrepro.presets import PRESETS
from rdrepro.results import study_rows
from rdrepro.stats import (
    fold_interval,
    fold_resamples,
    hanley_mcneil_deviation,
    prediction_interval,
    summary,
)
from rdrepro.tables import TITLES, interval

STUDY, HABITS_STUDY, LONG_STUDY = "medical", "medical-habits", "medical-long"
FIELDS = ("loss", "early_stopping", "score", "map_combine", "loss_reduction", "image_size")
# Differences that the report draws conclusions from (its Sec. 4.3), as pairs of columns.
STEPS = (
    ("MKD", "Ours"),
    ("Ours", "Ours+ES"),
    ("Ours", "Ours+L_KD AS"),
    ("Ours", "Ours+L_MKD"),
    ("Ours+L_MKD", "Ours+L_MKD AS"),
)
READING_OF = {name: how for column in READINGS.values() for name, how in column.items()}
COLUMN_OF = {name: column for column, readings in READINGS.items() for name in readings}
Z95 = 1.959964  # of a normal distribution


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

    Only k-folds of one seed and one draw of folds (`data_seed`) stand together: the lowest.
    """
    rows = study_rows(runs, study)
    found = []
    if rows.empty:
        return found
    rows = rows[rows["split"] == "kfold"]
    for name, how in variants.items():
        wanted = _wanted(how)
        fits = rows["provenance.preset"] == how["preset"]
        for field, value in wanted.items():
            fits &= rows[field] == value
        keys = ["dataset", "backbone", "epochs"]
        for (dataset, backbone, epochs), group in rows[fits].groupby(keys, sort=False):
            first = group.sort_values(["data_seed", "seed"]).iloc[0]
            same = (group[["data_seed", "seed"]] == first[["data_seed", "seed"]]).all(axis=1)
            one = group[same].drop_duplicates("fold", keep="last").sort_values("fold")
            found.append(Folds(dataset, backbone, int(epochs), name, one))
    return found


def columns_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return each reading of Table 3 beside its printed column, by data set and teacher; percent.

    ours: the mean of the folds' AUROCs. low, high: its 95 % interval over images; fold_low,
    fold_high: the 95 % t-interval over folds. overlap: of the interval over images with print's,
    approximated at its split's counts. one_low ... five_high: 95 % prediction intervals of one
    more fold by another seed, and of five folds drawn anew.
    """
    lines = [_column_line(folds) for folds in all_folds(runs, READING_OF, STUDY)]
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
    one, five = (prediction_interval(folds.aurocs, n) for n in (1, FOLDS))
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
        **{f"one_{k}": 100 * v for k, v in zip(("low", "high"), one, strict=True)},
        **{f"five_{k}": 100 * v for k, v in zip(("low", "high"), five, strict=True)},
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
    found = {(f.dataset, f.teacher, f.reading): f for f in all_folds(runs, READING_OF, STUDY)}
    lines = []
    for dataset in dict.fromkeys(key[0] for key in found):
        teachers = dict.fromkeys(key[1] for key in found if key[0] == dataset)
        for before, after in STEPS:
            lines += _step_lines(found, dataset, list(teachers), before, after)
    return pd.DataFrame(lines)


def _step_lines(
    found: Mapping[tuple, Folds], dataset: str, teachers: list[str], before: str, after: str
) -> list[dict[str, Any]]:
    """Return a step's lines, one per teacher that has both readings on the same folds."""
    printed = printed_columns(dataset).set_index("column")["printed"] / 100
    values = [printed[before], printed[after]]
    deviations = [hanley_mcneil_deviation(v, *SPLITS[dataset]) for v in values]
    lines = []
    for teacher in teachers:
        # The baseline has a teacher of its own and stands beside each.
        pair = [_folds_of(found, dataset, teacher, name) for name in (before, after)]
        if None in pair or list(pair[0].rows["fold"]) != list(pair[1].rows["fold"]):
            continue
        a, b = (fold_resamples(folds.scores) for folds in pair)
        shared = float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) and np.ptp(b) else 0.0
        variance = sum(d**2 for d in deviations) - 2 * shared * np.prod(deviations)
        noise, difference = 100 * Z95 * np.sqrt(max(variance, 0)), 100 * (values[1] - values[0])
        low, high = 100 * np.quantile(b - a, [0.025, 0.975])
        ours = 100 * (pair[1].aurocs.mean() - pair[0].aurocs.mean())
        lines.append(
            {
                "data": TITLES.get(dataset, dataset),
                "step": f"{before} to {after}",
                "printed": difference,
                "noise": noise,
                "print": "larger than noise" if abs(difference) > noise else "within noise",
                "teacher": teacher,
                "ours": ours,
                "95 % interval": interval(low, high),
                "ours is": "resolved" if low > 0 or high < 0 else "within noise",
                "correlation": shared,
            }
        )
    return lines


def _folds_of(
    found: Mapping[tuple, Folds], dataset: str, teacher: str, reading: str
) -> Folds | None:
    own = PRESETS[READING_OF[reading]["preset"]].get("backbone")
    return found.get((dataset, own or teacher, reading))


def habits_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return what each habit of the extension changes, in points, with paired 95 % intervals.

    Against the reading that it belongs to, on the same folds; the interval is over images.
    """
    base = {(f.dataset, f.teacher, f.reading): f for f in all_folds(runs, READING_OF, STUDY)}
    variants = {name: how for name, (_, _, how) in HABITS.items()}
    lines = []
    for changed in all_folds(runs, variants, HABITS_STUDY):
        reading, entry, how = HABITS[changed.reading]
        usual = base.get((changed.dataset, changed.teacher, reading))
        if usual is None or list(usual.rows["fold"]) != list(changed.rows["fold"]):
            continue
        a, b = fold_resamples(usual.scores), fold_resamples(changed.scores)
        low, high = 100 * np.quantile(b - a, [0.025, 0.975])
        field = next(k for k in how if k != "preset" and how[k] != PRESETS[how["preset"]].get(k))
        lines.append(
            {
                "entry": entry,
                "habit": changed.reading,
                "switch": f"`{field}={how[field]}`",
                "dataset": changed.dataset,
                "teacher": changed.teacher,
                "epochs": changed.epochs,
                "against": reading,
                "folds": len(usual.rows),
                "base": 100 * usual.aurocs.mean(),
                "mean": 100 * (changed.aurocs.mean() - usual.aurocs.mean()),
                "low": low,
                "high": high,
            }
        )
    return pd.DataFrame(lines)


def long_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return one fold at the epochs that the extension's code runs, beside the study's; percent."""
    base = {(f.dataset, f.teacher, f.reading): f for f in all_folds(runs, READING_OF, STUDY)}
    lines = []
    for folds in all_folds(runs, READING_OF, LONG_STUDY):
        usual = base.get((folds.dataset, folds.teacher, folds.reading))
        for _, row in folds.rows.iterrows():
            same = usual.rows[usual.rows["fold"] == row["fold"]] if usual else ()
            if not len(same):
                continue
            few = same.iloc[-1]
            lines.append(
                {
                    "data": TITLES.get(folds.dataset, folds.dataset),
                    "reading": folds.reading,
                    "teacher": folds.teacher,
                    "fold": int(row["fold"]),
                    f"{usual.epochs} epochs": 100 * few["image_auroc"],
                    f"{folds.epochs} epochs": 100 * row["image_auroc"],
                    "minutes": few["cost.train_seconds"] / 60,
                    "minutes, long": row["cost.train_seconds"] / 60,
                }
            )
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
