"""Notebook 12: the extension's medical images."""

from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from rdrepro.registry import (
    MEDICAL,
    of_family,
)
from rdrepro.study import figures
from rdrepro.study import medical_tables as medical
from rdrepro.study.formats import interval, save_table
from rdrepro.study.glossary import TABLES
from rdrepro.study.html_tables import html_table
from rdrepro.study.medical_rows import PRINTED_BN
from rdrepro.study.report.columns import said_once
from rdrepro.study.tables import title_of
from rdrepro.study.wording import network

NO_MEDICAL = "Left out, because no run on medical images is here."
SETTINGS = ("tier", "batch norms", "epochs", "collapsed")  # named once where all lines agree
# The studies of the rows of the random split, in words.
STUDIES = {
    medical.STUDY: "main table",
    medical.AGAIN_STUDY: "other seed",
    medical.HABITS_STUDY: "habits",
    medical.LONG_STUDY: "long training",
}


def columns_in_short(columns: pd.DataFrame) -> HTML:
    """The result of `short_table` for display. columns: the result of `columns_table`."""
    caption = f"{TABLES['medical_columns']} In brackets: 95 % intervals; ours are over images."
    return html_table(short_table(columns), caption, prose=True)


def short_table(columns: pd.DataFrame) -> pd.DataFrame:
    """Each reading of Table 3 in a line: the printed value, and ours in a column per teacher.

    columns: the result of `columns_table`. `medical_tables.one_line_each` says which result counts
    where a teacher has several. Cells are percent with 95 % intervals; ours are over images.
    overlaps: how many of our results overlap the printed interval, and of how many.
    """
    if columns.empty:
        return columns
    table = medical.one_line_each(columns)
    names = [_reading(*x) for x in table[["reading", "batch norms"]].to_numpy()]
    table = table.assign(reading=names, teacher=table["teacher"].map(network))
    groups = table.groupby(["dataset", "reading"], sort=False)
    teachers = list(dict.fromkeys(table["teacher"]))
    return pd.DataFrame([_short_line(*name, lines, teachers) for name, lines in groups])


def _reading(reading: str, batch_norms: str) -> str:
    """The name of a reading; moving batch norms of the teacher are named."""
    moving = batch_norms == PRINTED_BN
    return f"{reading} (batch norms: {PRINTED_BN})" if moving else reading


def _short_line(
    dataset: str, reading: str, lines: pd.DataFrame, teachers: list[str]
) -> dict[str, str]:
    first, said = lines.iloc[0], lines["overlap"]
    met, missed = (int(said.eq(word).sum()) for word in ("overlaps", "does not overlap"))
    printed = _with_interval(first["printed"], first["printed_low"], first["printed_high"])
    line = {"data": title_of(dataset), "reading": reading, "printed": printed}
    ours = lines.set_index("teacher")[["ours", "low", "high"]]
    line |= {t: _with_interval(*ours.loc[t]) if t in ours.index else "" for t in teachers}
    return line | {"overlaps": f"{met} of {met + missed}" if met + missed else ""}


def _with_interval(value: float, low: float, high: float) -> str:
    return f"{value:.1f} {interval(low, high)}".strip()


def full_columns(columns: pd.DataFrame) -> pd.DataFrame:
    """The result of `readable_columns` with `delta`, ours minus printed, in points.

    columns: the result of `columns_table`.
    """
    table = medical.readable_columns(columns)
    if len(table):
        place = table.columns.get_loc("ours") + 1
        table.insert(place, "delta", table["ours"] - table["printed"])
    return table


def below_in_words(columns: pd.DataFrame) -> str:
    """How many results lie below the printed value, and how far; empty if there are none.

    columns: the result of `columns_table`.
    """
    if columns.empty:
        return ""
    gaps = (columns["ours"] - columns["printed"]).dropna()
    if gaps.empty:
        return ""
    widest = gaps.loc[gaps.abs().idxmax()]
    return (
        f"{(gaps < 0).sum()} of our {len(gaps)} results lie below the printed value. The median "
        f"difference is {gaps.median():+.1f} points, and the largest is {widest:+.1f} points."
    )


def columns_in_full(columns: pd.DataFrame) -> HTML:
    """All that is known of each result of Table 3, folded. columns: that of `columns_table`."""
    table = _signed(full_columns(columns), "delta")
    return _shown(table, TABLES["medical_columns"], fold="Every result in full")


def steps_shown(steps: pd.DataFrame) -> HTML:
    """The printed and our own steps. steps: the result of `steps_table`."""
    return _shown(_signed(steps, "printed step", "our step"), TABLES["medical_steps"])


def _signed(table: pd.DataFrame, *names: str) -> pd.DataFrame:
    """A table whose columns of these names are differences, as text with a sign."""
    if table.empty:
        return table
    texts = {name: [f"{x:+.1f}" if x == x else "" for x in table[name]] for name in names}
    return table.assign(**texts)


def again_shown(again: pd.DataFrame) -> HTML:
    """Other seeds and folds beside their prediction. again: the result of `again_table`."""
    return _shown(again, TABLES["medical_again"], "new folds", fold="Every repetition")


def habits_shown(habits: pd.DataFrame) -> HTML:
    """What each habit changes, in points. habits: the result of `habits_table`."""
    return _shown(readable_habits(habits), TABLES["medical_habits"], "teacher", "folds")


def readable_habits(habits: pd.DataFrame) -> pd.DataFrame:
    """The result of `habits_table` with names to read, and intervals as text."""
    if habits.empty:
        return habits
    texts = {
        name: [interval(*x) for x in habits[list(ends)].to_numpy(float)]
        for name, ends in {
            "over images": ("low", "high"),
            "over folds": ("fold_low", "fold_high"),
        }.items()
    }
    names = {"dataset": "data", "mean": "change", "against": "compared with", "base": "its mean"}
    table = habits.assign(
        **texts,
        dataset=habits["dataset"].map(title_of),
        teacher=habits["teacher"].map(network),
    ).rename(columns=names)
    shown = ["entry", "habit", "switch", "data", "compared with", "its mean", "change"]
    shown += ["over images", "over folds", "teacher", "epochs", "folds", "collapsed"]
    return _signed(table[shown], "change")


def long_shown(long: pd.DataFrame) -> HTML:
    """One fold at both numbers of epochs, without the minutes. long: that of `long_table`."""
    table = long.drop(columns=["minutes", "minutes, long"], errors="ignore")
    names = {"epochs": "epochs (short)", "ours": "ours (short)"}
    names |= {"epochs, long": "epochs (long)", "ours, long": "ours (long)"}
    table = table.rename(columns=names)
    return _shown(table, TABLES["medical_long"], "fold", "epochs (short)")


def earlier_shown(earlier: pd.DataFrame) -> HTML:
    """Head CT by both splits. earlier: the result of `earlier_split_table`."""
    if len(earlier):
        earlier = _signed(earlier.assign(study=earlier["study"].replace(STUDIES)), "change")
    return _shown(earlier, TABLES["medical_earlier"], "data", fold="Every result by both splits")


def _shown(table: pd.DataFrame, caption: str, *alike: str, fold: str = "") -> HTML:
    """A table for display, with settings on which all lines agree named in the caption.

    fold: the line behind which the table is hidden until a click; empty to show it.
    """
    table, note = said_once(table, (*alike, *SETTINGS))
    caption = f"{caption} In {note}." if note else caption
    line = f"{fold}: {len(table)} lines" if fold else False
    return html_table(table, caption, prose=True, fold=line)


def save_tables(
    columns: pd.DataFrame,
    steps: pd.DataFrame,
    again: pd.DataFrame,
    habits: pd.DataFrame,
    long: pd.DataFrame,
    earlier: pd.DataFrame,
    folder: Path,
) -> None:
    """Save the tables of this notebook that have lines, with all columns."""
    tables = {
        "medical_columns": full_columns(columns),
        "medical_steps": steps,
        "medical_again": again,
        "medical_habits": readable_habits(habits),
        "medical_long": long,
        "medical_earlier": earlier,
    }
    for name, table in tables.items():
        if len(table):
            save_table(table, name, folder)


def medical_misses(runs: pd.DataFrame) -> pd.DataFrame:
    """The readings of the extension's Table 3 whose intervals both miss the printed interval."""
    table = medical.readable_columns(medical.columns_table(runs))
    if table.empty:
        return table
    names = ["data", "reading", "printed", "printed, 95 %", "tier", "teacher", "batch norms"]
    names += ["epochs", "split", "ours"]
    missed = table[table["overlap"] == "does not overlap"]
    return missed[[*names, "over images", "over folds"]].reset_index(drop=True)


def medical_columns(columns: pd.DataFrame) -> Figure | str:
    """Draw the extension's Table 3 with a panel per data set: printed values and our teachers'.

    columns: the result of `columns_table`. `medical_tables.one_line_each` says which line is drawn
    where a teacher has several.
    """
    table = medical.one_line_each(columns)
    if table.empty:
        return NO_MEDICAL
    panels, teachers, readings = (
        list(dict.fromkeys(table[name])) for name in ("dataset", "series", "reading")
    )
    figure, axes = figures.new_figure(1, len(panels), size=(3.45, 3.4))
    for ax, dataset in zip(np.ravel(axes), panels, strict=True):
        part = table[table["dataset"] == dataset]
        part = part.assign(teacher=part["series"])
        figures.plot_columns(ax, part, title_of(dataset), teachers, readings)
    figures.share_limits(axes, "x")
    figures.outer_labels(np.atleast_2d(axes))
    figures.legend_once(figure)
    return figure


def medical_stopping(runs: pd.DataFrame) -> Figure | str:
    """Draw the loss L_MKD of one fold with and without early stopping (the extension's Fig. 7)."""
    readings = {n: medical.READING_OF[n] for n in ("Ours+L_MKD", "Ours+L_MKD, ES")}
    found = medical.all_folds(runs, readings, medical.STUDY)
    if not found:
        return NO_MEDICAL
    found.sort(key=lambda f: (f.teacher, of_family(MEDICAL).index(f.dataset), f.epochs))
    panels = list(dict.fromkeys((f.teacher, f.dataset, f.epochs, f.teacher_bn) for f in found))
    lines = -(-len(panels) // 2)
    figure, axes = figures.new_figure(lines, min(2, len(panels)), size=(3.45, 2))
    for ax, panel in zip(np.ravel(axes), panels, strict=False):
        teacher, dataset, epochs, batch_norms = panel
        title = f"{title_of(dataset)}, {network(teacher)}, {epochs} epochs"
        title += ", batch norms train" if batch_norms == "train" else ""
        for folds in found:
            if (folds.teacher, folds.dataset, folds.epochs, folds.teacher_bn) != panel:
                continue
            figures.plot_stopping(ax, folds.rows.iloc[0]["history"], folds.reading, title)
    for teacher in dict.fromkeys(panel[0] for panel in panels):
        own = [ax for ax, panel in zip(np.ravel(axes), panels, strict=False) if panel[0] == teacher]
        figures.share_limits(own, "y")
    figures.hide_unused(axes)
    return figure
