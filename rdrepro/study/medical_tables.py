"""The extension's Table 3 from result rows: its columns, the steps between them, and its habits.

A step is the difference between two columns. The module `medical_rows` says what a reading and a
habit are, and which rows form one result.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from rdrepro.config import RunConfig
from rdrepro.presets import PRESETS
from rdrepro.registry import FOLDED, FOLDS, title_of
from rdrepro.study.folds import (
    fold_interval,
    split_noise,
    split_resamples,
)
from rdrepro.study.formats import interval
from rdrepro.study.medical import HABITS, READINGS, best_epoch, printed_columns
from rdrepro.study.medical_rows import (
    AGAIN_STUDY,
    HABITS_STUDY,
    LONG_STUDY,
    MEDICAL_DATASETS,
    PRINTED_BN,
    READING_OF,
    STUDY,
    Change,
    Folds,
    Key,
    all_folds,
    by_reading,
    change,
    counterpart,
    earlier_split,
    in_order,
    main_results,
    usual_split,
)
from rdrepro.study.memo import remembered
from rdrepro.study.printed import SPLITS
from rdrepro.study.stats import collapsed, prediction_intervals, summary, welch
from rdrepro.study.tiers import PRINTED_PROTOCOL, REDUCED
from rdrepro.study.wording import network

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
HABIT_OF = {name: how for name, (_, _, how) in HABITS.items()}
STUDIES = (STUDY, AGAIN_STUDY, HABITS_STUDY, LONG_STUDY)
POOLED = ("dataset", "teacher_bn", "split")  # readings that agree in these have one SD


@remembered
def columns_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Each reading of Table 3 and its printed column, by data set and teacher, in percent.

    Within a column, runs of the printed protocol come first, and within a reading the printed mode
    of the teacher's batch norms.

    tier: whether the runs follow the printed protocol.
    split, folds: the split, and how many of its folds or draws ran; runs: with how many trainings.
    ours: the mean of the runs' AUROCs.
    low, high: its 95 % interval over images.
    fold_low, fold_high: its 95 % t-interval over folds. Draws have none, since they share images.
    overlap: whether either interval meets that of the printed value, `auroc_interval` at the counts
    of the printed split; "incomplete (3/5)" where folds are missing, and empty where the printed
    value has no interval. The intervals are wide, so overlap is weak evidence.
    collapsed: the number of runs far below the median of all (O10).
    counts: the epoch whose student is tested, averaged over runs.
    stopped: the number of runs whose training early stopping ended; NaN if it was off.
    one_low to five_high: see `predictions`; NaN without folds.
    """
    found = main_results(runs)
    lines = pd.DataFrame([_column_line(folds) for folds in found.values()])
    if lines.empty:
        return lines
    ahead = predictions({key: folds for key, folds in found.items() if folds.folded})
    table = pd.concat([lines, ahead.reindex(list(found)).reset_index(drop=True)], axis=1)
    by, readings = ["dataset", "column", "tier", "reading"], [*READINGS, *READING_OF]
    tiers = [PRINTED_PROTOCOL, REDUCED]
    place = {n: i for i, n in enumerate([*MEDICAL_DATASETS, *tiers, *dict.fromkeys(readings)])}
    return table.sort_values(
        by, key=lambda c: c.map(place).fillna(len(place)), kind="stable", ignore_index=True
    )


def predictions(found: Mapping[Key, Folds]) -> pd.DataFrame:
    """95 % prediction intervals of image AUROC in percent, a line per reading.

    one_low, one_high: for one more fold with another seed and draw.
    five_low, five_high: for the mean of five such folds.

    All readings of a data set with one mode of batch norms share its folds and one SD on the logit
    scale.
    """
    names = ["one_low", "one_high", "five_low", "five_high"]
    if not found:
        return pd.DataFrame(columns=names, dtype=float)
    values = pd.DataFrame({key: pd.Series(folds.aurocs) for key, folds in found.items()}).T
    parts = []
    for _, part in values.groupby(level=[Key._fields.index(n) for n in POOLED], sort=False):
        ahead = {
            name: prediction_intervals(part, more=more, together=True).add_prefix(f"{name}_")
            for name, more in {"one": 1, "five": FOLDS}.items()
        }
        parts.append(pd.concat(ahead.values(), axis=1))
    return 100 * pd.concat(parts).reindex(values.index)


def _column_line(folds: Folds) -> dict[str, Any]:
    printed = printed_columns(folds.dataset).set_index("column").loc[folds.column]
    low, high = (100 * x for x in fold_interval(folds.scores))
    s = summary(100 * folds.aurocs)
    missing = FOLDS - folds.divisions if folds.folded else 0
    incomplete = f"incomplete ({folds.divisions}/{FOLDS})"
    over_folds = (s.low, s.high) if folds.folded and not missing else (np.nan, np.nan)
    return {
        "dataset": folds.dataset,
        "column": folds.column,
        "reading": folds.reading,
        "printed": printed["printed"],
        "printed_low": printed["low"],
        "printed_high": printed["high"],
        "teacher": folds.teacher,
        "batch norms": folds.batch_norms,
        "epochs": folds.epochs,
        "tier": PRINTED_PROTOCOL if folds.printed_protocol else REDUCED,
        "split": folds.split,
        "folds": folds.divisions,
        "runs": s.n,
        "ours": s.mean,
        "low": low,
        "high": high,
        "fold_low": over_folds[0],
        "fold_high": over_folds[1],
        "overlap": _overlap(printed, (low, high), over_folds) if not missing else incomplete,
        "collapsed": int(collapsed(100 * folds.aurocs).sum()),
        "counts": np.mean([best_epoch(h) for h in folds.rows["history"]]),
        "stopped": _stopped(folds.rows),
    }


def _overlap(printed: pd.Series, *ours: tuple[float, float]) -> str:
    """Whether any of our intervals meets the printed one; empty where there is no printed one."""
    if np.isnan(printed["low"]):
        return ""
    met = any(low <= printed["high"] and printed["low"] <= high for low, high in ours)
    return "overlaps" if met else "does not overlap"


def _stopped(rows: pd.DataFrame) -> float:
    """How many trainings early stopping ended before their last epoch; NaN if it was off."""
    ran = rows["history"].map(lambda history: len(history["epoch"]))
    return (
        float((ran < rows["epochs"]).sum()) if (rows["early_stopping"] != "none").all() else np.nan
    )


def readable_columns(table: pd.DataFrame) -> pd.DataFrame:
    """The result of `columns_table` as a table to read: fewer columns, and intervals as text.

    It has all lines in the same order, so that those of the printed protocol are never missing.
    """
    if table.empty:
        return table
    pairs = {
        "printed, 95 %": ("printed_low", "printed_high"),
        "over images": ("low", "high"),
        "over folds": ("fold_low", "fold_high"),
        "one more fold": ("one_low", "one_high"),
        "five more folds": ("five_low", "five_high"),
    }
    texts = {
        name: [interval(*x) for x in table[list(ends)].to_numpy(float)]
        for name, ends in pairs.items()
    }
    ended = zip(table["stopped"], table["runs"], strict=True)
    texts["stopped early"] = [f"{n:.0f} of {m}" if n == n else "" for n, m in ended]
    texts["tested epoch"] = [f"{n:.0f}" for n in table["counts"]]
    texts["split"] = [_split_text(*x) for x in table[["split", "folds", "runs"]].to_numpy()]
    shown = table.assign(
        **texts, dataset=table["dataset"].map(title_of), teacher=table["teacher"].map(network)
    )
    names = ["dataset", "reading", "printed", "printed, 95 %", "tier", "teacher", "batch norms"]
    names += ["epochs", "split", "tested epoch", "stopped early", "ours", "over images"]
    shown = shown[
        [*names, "over folds", "collapsed", "overlap", "one more fold", "five more folds"]
    ]
    return shown.rename(columns={"dataset": "data"})


def one_line_each(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of `columns_table` that a figure draws: one per data set, reading and series.

    A new column `series` names the teacher and, where it is the printed one, the mode of its batch
    norms. The printed protocol counts before others. Then the usual splits come before the earlier
    one and, in reduced protocols, usual folds before draws, which test few normal images. Then
    the most runs count, then the most epochs.
    """
    if table.empty:
        return table
    moving = table["batch norms"] == PRINTED_BN
    teachers = table["teacher"].map(network)
    series = teachers.where(~moving, teachers + f", batch norms: {PRINTED_BN}")
    table = table.assign(series=series)
    ranks = pd.DataFrame([_rank(line) for _, line in table.iterrows()], index=table.index)
    ranked = table.loc[ranks.sort_values(list(ranks), kind="stable").index]
    chosen = ranked.drop_duplicates(["dataset", "reading", "series"], keep="last").index
    return table[table.index.isin(chosen)]


def _rank(line: pd.Series) -> tuple:
    """The place of a line among those of its series, the highest for the one that is drawn."""
    printed, where = line["tier"] == PRINTED_PROTOCOL, (line["dataset"], line["split"])
    folds = usual_split(*where) and not printed
    return printed, not earlier_split(*where), folds, line["runs"], line["epochs"]


def _split_text(split: str, folds: int, runs: int) -> str:
    """A split and how much of it ran, such as "blocks, 5 folds" or "report, 2 draws, 6 runs"."""
    if split in FOLDED:
        some = f"{folds} of {FOLDS}" if folds < FOLDS else f"{FOLDS}"
        return f"{split}, {some} folds"
    parts = [split, f"{folds} draw{'s' * (folds > 1)}"] if folds else [split]
    return ", ".join(parts if runs in (0, folds) else [*parts, f"{runs} run{'s' * (runs > 1)}"])


def steps_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Each printed step, how large noise may be, and our own step, in points.

    printed step: the difference between the two printed values.
    noise: the 95 % half-width of a difference between single splits with as many normal test images
    as the paper used, estimated from our rows (`split_noise`). Both columns are taken to use the
    same split, unless one of them is quoted from another paper.
    batch norms: the mode of the teacher's in both columns, the printed one first.
    our step: the difference between the means of our folds, with its paired 95 % intervals over
    images and over folds. It is resolved if both exclude 0.
    """
    found, lines = by_reading(runs), []
    for panel in dict.fromkeys(key[:-1] for key in found):
        for before, after in STEPS:
            pair = [_beside(found, panel, name) for name in (before, after)]
            ours = change(*pair)
            if ours:
                head = {"data": title_of(pair[1].dataset), "step": f"{before} to {after}"}
                head |= {"teacher": network(pair[1].teacher), "batch norms": pair[1].batch_norms}
                lines.append(head | _step(*pair, ours))
    return pd.DataFrame(lines)


def _beside(found: Mapping[Key, Folds], panel: tuple, reading: str) -> Folds | None:
    """The fold results for one reading; None if it was not run.

    panel: what a key holds before the reading. MKD has its own teacher and epochs, and no batch
    norms; take its result with the most folds, then the most epochs.
    """
    own = PRESETS[READING_OF[reading]["preset"]].get("backbone")
    if own is None:
        return found.get((*panel, reading))
    ran = [f for f in found.values() if (f.dataset, f.reading) == (panel[0], reading)]
    return max(ran, key=lambda f: (len(f.rows), f.epochs), default=None)


def _step(before: Folds, after: Folds, ours: Change) -> dict[str, Any]:
    """The columns of a line of `steps_table` that describe the printed step and our own."""
    printed = printed_columns(before.dataset).set_index("column")["printed"]
    normal, _ = SPLITS[before.dataset]
    a, b = (split_resamples(folds.scores, normal) for folds in (before, after))
    noise = 100 * (split_noise(a, b) if before.reading in QUOTED else split_noise(b - a))
    difference = printed[after.reading] - printed[before.reading]
    return {
        "printed step": difference,
        "noise": noise,
        "printed step is": LARGER if abs(difference) > noise else "not shown",
        "our step": ours.mean,
        "over images": interval(ours.low, ours.high),
        "over folds": interval(ours.fold_low, ours.fold_high),
        "our step is": "resolved" if ours.resolved else "not resolved",
    }


def again_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Readings repeated with another seed and draw of folds, next to what was predicted.

    There is a line per reading of the study AGAIN_STUDY, in percent.

    first mean, new mean: the means of the folds that made the prediction, and of the new ones.
    inside: how many of the new folds lie in the 95 % prediction interval of one more fold.
    mean inside: whether their mean lies in the interval for five more folds; empty unless there are
    five.
    """
    first = by_reading(runs)
    again = {k: f for k, f in by_reading(runs, AGAIN_STUDY).items() if k in first}
    again = {k: f for k, f in again.items() if f.images() != first[k].images()}
    bounds = predictions(first) if again else pd.DataFrame()
    lines = [_again_line(first[key], folds, bounds.loc[key]) for key, folds in again.items()]
    return pd.DataFrame(lines)


def _again_line(first: Folds, again: Folds, ahead: pd.Series) -> dict[str, Any]:
    aurocs = 100 * again.aurocs
    inside = (ahead["one_low"] <= aurocs) & (aurocs <= ahead["one_high"])
    met = "yes" if ahead["five_low"] <= aurocs.mean() <= ahead["five_high"] else "no"
    return {
        "data": title_of(again.dataset),
        "reading": again.reading,
        "teacher": network(again.teacher),
        "batch norms": again.batch_norms,
        "first mean": 100 * first.aurocs.mean(),
        "one more fold": interval(ahead["one_low"], ahead["one_high"]),
        "new folds": len(aurocs),
        "inside": int(inside.sum()),
        "five more folds": interval(ahead["five_low"], ahead["five_high"]),
        "new mean": aurocs.mean(),
        "mean inside": met if len(aurocs) == FOLDS else "",
    }


@remembered
def habits_table(runs: pd.DataFrame) -> pd.DataFrame:
    """The effect of each habit of the extension in points, with paired 95 % intervals.

    The effect is the difference from the reading that the habit changes, on the same folds. low,
    high: the interval over images. fold_low, fold_high: the interval over folds.
    """
    base, lines = by_reading(runs), []
    for changed in all_folds(runs, HABIT_OF, HABITS_STUDY):
        reading, entry, how = HABITS[changed.reading]
        mode = RunConfig.teacher_bn if "teacher_bn" in how else changed.teacher_bn
        usual = base.get(changed.key._replace(teacher_bn=mode, reading=reading))
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
    for key, folds in by_reading(runs, LONG_STUDY).items():
        for usual in (f for k, f in base.items() if k._replace(epochs=key.epochs) == key):
            on = ["fold", "data_seed"]  # the same images
            both = folds.rows.merge(usual.rows, on=on, suffixes=("", "_short"))
            for _, row in both.iterrows():
                line = {"data": title_of(key.dataset), "reading": key.reading}
                line |= {"teacher": network(key.teacher), "batch norms": folds.batch_norms}
                line |= {"fold": int(row["fold"])}
                ends = ("", usual.epochs, "_short"), (", long", key.epochs, "")
                for name, epochs, end in ends:
                    line[f"epochs{name}"] = epochs
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


def earlier_split_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Head CT by the earlier, random split and by its usual one, image AUROC in percent.

    split="kfold" divides Head CT's images at random, so that neighbouring files, which often show
    one head, are on both sides; split="blocks", the usual one, keeps runs of consecutive numbers
    together. Neither can separate patients: no file of Head CT or Brain MRI names one.

    There is a line per reading of each study that has rows of the earlier split.

    study: the study that the rows belong to.
    random split, split by number: the means over folds, "kfold" and "blocks". The second is of
    `counterpart`, in any study; it is empty until it ran.
    change: split by number minus random split, in points.
    over folds: its 95 % interval (`welch`). The folds differ, so nothing is paired.
    """
    if runs.empty:
        return pd.DataFrame()
    lines = []
    for study in dict.fromkeys([*STUDIES, *runs["study"]]):
        for folds in _earlier_results(runs, study):
            lines.append(_earlier_line(study, folds, counterpart(runs, folds, study)))
    return pd.DataFrame(lines)


def _earlier_results(runs: pd.DataFrame, study: str) -> list[Folds]:
    """The results of a study's rows of the earlier split; those of habits as habits."""
    habits = HABIT_OF if study == HABITS_STUDY else {}
    found = in_order(all_folds(runs, READING_OF | habits, study, earlier_split)).values()
    # Rows of a habit may be those of a reading as well; the habit counts, as it comes last.
    return list({tuple(folds.rows.index): folds for folds in found}.values())


def _earlier_line(study: str, earlier: Folds, usual: Folds | None) -> dict[str, Any]:
    printed = printed_columns(earlier.dataset).set_index("column")["printed"].get(earlier.column)
    before = 100 * earlier.aurocs
    after = 100 * usual.aurocs if usual else np.array([])
    low, high = welch(before, after)
    mean = after.mean() if len(after) else np.nan
    return {
        "data": title_of(earlier.dataset),
        "study": study,
        "reading": earlier.reading,
        "printed": np.nan if printed is None else printed,
        "teacher": network(earlier.teacher),
        "batch norms": earlier.batch_norms,
        "epochs": earlier.epochs,
        "random folds": len(before),
        "random split": before.mean(),
        "numbered folds": len(after),
        "split by number": mean,
        "change": mean - before.mean(),
        "over folds": interval(low, high),
    }
