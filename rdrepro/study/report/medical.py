"""Notebook 12: the extension's medical images."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

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
from rdrepro.study.html_tables import html_table
from rdrepro.study.tables import title_of

if TYPE_CHECKING:
    pass


NO_MEDICAL = "Left out: no row on medical images."


def medical_tables(runs: pd.DataFrame, folder: Path) -> Iterator[HTML]:
    """Save and yield tables of the columns, steps and habits of the extension's Table 3.

    The module `study.medical_tables` explains these terms.
    """
    habits = medical.habits_table(runs)
    if len(habits):
        for name, start in {"over images": "", "over folds": "fold_"}.items():
            ends = habits[[f"{start}low", f"{start}high"]].to_numpy(float)
            habits = habits.assign(**{name: [interval(*x) for x in ends]})
        habits = habits.drop(columns=["low", "high", "fold_low", "fold_high"])
        habits = habits.rename(columns={"mean": "change"})
    columns = medical.readable_columns(medical.columns_table(runs))
    named = {
        "medical_columns": ("every reading of a column and its printed value, percent", columns),
        "medical_again": (
            "other seeds and folds beside what was predicted, percent",
            medical.again_table(runs),
        ),
        "medical_steps": (
            "what one column adds to another, in points",
            medical.steps_table(runs),
        ),
        "medical_habits": (
            "what each habit of the extension changes, in points of image AUROC",
            habits,
        ),
        "medical_long": (
            "one fold at the epochs that its code runs, MKD's that MKD's does, percent",
            medical.long_table(runs),
        ),
    }
    for name, (what, table) in named.items():
        if len(table):
            save_table(table, name, folder)
        yield html_table(table, f"<b>Table 3 of the extension in full</b>: {what}", prose=True)


def medical_misses(runs: pd.DataFrame) -> pd.DataFrame:
    """The readings of the extension's Table 3 whose intervals both miss the printed interval."""
    table = medical.readable_columns(medical.columns_table(runs))
    if table.empty:
        return table
    names = ["data", "reading", "printed", "printed, 95 %", "tier", "teacher", "batch norms"]
    names += ["epochs", "split", "ours"]
    missed = table[table["overlap"] == "does not overlap"]
    return missed[[*names, "over images", "over folds"]].reset_index(drop=True)


def medical_columns(runs: pd.DataFrame) -> Figure | str:
    """Draw the extension's Table 3 with a panel per data set: printed values and our teachers'.

    `medical_tables.one_line_each` says which line is drawn where a teacher has several.
    """
    table = medical.one_line_each(medical.columns_table(runs))
    if table.empty:
        return NO_MEDICAL
    panels, teachers = (list(dict.fromkeys(table[name])) for name in ("dataset", "series"))
    figure, axes = figures.new_figure(1, len(panels), size=(6.4, 5.4))
    for ax, dataset in zip(np.ravel(axes), panels, strict=True):
        part = table[table["dataset"] == dataset]
        part = part.assign(teacher=part["series"])
        figures.plot_columns(ax, part, title_of(dataset), teachers)
    figures.share_limits(axes, "x")
    handles, labels = np.ravel(axes)[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def medical_stopping(runs: pd.DataFrame) -> Figure | str:
    """Draw the loss L_MKD of one fold with and without early stopping (the extension's Fig. 7)."""
    readings = {n: medical.READING_OF[n] for n in ("Ours+L_MKD", "Ours+L_MKD, ES")}
    found = medical.all_folds(runs, readings, medical.STUDY)
    if not found:
        return NO_MEDICAL
    found.sort(key=lambda f: (f.teacher, of_family(MEDICAL).index(f.dataset), f.epochs))
    panels = list(dict.fromkeys((f.teacher, f.dataset, f.epochs, f.teacher_bn) for f in found))
    figure, axes = figures.new_figure(1, len(panels), size=(4.2, 4.2))
    for ax, panel in zip(np.ravel(axes), panels, strict=True):
        teacher, dataset, epochs, batch_norms = panel
        title = f"{title_of(dataset)}, {teacher}, {epochs} epochs"
        title += ", batch norms train" if batch_norms == "train" else ""
        for folds in found:
            if (folds.teacher, folds.dataset, folds.epochs, folds.teacher_bn) != panel:
                continue
            figures.plot_stopping(ax, folds.rows.iloc[0]["history"], folds.reading, title)
    for teacher in dict.fromkeys(panel[0] for panel in panels):
        own = [ax for ax, panel in zip(np.ravel(axes), panels, strict=True) if panel[0] == teacher]
        figures.share_limits(own, "y")
    return figure
