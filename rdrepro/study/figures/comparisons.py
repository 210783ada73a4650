"""Comparisons: our results beside printed values, variants beside each other, costs."""

from collections.abc import Mapping, Sequence

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
    styled,
    wrapped,
)

DELTA_COLOURS = "RdBu"  # blue: ours is higher; ColorBrewer's, safe for the colour-blind
NOT_RUN = "0.88"  # grey
NAME_WIDTH = 1.2  # inches of the longest name of a variant


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

    cells: label, metric, printed, ours, low, high (percent; NaN where not run) and verdict. The
    figure needs a quarter of an inch of height per cell to keep the lines apart.
    """
    y = np.arange(len(cells))
    several = cells["metric"].nunique() > 1
    names = cells["label"] + ", " + cells["metric"] if several else cells["label"]
    high = cells["high"].clip(upper=100)  # an interval may be wider than the metric's range
    interval = [cells["ours"] - cells["low"], high - cells["ours"]]
    ax.errorbar(cells["ours"], y, xerr=interval, fmt="o", color=NORMAL, label="ours, 95 % interval")
    ax.plot(cells["printed"], y, "D", color=ANOMALOUS, fillstyle="none", label="printed value")
    for line, verdict in zip(y, cells["verdict"], strict=True):
        ax.text(
            1.01, line, verdict, va="center", fontsize=SMALL, transform=ax.get_yaxis_transform()
        )
    xlabel = "percent" if several else f"{cells['metric'].iloc[0]} (percent)"
    ax.set(xlabel=xlabel, yticks=y, yticklabels=names, ylim=(len(cells) - 0.5, -0.5))
    legend_once(ax.figure)
    return ax


@styled
def plot_deltas(ax: Axes, cells: pd.DataFrame) -> Axes:
    """Draw our result minus the paper's in points, by label and metric.

    A field is grey where one of the two is missing.

    cells: as for `plot_paper_against_ours`, with each (label, metric) once.
    """
    labels, metrics = cells["label"].unique(), cells["metric"].unique()
    table = cells.assign(delta=cells["ours"] - cells["printed"]).set_index(["label", "metric"])
    delta, printed = (
        table[c].unstack().reindex(index=labels, columns=metrics) for c in ("delta", "printed")
    )
    limit = np.nanmax([*delta.abs().to_numpy().flat, 0.1])  # 0.1 if all are 0 or missing
    look = {"cmap": DELTA_COLOURS, "vmin": -limit, "vmax": limit, "linewidths": 1}
    look["cbar_kws"] = {"label": "difference (points)"}
    rounded = delta.round(1) + 0.0  # no "-0.0"
    import seaborn as sns  # slow to load, and only this figure needs it

    sns.heatmap(delta, annot=rounded, annot_kws={"fontsize": SMALL}, fmt="+.1f", ax=ax, **look)
    for row, column in np.argwhere(delta.isna().to_numpy()):
        text = "not printed" if np.isnan(printed.iat[row, column]) else "not run"
        ax.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=SMALL)
    ax.set(xlabel="", ylabel="", facecolor=NOT_RUN)
    ax.tick_params(axis="y", rotation=0)
    ax.grid(False)
    return ax
