"""Notebook 13: ablations, layers, costs and rotated images."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown
from matplotlib.figure import Figure

from rdrepro.study import ablation, complexity, figures, rotation
from rdrepro.study.formats import save_table
from rdrepro.study.html_tables import html_table

ORDERED = ("5", "6", "7")
UNTESTED = "no protocol ran two of its printed columns, so their order was not tested"
SHAPE_3 = "Table 3 in shape"
NO_ROTATION = "Left out: no row of rotated test images."
FOUND = "**What we found**"


def as_list(sentences: list[str], head: str = "") -> Markdown:
    """Sentences as a list of Markdown, after a line of its own."""
    lines = "\n".join(f"- {text[:1].upper()}{text[1:]}" for text in sentences)
    return Markdown(f"{head}\n\n{lines}".strip())


def in_short(runs: pd.DataFrame, runs_dir: Path) -> Markdown:
    """What notebook 13 found, in a few sentences: steps, costs and rotation."""
    orders = {number: ablation.orders(runs, number) for number in ORDERED}
    steps = [
        f"Table {number}: {ablation.counted(order) if len(order) else UNTESTED}."
        for number, order in orders.items()
    ]
    costs = complexity.costs_in_words(complexity.complexity_table(runs))
    changes = rotation.measured_changes(runs, runs_dir)
    return as_list([*steps, *costs[:1], *rotation.rotation_in_words(changes)[-1:]])


def shape(runs: pd.DataFrame, number: str, folder: Path) -> Iterator[HTML | Markdown]:
    """Save Table 5, 6 or 7 in shape, and yield what was found and a table for each protocol.

    `ablation.steps` computes the changes from column to column.
    """
    lines = ablation.steps(runs, number)
    order = ablation.orders_of(lines)
    for table, name in ((ablation.ablation_table(runs, number), "shape"), (order, "order")):
        if len(table):
            save_table(table, f"table{number}_{name}", folder)
    yield as_list(ablation.steps_in_words(order) or [f"{UNTESTED}."], FOUND)
    title = f"Table {number} in shape"
    for caption, table in ablation.shape_tables(lines):
        yield html_table(table, f"{caption}.", title=title)


def rotation_curves(runs: pd.DataFrame) -> Figure | str:
    """Draw image AUROC, pixel AUROC and AUPRO against the angle, with a panel per data set."""
    lines = [(rotation.named(group), rotation.means(group)) for group in rotation.protocols(runs)]
    if not lines:
        return NO_ROTATION
    columns = min(len(lines), 4)
    figure, axes = figures.new_figure(-(-len(lines) // columns), columns, size=(1.725, 1.6))
    panels = np.ravel(axes)
    for ax, (tested, table) in zip(panels, lines, strict=False):
        figures.plot_rotation(ax, table, f"{tested['data']},\n{tested['teacher']}")
    figures.share_limits(panels[: len(lines)], "y")
    figures.outer_labels(np.atleast_2d(axes))
    figures.hide_unused(panels)
    figures.legend_once(figure)
    return figure


def costs(table: pd.DataFrame, folder: Path) -> Iterator[HTML]:
    """Save the costs of testing an image and yield them as two tables, of time and of memory.

    table: from `complexity_table`.
    """
    if table.empty:
        yield html_table(table, "", title=SHAPE_3)
        return
    save_table(table, "complexity", folder)
    time, memory = complexity.time_table(table), complexity.storage_table(table)
    yield html_table(time, "seconds per image, as medians.", prose=True, title=SHAPE_3)
    yield html_table(memory, "memory.", prose=True, title=SHAPE_3)
