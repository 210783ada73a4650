"""The extension's Table 3 from result rows: its columns, the steps between them, and its habits.

A reading is one way to understand a printed column (`medical.READINGS`). A step is the difference
between two columns. A habit is something that the extension does differently (`medical.HABITS`).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rdrepro.backbones import RANDOM
from rdrepro.config import RunConfig, foreign_fields
from rdrepro.presets import PRESETS
from rdrepro.registry import DATASETS, FOLDED, FOLDS, MEDICAL, of_family, title_of
from rdrepro.study.folds import (
    fold_interval,
    fold_resamples,
    percentiles,
    split_noise,
    split_resamples,
)
from rdrepro.study.formats import interval
from rdrepro.study.medical import HABITS, READINGS, best_epoch, printed_columns
from rdrepro.study.printed import SPLITS, protocol_defaults
from rdrepro.study.selection import alike, clean, newest
from rdrepro.study.stats import LEVEL, collapsed, prediction_intervals, summary

MEDICAL_DATASETS = of_family(MEDICAL)
# They differ from the presets' names: a run that names no study is filed under its preset.
STUDY, HABITS_STUDY, LONG_STUDY = "medical-table3", "medical-habits", "medical-long"
AGAIN_STUDY = "medical-again"
FIELDS = ("loss", "early_stopping", "score", "map_combine", "loss_reduction", "image_size", "beta2")
# The pairs of columns whose differences the extension draws conclusions from (its Sec. 4.3).
STEPS = (
    ("MKD", "Ours"),
    ("Ours", "Ours+ES"),
    ("Ours", "Ours+L_KD AS"),
    ("Ours", "Ours+L_MKD"),
    ("Ours+L_MKD", "Ours+L_MKD AS"),
)
LARGER = "larger than noise"
QUOTED = ("MKD",)  # from its own paper (Table 3's caption), so on another split
PANEL, REPETITION = ["dataset", "backbone", "epochs"], ["data_seed", "seed"]
READING_OF = {name: how for column in READINGS.values() for name, how in column.items()}
COLUMN_OF = {name: column for column, readings in READINGS.items() for name in readings}
Key = tuple[str, str, int, str]  # data set, teacher, epochs, reading


class Folds(NamedTuple):
    """The rows of one reading on one data set with one teacher: a row per fold, in order."""

    dataset: str
    teacher: str
    epochs: int
    reading: str
    rows: pd.DataFrame

    @property
    def aurocs(self) -> np.ndarray:
        """The image AUROC of each fold, as fractions."""
        return self.rows["image_auroc"].to_numpy(float)

    @property
    def scores(self) -> list[Mapping[str, Any]]:
        """The image scores of each fold, as stored in its row."""
        return list(self.rows["scores"])

    def images(self) -> list[list[str]]:
        """The paths of the tested images, sorted, for each fold."""
        return [sorted(scores["path"]) for scores in self.scores]


def _wanted(how: Mapping[str, Any]) -> dict[str, Any]:
    """The values that rows of a variant must have in the settings in which variants differ."""
    settings = PRESETS[how["preset"]] | how
    foreign = foreign_fields(settings.get("method", RunConfig.method))
    names = [name for name in FIELDS if name not in foreign]
    wanted = {name: settings.get(name, getattr(RunConfig, name)) for name in names}
    # The study keeps the teacher frozen (E4) unless a variant is about that.
    return wanted | {"teacher_bn": how.get("teacher_bn", RunConfig.teacher_bn)}


def all_folds(runs: pd.DataFrame, variants: Mapping[str, Mapping], study: str) -> list[Folds]:
    """A study's clean rows by data set, teacher, epochs and variant, the newest of each fold.

    Only the folds of a data set's usual split count, and no row with random weights. The rows of
    one result share the protocol, the seed and the draw of folds (`data_seed`). If there are
    several protocols, the one with the most folds is taken and, among equals, the newest. If there
    are several seeds and draws, the one with the most folds is taken and, among equals, the lowest.
    """
    rows = clean(runs, study)
    found = []
    if rows.empty:
        return found
    rows = rows[rows["dataset"].isin(SPLITS)]  # those with printed columns
    usual = rows["dataset"].map(lambda name: DATASETS[name].splits[0])
    rows = rows[(rows["split"] == usual) & usual.isin(FOLDED) & (rows["weights"] != RANDOM)]
    protocols = alike(rows, [name for name in protocol_defaults() if name != "fold"])
    for name, how in variants.items():
        wanted = _wanted(how) | {"provenance.preset": how["preset"]}
        fits = np.logical_and.reduce([rows[field] == value for field, value in wanted.items()])
        few = rows.loc[fits, [*PANEL, *REPETITION, "fold"]]  # selected faster than whole rows
        for (dataset, backbone, epochs), group in few.groupby(PANEL, sort=False):
            protocol = protocols[group.index]
            sizes = group.groupby(protocol)["fold"].transform("nunique")
            group = group[protocol == protocol[sizes == sizes.max()].iloc[-1]]
            repeated = group.groupby(REPETITION)["fold"].nunique()  # sorted: the lowest first
            chosen = (group[REPETITION] == list(repeated.idxmax())).all(axis=1)
            one = newest(group[chosen], "fold").sort_values("fold")
            found.append(Folds(dataset, backbone, int(epochs), name, rows.loc[one.index]))
    return found


def by_reading(runs: pd.DataFrame, study: str = STUDY) -> dict[Key, Folds]:
    """The folds of each reading of Table 3, by data set, teacher, epochs and reading."""
    found = all_folds(runs, READING_OF, study)
    found.sort(key=lambda f: (MEDICAL_DATASETS.index(f.dataset), f.teacher, f.epochs))
    return {(f.dataset, f.teacher, f.epochs, f.reading): f for f in found}


class Change(NamedTuple):
    """The difference between two readings on the same images, in points."""

    mean: float
    low: float  # paired 95 % interval over images, for these trainings
    high: float
    fold_low: float  # paired 95 % t-interval over folds, which share their anomalous images
    fold_high: float

    @property
    def resolved(self) -> bool:
        """True if both intervals exclude 0.

        The first covers the sampling of images, the second retraining.
        """
        bounds = ((self.low, self.high), (self.fold_low, self.fold_high))
        return all(low > 0 or high < 0 for low, high in bounds)


def change(before: Folds | None, after: Folds | None) -> Change | None:
    """The difference between two readings in points, with its paired 95 % intervals.

    None if a reading is missing, or if some fold of the two was tested on different images.
    """
    if before is None or after is None or before.images() != after.images():
        return None
    a, b = fold_resamples(before.scores), fold_resamples(after.scores)
    over_folds = summary(after.aurocs - before.aurocs)
    points = (over_folds.mean, *percentiles(b - a), over_folds.low, over_folds.high)
    return Change(*(100 * x for x in points))


def columns_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Each reading of Table 3 and its printed column, by data set and teacher, in percent.

    ours: the mean of the folds' AUROCs.
    low, high: its 95 % interval over images.
    fold_low, fold_high: its 95 % t-interval over folds.
    overlap: whether either interval meets the printed one, which is approximated at the counts of
    the printed split. The intervals are wide, so overlap is weak evidence.
    collapsed: the number of folds far below the median of all (O10).
    counts: the epoch whose student is tested, averaged over folds.
    stopped: the number of folds whose training early stopping ended; NaN if it was off.
    one_low to five_high: see `predictions`.
    """
    found = by_reading(runs)
    lines = pd.DataFrame([_column_line(folds) for folds in found.values()])
    if lines.empty:
        return lines
    table = pd.concat([lines, predictions(found).reset_index(drop=True)], axis=1)
    places = [*MEDICAL_DATASETS, *READING_OF]
    by, at = ["dataset", "reading"], {name: place for place, name in enumerate(places)}
    return table.sort_values(by, key=lambda c: c.map(at), kind="stable", ignore_index=True)


def predictions(found: Mapping[Key, Folds]) -> pd.DataFrame:
    """95 % prediction intervals of image AUROC in percent, a line per reading.

    one_low, one_high: for one more fold with another seed and draw.
    five_low, five_high: for the mean of five such folds.

    All readings of a data set share its folds and one SD on the logit scale.
    """
    values = pd.DataFrame({key: pd.Series(folds.aurocs) for key, folds in found.items()}).T
    parts = []
    for _, part in values.groupby(level=0, sort=False):
        ahead = {
            name: prediction_intervals(part, more=more, together=True).add_prefix(f"{name}_")
            for name, more in {"one": 1, "five": FOLDS}.items()
        }
        parts.append(pd.concat(ahead.values(), axis=1))
    return 100 * pd.concat(parts).reindex(values.index)


def _column_line(folds: Folds) -> dict[str, Any]:
    printed = printed_columns(folds.dataset).set_index("column").loc[COLUMN_OF[folds.reading]]
    low, high = (100 * x for x in fold_interval(folds.scores))
    s = summary(100 * folds.aurocs)
    overlap = any(
        start <= printed["high"] and printed["low"] <= end
        for start, end in ((low, high), (s.low, s.high))
    )
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
        "collapsed": int(collapsed(100 * folds.aurocs).sum()),
        "counts": np.mean([best_epoch(h) for h in folds.rows["history"]]),
        "stopped": _stopped(folds.rows),
    }


def _stopped(rows: pd.DataFrame) -> float:
    """How many trainings early stopping ended before their last epoch; NaN if it was off."""
    ran = rows["history"].map(lambda history: len(history["epoch"]))
    return (
        float((ran < rows["epochs"]).sum()) if (rows["early_stopping"] != "none").all() else np.nan
    )


def readable_columns(table: pd.DataFrame) -> pd.DataFrame:
    """The result of `columns_table` as a table to read: fewer columns, and intervals as text."""
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
    ended = zip(table["stopped"], table["folds"], strict=True)
    texts["stopped early"] = [f"{n:.0f} of {m}" if n == n else "" for n, m in ended]
    texts["epoch that counts"] = [f"{n:.0f}" for n in table["counts"]]
    shown = table.assign(**texts, dataset=table["dataset"].map(title_of))
    names = ["dataset", "reading", "printed", "printed, 95 %", "teacher", "epochs"]
    names += ["epoch that counts", "stopped early", "folds", "ours", "over images", "over folds"]
    shown = shown[[*names, "collapsed", "overlap", "one more fold", "five folds anew"]]
    return shown.rename(columns={"dataset": "data"})


def steps_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Each printed step, how large noise may be, and our own step, in points.

    noise: the 95 % half-width of a difference between single splits with as many normal test images
    as the paper used, estimated from our rows (`split_noise`). Both columns are taken to use the
    same split, unless one of them is quoted from another paper.
    ours: the difference between the means of the folds, with its paired 95 % intervals over images
    and over folds. It is resolved if both exclude 0.
    """
    found, lines = by_reading(runs), []
    for dataset, teacher, epochs in dict.fromkeys(key[:3] for key in found):
        for before, after in STEPS:
            pair = [_beside(found, (dataset, teacher, epochs), name) for name in (before, after)]
            ours = change(*pair)
            if ours:
                head = {"data": title_of(dataset), "step": f"{before} to {after}"}
                lines.append(head | {"teacher": teacher} | _step(*pair, ours))
    return pd.DataFrame(lines)


def steps_verdict(steps: pd.DataFrame) -> str:
    """Sentences that say which printed steps are larger than noise, and by which teachers' rows.

    Every step is judged by itself, so some would be larger by chance.
    """
    if steps.empty:
        return ""
    larger, others = [], []
    for (data, step), lines in steps.groupby(["data", "step"], sort=False):
        by = [
            f"{x['teacher']}: {x['noise']:.1f}" for _, x in lines.iterrows() if x["print"] == LARGER
        ]
        name = f"{data}, {step} ({lines['printed'].iloc[0]:+.1f})"
        if by:
            count = lines["teacher"].nunique()
            larger.append(f"{name} by {len(by)} of {count} teachers ({', '.join(by)})")
        else:
            others.append(name)
    told = f"{LARGER}: {'; '.join(larger) or 'none'}. Not shown: {'; '.join(others) or 'none'}"
    judged = len(larger) + len(others)
    return (
        f"Of {judged} printed steps, in points, {told}. Each is judged at {100 * LEVEL:.0f} % by "
        f"itself: of so many steps that change nothing, about {(1 - LEVEL) * judged:.1f} would be "
        "larger by chance."
    )


def _beside(found: Mapping[Key, Folds], panel: tuple, reading: str) -> Folds | None:
    """The fold results for one reading; None if it was not run.

    panel: data set, teacher and epochs. MKD has its own teacher and epochs; take its result with
    the most folds, then the most epochs.
    """
    dataset, teacher, epochs = panel
    own = PRESETS[READING_OF[reading]["preset"]].get("backbone")
    if own is None:
        return found.get((dataset, teacher, epochs, reading))
    ran = [f for f in found.values() if (f.dataset, f.reading) == (dataset, reading)]
    return max(ran, key=lambda f: (len(f.rows), f.epochs), default=None)


def _step(before: Folds, after: Folds, ours: Change) -> dict[str, Any]:
    """The columns of a line of `steps_table` that describe the printed step and our own."""
    printed = printed_columns(before.dataset).set_index("column")["printed"]
    normal, _ = SPLITS[before.dataset]
    a, b = (split_resamples(folds.scores, normal) for folds in (before, after))
    noise = 100 * (split_noise(a, b) if before.reading in QUOTED else split_noise(b - a))
    difference = printed[after.reading] - printed[before.reading]
    return {
        "printed": difference,
        "noise": noise,
        "print": LARGER if abs(difference) > noise else "not shown",
        "ours": ours.mean,
        "over images": interval(ours.low, ours.high),
        "over folds": interval(ours.fold_low, ours.fold_high),
        "ours is": "resolved" if ours.resolved else "not resolved",
    }


def again_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Readings repeated with another seed and draw of folds, next to what was predicted.

    There is a line per reading of the study AGAIN_STUDY, in percent.

    inside: how many of its folds lie in the 95 % prediction interval of one more fold.
    mean inside: whether their mean lies in the interval for five folds; empty unless there are
    five.
    """
    stated, lines = by_reading(runs), []
    again = {k: f for k, f in by_reading(runs, AGAIN_STUDY).items() if k in stated}
    again = {k: f for k, f in again.items() if f.images() != stated[k].images()}
    bounds = predictions(stated) if again else None
    for key, folds in again.items():
        ahead, aurocs = bounds.loc[key], 100 * folds.aurocs
        line = {"data": title_of(folds.dataset), "reading": folds.reading}
        line |= {"teacher": folds.teacher, "ours": 100 * stated[key].aurocs.mean()}
        line |= {"one more fold": interval(ahead["one_low"], ahead["one_high"])}
        inside = (ahead["one_low"] <= aurocs) & (aurocs <= ahead["one_high"])
        line |= {"folds": len(aurocs), "inside": int(inside.sum())}
        line |= {"five folds anew": interval(ahead["five_low"], ahead["five_high"])}
        mean = aurocs.mean()
        met = "yes" if ahead["five_low"] <= mean <= ahead["five_high"] else "no"
        lines.append(line | {"mean": mean, "mean inside": met if len(aurocs) == FOLDS else ""})
    return pd.DataFrame(lines)


def again_verdict(table: pd.DataFrame) -> str:
    """A sentence that sums up `again_table`; empty if the table is."""
    if table.empty:
        return ""
    moved = (table["mean"] - table["ours"]).abs().max()
    return (
        f"By another seed and draw, {table['inside'].sum()} of {table['folds'].sum()} folds lie "
        f"inside the intervals of one more fold, and means move by up to {moved:.1f} points."
    )


def habits_table(runs: pd.DataFrame) -> pd.DataFrame:
    """The effect of each habit of the extension in points, with paired 95 % intervals.

    The effect is the difference from the reading that the habit changes, on the same folds. low,
    high: the interval over images. fold_low, fold_high: the interval over folds.
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
        line |= {"collapsed": int(collapsed(100 * changed.aurocs).sum())}
        lines.append(line | moved._asdict())
    return pd.DataFrame(lines)


def long_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Single folds trained for the epochs of the extension's code and for fewer, in percent.

    The fewer epochs are those of the other rows of this study.
    """
    base, lines = by_reading(runs), []
    for (dataset, teacher, epochs, reading), folds in by_reading(runs, LONG_STUDY).items():
        place = (dataset, teacher, reading)
        for usual in (f for k, f in base.items() if (k[0], k[1], k[3]) == place):
            on = ["fold", "data_seed"]  # the same images
            both = folds.rows.merge(usual.rows, on=on, suffixes=("", "_short"))
            for _, row in both.iterrows():
                line = {"data": title_of(dataset), "reading": reading}
                line |= {"teacher": teacher, "fold": int(row["fold"])}
                for name, n, end in (("", usual.epochs, "_short"), (", long", epochs, "")):
                    line[f"epochs{name}"] = n
                    line[f"ours{name}"] = 100 * row[f"image_auroc{end}"]
                    line[f"minutes{name}"] = row[f"cost.train_seconds{end}"] / 60
                lines.append(line)
    return pd.DataFrame(lines)


def habit_deviations(runs: pd.DataFrame) -> pd.DataFrame:
    """The effects of habits in the form of `deviations.effects`, with intervals over folds."""
    lines = []
    for _, line in habits_table(runs).iterrows():
        data = f"{line['dataset']}, {line['teacher']}, {line['epochs']} epochs, "
        found = {k: line[k] for k in ("entry", "switch", "base", "mean")}
        found |= {"low": line["fold_low"], "high": line["fold_high"]}
        found |= {"data": f"{data}{line['folds']} folds", "metric": "image_auroc", "seeds": 1}
        lines.append(found)
    return pd.DataFrame(lines)
