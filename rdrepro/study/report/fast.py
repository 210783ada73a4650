"""Notebooks 13 and 01: the preset `fast`, with a tenth of the gradient steps, beside `paper`."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown
from matplotlib.figure import Figure

from rdrepro.backbones import LITE0
from rdrepro.metric_names import ROW_METRIC, title_of
from rdrepro.study import captions, fast, fast_choice, figures
from rdrepro.study.formats import DECIMALS
from rdrepro.study.glossary import TABLES
from rdrepro.study.html_tables import html_table

DRAWN = ROW_METRIC["pro"]
NOT_RUN = "Left out: `fast` was not run yet."
EXPLAINED = """\
A difference is `fast` minus `paper`, in points. "non-inferior" means that a loss as large as the
margin is excluded, at the one-sided 95 % level. "not shown" means that these rows cannot decide.
Notebook 13 has all categories."""
MADE = {
    "fast": fast.comparison,
    "fast_spread": fast.spread_table,
    "fast_collapses": fast.collapses,
    "fast_steps": fast.more_steps,
    "fast_2000": fast.two_thousand,
    "fast_seconds": fast.seconds,
}


def parts(runs: pd.DataFrame, runs_dir: Path) -> Iterator[HTML | Markdown]:
    """What was found, in words and as tables, and the log of the trials.

    runs_dir: the folder of the rows, beside which the log lies.
    """
    yield Markdown(" ".join(fast.in_words(runs)))
    tables = {name: make(runs) for name, make in MADE.items()}
    tables["fast_log"] = fast_choice.selection_log(fast_choice.log_of(runs_dir))
    for name, table in tables.items():
        if len(table):
            yield html_table(table, TABLES[name], digits=DECIMALS.get(name, 1), fold=name != "fast")


def drawn(runs: pd.DataFrame, teacher: str | None = LITE0) -> Figure | str:
    """PRO against gradient steps and seconds, a row for each data set; or why it is left out.

    teacher: the backbone that is drawn; None for all of them.
    """
    own = runs[runs["backbone"] == teacher] if len(runs) and teacher else runs
    if fast.comparison(own).empty:
        return NOT_RUN
    sets = list(fast.efforts(own, DRAWN).groupby(fast.NAMED, sort=False))
    figure, axes = figures.new_figure(len(sets), 2, size=(3.45, 1.6))
    axes = np.reshape(axes, (len(sets), 2))
    for row, ((data, network), group) in zip(axes, sets, strict=True):
        figures.plot_steps(row, group, fast.ARMS, title_of(DRAWN), f"{data}, {network}")
    for column in axes.T:
        figures.share_limits(column, "x")
        for ax in column[:-1]:
            ax.set_xlabel("")
            ax.tick_params(labelbottom=False)
    for ax in axes[:, 1]:
        ax.set_ylabel("")
        ax.tick_params(labelleft=False)
    figures.legend_once(figure)
    return figure


def of_category(runs: pd.DataFrame, dataset: str, category: str) -> pd.DataFrame:
    """The rows of one category, of any teacher and image size."""
    if runs.empty:
        return runs
    return runs[(runs["dataset"] == dataset) & (runs["category"] == category)]


def about_category(runs: pd.DataFrame, number: int) -> Iterator[HTML | Markdown]:
    """What notebook 01 says of the rows of one category, below their figure.

    runs: from `of_category`. number: the figure's in its notebook.
    """
    table = fast.comparison(runs)
    if table.empty:
        yield Markdown(
            "No committed row compares `fast` with `paper` on this category, so there is no Figure "
            f"{number}."
        )
        return
    yield Markdown(f"**Figure {number}.** {captions.caption_of('fast')}")
    yield html_table(table, TABLES["fast"], digits=DECIMALS["fast"])
    yield Markdown(EXPLAINED)
