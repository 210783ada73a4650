"""Notebook 11: one-class novelty detection (Table 4)."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from rdrepro.presets import PRESETS
from rdrepro.registry import (
    CHOICE_TEST,
    CHOICE_TRAIN,
)
from rdrepro.study import figures
from rdrepro.study.formats import save_table
from rdrepro.study.html_tables import html_table
from rdrepro.study.novelty import (
    CURVES_STUDY,
    averages_table,
    clean_rows,
    predictions_table,
    protocols,
)
from rdrepro.study.novelty_choice import chosen_switches, grid_table
from rdrepro.study.tables import title_of

if TYPE_CHECKING:
    pass


NO_NOVELTY = "Left out: no row of novelty detection."


def novelty_tables(runs: pd.DataFrame, folder: Path, runs_dir: Path) -> Iterator[HTML]:
    """Save and yield tables for Table 4: its averages, each class, and the choice of settings."""
    grid = grid_table(runs)
    steps = PRESETS["novelty_tuned"]["epochs"], PRESETS["novelty_official"]["epochs"]
    taken = (
        f"{', '.join(chosen_switches(runs))} help on each class; <i>novelty_tuned</i> takes them, "
        f"but for the epochs, {steps[0]} against {steps[1]}, for want of time"
    )
    named = {
        "novelty": ("averages over the classes, percent", averages_table(runs, runs_dir)),
        "novelty_classes": (
            "each class by novelty_official, percent, and the 95 % prediction interval of one "
            "more seed",
            predictions_table(runs),
        ),
        "novelty_grid": (
            f"what each switch changes, in points of image AUROC; {CHOICE_TRAIN} training images "
            f"train, {CHOICE_TEST} others of the class and {CHOICE_TEST} of other classes "
            f"validate; {taken}",
            grid,
        ),
    }
    for name, (what, table) in named.items():
        if len(table):
            save_table(table, name, folder)
        caption = f"<b>Table 4 in full</b>: {what}"
        yield html_table(table, caption, prose=True, digits=2, fold=name == "novelty_classes")


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
    figure, axes = figures.new_figure(1, len(panels), size=(3.4, 3.6))
    for ax, (title, aurocs) in zip(np.ravel(axes), panels.items(), strict=True):
        figures.plot_classes(ax, dict(sorted(aurocs.items())), title)
    handles, labels = np.ravel(axes)[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def novelty_curves(runs: pd.DataFrame) -> Figure | str:
    """Draw the loss and image AUROC of long training on one class of each data set."""
    rows = clean_rows(runs, CURVES_STUDY)
    if rows.empty:
        return NO_NOVELTY
    figure, axes = figures.new_figure(1, 2, size=(4.4, 3.2))
    for _, row in rows.iterrows():
        name = f"{title_of(row['dataset'])}, {row['category']}"
        figures.plot_history(axes[0, 0], row["history"], name)
        if "image_auroc" in row["history"]:
            figures.plot_tested(axes[0, 1], row["history"], f"{name}: {_gain(row['history'])}")
    return figure


def _gain(history: dict[str, list]) -> str:
    """The change of image AUROC from the first to the last test during training, as text."""
    looks = [(e, a) for e, a in zip(history["epoch"], history["image_auroc"], strict=True) if a]
    (first, start), (last, end) = looks[0], looks[-1]
    return f"{100 * (end - start):+.1f} points from epoch {first:.0f} to {last:.0f}"
