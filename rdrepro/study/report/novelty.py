"""Notebook 11: one-class novelty detection (Table 4)."""

from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from rdrepro.study import figures
from rdrepro.study.formats import save_table
from rdrepro.study.glossary import TABLES
from rdrepro.study.html_tables import html_table
from rdrepro.study.novelty import (
    CURVES_STUDY,
    clean_rows,
    predictions_table,
    protocols,
    with_texts,
)
from rdrepro.study.novelty_choice import grid_table
from rdrepro.study.report.columns import said_once
from rdrepro.study.tables import title_of

NO_NOVELTY = "Left out, because no run of novelty detection is here."


def readable(averages: pd.DataFrame) -> pd.DataFrame:
    """The result of `novelty.averages` with intervals as text, to one decimal.

    The interval over images is of the newest seed alone, which its name says.
    """
    texts = with_texts(averages, digits=1)
    return texts.rename(columns={"over images": "over images, newest seed"})


def averages_shown(averages: pd.DataFrame) -> HTML:
    """The averages over classes for display, to one decimal and in the order of the data sets.

    The printed values are left out, because the printed table stands above.

    averages: the result of `novelty.averages`.
    """
    if averages.empty:
        return html_table(averages, TABLES["novelty"])
    order = list(dict.fromkeys(averages["data"]))
    texts = readable(averages)
    rows = texts.sort_values("data", key=lambda c: c.map(order.index), kind="stable")
    rows = rows.drop(columns=["remark", "steps", "printed", "delta"]).reset_index(drop=True)
    shown, note = said_once(rows, ["backbone", "classes"])
    return html_table(shown, with_note("novelty", note), prose=True)


def classes_shown(runs: pd.DataFrame, preset: str = "novelty_official") -> HTML:
    """The image AUROC of each class with a preset for display, to one decimal."""
    table = predictions_table(runs, preset, digits=1)
    return html_table(
        table, TABLES["novelty_classes"], prose=True, fold=f"Every class: {len(table)} lines"
    )


def grid_shown(runs: pd.DataFrame) -> HTML:
    """What each switch changes on validation images for display."""
    return html_table(grid_table(runs), TABLES["novelty_grid"], prose=True, digits=2)


def save_tables(runs: pd.DataFrame, averages: pd.DataFrame, folder: Path) -> None:
    """Save the tables of this notebook that have lines, with all columns.

    averages: the result of `novelty.averages`.
    """
    tables = {
        "novelty": readable(averages),
        "novelty_classes": predictions_table(runs, digits=1),
        "novelty_grid": grid_table(runs),
    }
    for name, table in tables.items():
        if len(table):
            save_table(table, name, folder)


def with_note(name: str, note: str) -> str:
    """The caption of a table, with a note on what all its lines share."""
    return f"{TABLES[name]} In {note}." if note else TABLES[name]


def novelty_classes(runs: pd.DataFrame) -> Figure | str:
    """Draw the image AUROC of each class, a panel per data set and a colour per protocol."""
    panels: dict[str, dict[str, pd.Series]] = {}
    for group in protocols(runs):
        first, aurocs = group.iloc[-1], group.sort_values("normal_class")
        label = f"{first['provenance.preset']}, {first['image_size']} px, {first['epochs']} epochs"
        panel = panels.setdefault(title_of(first["dataset"]), {})
        panel[label] = aurocs.set_index("category")["image_auroc"]
    if not panels:
        return NO_NOVELTY
    figure, axes = figures.new_figure(1, len(panels), size=(2.3, 2.8))
    for ax, (title, aurocs) in zip(np.ravel(axes), panels.items(), strict=True):
        figures.plot_classes(ax, dict(sorted(aurocs.items())), title)
    figures.legend_once(figure)
    return figure


def novelty_curves(runs: pd.DataFrame) -> Figure | str:
    """Draw the loss and image AUROC of long training on one class of each data set."""
    rows = clean_rows(runs, CURVES_STUDY)
    if rows.empty:
        return NO_NOVELTY
    figure, axes = figures.new_figure(2, 1, size=(3.3, 1.6), width="column")
    losses, tests = np.ravel(axes)
    for _, row in rows.iterrows():
        name = f"{title_of(row['dataset'])}, {row['category']}"
        figures.plot_history(losses, row["history"], name)
        if "image_auroc" in row["history"]:
            figures.plot_tested(tests, row["history"], f"{name}: {_gain(row['history'])}")
    return figure


def _gain(history: dict[str, list]) -> str:
    """The change of image AUROC from the first to the last test during training, as text."""
    tests = [(e, a) for e, a in zip(history["epoch"], history["image_auroc"], strict=True) if a]
    (first, start), (last, end) = tests[0], tests[-1]
    return f"{figures.signed(100 * (end - start))} points from epoch {first:.0f} to {last:.0f}"
