"""Comparisons: our results and printed values, variants, costs."""

from collections.abc import Mapping, Sequence
from itertools import takewhile

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from rdrepro.study.figures.base import (
    ANOMALOUS,
    COLOURS,
    NORMAL,
    SMALL,
    legend_once,
    signed,
    styled,
    wrapped,
)

DELTA_COLOURS = "RdBu"  # blue: ours is higher; ColorBrewer's, safe for the colour-blind
NOT_RUN = "0.88"  # grey
NAME_WIDTH = 1.2  # inches of the longest name of a variant
LINE = 0.15  # inches of height for a line of `plot_paper_against_ours`


@styled
def plot_variants(axes: np.ndarray, table: pd.DataFrame) -> np.ndarray:
    """Draw each metric of several variants in a panel: ours as dots, printed ones as hollow marks.

    table: from `variants_table`, in percent. axes: (1, metrics); the first columns of the table,
    which are our metrics, are drawn.
    """
    y = np.arange(len(table))
    for panel, (ax, metric) in enumerate(zip(axes.flat, table.columns, strict=False)):
        ax.plot(table[metric], y, "o", color=NORMAL, label="ours")
        for place, value in zip(y, table[metric], strict=True):
            ax.annotate(
                f"{value:.1f}",
                (value, place),
                (0, 5),
                textcoords="offset points",
                ha="center",
                fontsize=SMALL,
            )
        printed = f"{metric}, printed average"
        if printed in table and table[printed].notna().any():
            ax.plot(
                table[printed],
                y,
                "D",
                color=ANOMALOUS,
                fillstyle="none",
                label="printed value, average of fifteen categories",
            )
        names = [wrapped(name, NAME_WIDTH) for name in table.index] if not panel else []
        ax.set(yticks=y, yticklabels=names, xlabel=f"{metric} (%)")
        ax.xaxis.set_major_locator(MaxNLocator(3))
        ax.set_ylim(len(table) - 0.5, -0.6)
        ax.margins(x=0.25)
    if any(len(ax.lines) > 1 for ax in axes.flat):  # a legend of one entry would say nothing
        legend_once(axes.flat[0].figure)
    return axes


@styled
def plot_columns(
    ax: Axes,
    table: pd.DataFrame,
    title: str,
    teachers: Sequence[str],
    readings: Sequence[str] | None = None,
) -> Axes:
    """Draw the extension's Table 3 for one data set: printed values, and those of each teacher.

    table: lines of `medical_tables.columns_table`. A reading is a way to understand a printed
    column. The printed value of a reading is drawn once, as a hollow mark. teachers: those of all
    panels, so that each teacher has the same colour and marker everywhere. readings: those of all
    panels, from above; by default those of the table.
    """
    readings = list(readings or dict.fromkeys(table["reading"]))
    first = table.drop_duplicates("reading").set_index("reading").reindex(readings)
    step = 0.8 / (len(teachers) + 1)
    for place in range(1, len(readings)):
        ax.axhline(place - 0.5, color="0.85", linewidth=0.8)
    y = np.arange(len(readings)) - 0.4 + step / 2
    bars = [first["printed"] - first["printed_low"], first["printed_high"] - first["printed"]]
    look = {"capsize": 2, "elinewidth": 1, "markersize": 4}
    ax.errorbar(
        first["printed"],
        y,
        xerr=bars,
        fmt="D",
        color=ANOMALOUS,
        fillstyle="none",
        label="printed value, approximate 95 % interval",
        **look,
    )
    colours = [NORMAL, *COLOURS[2:]]
    for number, (teacher, colour) in enumerate(zip(teachers, colours, strict=False), 1):
        own = table[table["teacher"] == teacher].set_index("reading").reindex(readings)
        bars = [own["ours"] - own["low"], own["high"] - own["ours"]]
        ax.errorbar(
            own["ours"],
            y + number * step,
            xerr=bars,
            fmt="osv"[number % 3],
            color=colour,
            label=f"{teacher}, 95 % over images",
            **look,
        )
    ax.set(xlabel="image AUROC (%), mean of the folds", title=title, yticks=range(len(readings)))
    ax.set_yticklabels(readings)
    ax.grid(False, axis="y")
    ax.set_ylim(len(readings) - 0.5, -0.5)
    return ax


@styled
def plot_classes(ax: Axes, aurocs: Mapping[str, pd.Series], title: str) -> Axes:
    """Draw the image AUROC of each class, with a dot per run and a colour per protocol (Table 4).

    aurocs: fractions, by the name of the protocol. The index of each series holds the names of the
    classes.
    """
    places = {
        name: i for i, name in enumerate(dict.fromkeys(n for s in aurocs.values() for n in s.index))
    }
    for i, (name, series) in enumerate(aurocs.items()):
        y = [places[n] + 0.24 * (i - (len(aurocs) - 1) / 2) for n in series.index]
        ax.scatter(100 * series, y, s=12, label=name, marker="os^D"[i % 4])
    ax.set(xlabel="image AUROC (%)", title=title, yticks=range(len(places)))
    ax.set_yticklabels([name.replace("_", " ") for name in places])
    ax.invert_yaxis()
    ax.grid(axis="y", alpha=0.4)
    return ax


@styled
def plot_stages(ax: Axes, table: pd.DataFrame) -> Axes:
    """Draw a bar per line of `cost_table`, made of the seconds of each stage."""
    left = np.zeros(len(table))
    for stage in ("teacher", "student", "search", "map"):
        if stage in table:
            seconds = table[stage].fillna(0).astype(float)
            ax.barh(table.index, seconds, left=left, label=stage)
            left += seconds
    ax.set(xlabel="seconds per image, sum of the stages' medians")
    ax.invert_yaxis()
    legend_once(ax.figure)
    return ax


@styled
def plot_paper_against_ours(ax: Axes, cells: pd.DataFrame) -> Axes:
    """Draw a line per cell: the paper's number, ours with its 95 % interval, and the verdict.

    Where there are several metrics, each label is a line of its own above those of its metrics.
    What all cells have in common is the title. The figure needs LINE inches of height per line.

    cells: label, metric, printed, ours, low, high (percent; NaN where not run) and verdict.
    """
    title, labels = _split_labels(cells["label"])
    several = cells["metric"].nunique() > 1
    first = labels != labels.shift()
    y = np.arange(len(cells)) + (first.cumsum().to_numpy() if several else 0)
    high = cells["high"].clip(upper=100)  # an interval may be wider than the metric's range
    interval = [cells["ours"] - cells["low"], high - cells["ours"]]
    look = {"fmt": "o", "color": NORMAL, "markersize": 3, "elinewidth": 1}
    ax.errorbar(cells["ours"], y, xerr=interval, label="ours, 95 % interval", **look)
    look = {"color": ANOMALOUS, "fillstyle": "none", "markersize": 6, "zorder": 3}
    ax.plot(cells["printed"], y, "D", label="printed value", **look)
    verdicts = cells["verdict"].unique()
    if len(verdicts) == 1:
        title = f"{title}, all cells {verdicts[0]}".removeprefix(", ")
    else:
        _texts(ax, 1.03, y, cells["verdict"])
    if several:
        _texts(ax, 0.01, y[first] - 1, labels[first], backgroundcolor="white", fontweight="bold")
    xlabel = "metric (%)" if several else f"{cells['metric'].iloc[0]} (%)"
    ax.set(xlabel=xlabel, title=title, yticks=y, ylim=(y[-1] + 0.5, -0.5))
    ax.set_yticklabels(cells["metric"] if several else labels)
    legend_once(ax.figure)
    return ax


def _split_labels(labels: pd.Series) -> tuple[str, pd.Series]:
    """The parts with which all labels begin, and the rest of each label, which is never empty."""
    parts = labels.str.split(", ")
    alike = takewhile(lambda places: len(set(places)) == 1, zip(*parts, strict=False))
    common = [places[0] for places in alike][: parts.str.len().min() - 1]
    return ", ".join(common), parts.str[len(common) :].str.join(", ")


def _texts(ax: Axes, x: float, y: np.ndarray, texts: pd.Series, **look) -> None:
    """Write a text in each line, from a place that is a share of the width of the axes."""
    look |= {"va": "center", "fontsize": SMALL, "transform": ax.get_yaxis_transform()}
    for line, text in zip(y, texts, strict=True):
        written = ax.text(x, line, text, **look)
        if written.get_bbox_patch():
            written.get_bbox_patch().set_boxstyle("square", pad=0.1)


@styled
def plot_deltas(ax: Axes, cells: pd.DataFrame) -> Axes:
    """Draw our result minus the paper's in points, by label and metric.

    A field is grey where one of the two is missing, and says which. What all labels have in common
    is the title.

    cells: as for `plot_paper_against_ours`, with each (label, metric) once.
    """
    labels, metrics = cells["label"].unique(), cells["metric"].unique()
    table = cells.assign(delta=cells["ours"] - cells["printed"]).set_index(["label", "metric"])
    delta, printed = (
        table[c].unstack().reindex(index=labels, columns=metrics) for c in ("delta", "printed")
    )
    limit = np.nanmax([*delta.abs().to_numpy().flat, 0.1])  # 0.1 if all are 0 or missing
    look = {"cmap": DELTA_COLOURS, "vmin": -limit, "vmax": limit, "linewidths": 1}
    label = "ours \N{MINUS SIGN} printed (points)"
    look["cbar_kws"] = {"label": label, "orientation": "horizontal", "ticks": MaxNLocator(4)}
    title, rest = _split_labels(pd.Series(labels))
    names = {
        "yticklabels": [wrapped(r.replace(", ", ",\n"), NAME_WIDTH) for r in rest],
        "xticklabels": [metric.replace(" ", "\n") for metric in metrics],
    }
    import seaborn as sns  # slow to load, and only this figure needs it

    annotations = {"annot": delta.map(signed), "fmt": "", "annot_kws": {"fontsize": SMALL}}
    sns.heatmap(delta, ax=ax, **names, **annotations, **look)
    for row, column in np.argwhere(delta.isna().to_numpy()):
        text = "not printed" if np.isnan(printed.iat[row, column]) else "not run"
        text = text.replace(" ", "\n")
        ax.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=SMALL)
    ax.set(xlabel="", ylabel="", facecolor=NOT_RUN, title=title)
    ax.tick_params(rotation=0)
    ax.grid(False)
    return ax
