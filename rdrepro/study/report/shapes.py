"""Notebook 13: ablations, layers, costs and rotated images."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from rdrepro.study import figures, rotation
from rdrepro.study.ablation import ablation_table, orders
from rdrepro.study.complexity import complexity_table
from rdrepro.study.formats import save_table
from rdrepro.study.html_tables import html_table

if TYPE_CHECKING:
    pass


SHAPES = {"5": "bottlenecks", "6": "teachers", "7": "choices of layers"}


def shape_tables(runs: pd.DataFrame, folder: Path) -> Iterator[HTML]:
    """Save and yield how results change from column to column of Tables 5-7, and their order.

    `ablation.steps` computes the changes.
    """
    for number, what in SHAPES.items():
        title = f"<b>Table {number} in shape</b>: {what}"
        table, order = (f(runs, number) for f in (ablation_table, orders))
        for part, name in ((table, "shape"), (order, "order")):
            if len(part):
                save_table(part, f"table{number}_{name}", folder)
        yield html_table(table, f"{title}, percent [95 % interval]", prose=True)
        if len(order):
            yield html_table(
                order, f"Table {number} in shape, the order of its columns", prose=True
            )


NO_ROTATION = "Left out: no row of turned test images."


def rotation_curves(runs: pd.DataFrame) -> Figure | str:
    """Draw image AUROC, pixel AUROC and AUPRO against the angle of the test images."""
    lines = [(rotation.named(group), rotation.means(group)) for group in rotation.protocols(runs)]
    if not lines:
        return NO_ROTATION
    figure, axes = figures.new_figure(1, len(rotation.METRICS), size=(3.4, 3.2))
    for ax, metric in zip(np.ravel(axes), rotation.METRICS, strict=True):
        for told, table in lines:
            name = f"{told['data']}, {told['backbone']}"
            figures.plot_rotation(ax, table[metric], metric, name)
    figures.share_limits(axes, "y")
    handles, labels = np.ravel(axes)[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def complexity(runs: pd.DataFrame, folder: Path) -> HTML:
    """Save and return the cost of testing an image, from the clean rows that measured it."""
    table = complexity_table(runs)
    if len(table):
        save_table(table, "complexity", folder)
    return html_table(table, "<b>Table 3 in shape</b>: what testing an image costs", digits=3)
