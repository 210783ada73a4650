"""Curves and distributions: losses, scores, ROC and PRO curves (Fig. 5), rotation."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from rdrepro.metrics import auroc, pro_curve
from rdrepro.study.figures.base import (
    ANOMALOUS,
    COLOURS,
    NORMAL,
    SMALL,
    dashes,
    legend_once,
    plain_log,
    styled,
    width_of,
    wrapped,
)

SCORE_BINS = np.linspace(0, 1, 26)
MARKERS = "os^D"
PRO_LIMIT = 0.3  # Sec. 4.1
SAME_CURVE = 0.01  # true positive rates of two curves that look like one
LOWEST = "lowest validation loss"
ROOM = 1.8  # the factor between the lowest loss and the foot of the axes, where an epoch is named
STEPS = (1, 2, 5, 10)  # between the ticks of an axis of epochs


@styled
def plot_history(ax: Axes, history: Mapping | pd.DataFrame, name: str | None = None) -> Axes:
    """Draw the training loss per epoch; call it again to add a second run.

    history: that of a row, or the result of `fit`. If the method trains nothing, the axes say so.
    """
    if not len(history["epoch"]):
        ax.text(0.5, 0.5, "this method trains nothing", ha="center", va="center")
        ax.set_axis_off()
        return ax
    few = len(history["epoch"]) < 40
    ax.plot(history["epoch"], history["loss"], dashes(ax), marker="." if few else "", label=name)
    ax.set(xlabel="epoch", ylabel="loss per image", yscale="log")
    _whole_epochs(ax)
    plain_log(ax.yaxis)
    if name:
        legend_once(ax.figure)
    return ax


def _whole_epochs(ax: Axes) -> None:
    """Label whole epochs only, and few of them. One tick is enough where there is one epoch."""
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1, steps=STEPS))


@styled
def plot_stopping(ax: Axes, history: Mapping | pd.DataFrame, name: str, title: str = "") -> Axes:
    """Draw a run's training loss and, if it has one, its validation loss with the lowest point.

    Call it again to add a second run (Fig. 7 of the extension). The axis ends at twice the highest
    training loss, because validation losses are far higher before the statistics of the batch norms
    have settled.
    """
    plot_history(ax, history, f"{name}: training")
    ax.set_title(wrapped(title, width_of(ax)))
    if not len(history["epoch"]):
        return ax
    if len(ax.lines) > 1:  # it may be the same curve as the first
        ax.lines[-1].set_linestyle("--")
    if "validation_loss" in history:
        epochs, losses = (np.asarray(history[k], float) for k in ("epoch", "validation_loss"))
        best, colour = int(np.argmin(losses)), ax.lines[-1].get_color()
        ax.plot(epochs, losses, ":", color=colour, label=f"{name}: validation")
        ax.plot(epochs[best], losses[best], "o", color=colour, markersize=4, label=LOWEST)
        _name_below(ax, epochs[best], losses[best], late=2 * best > len(epochs))
    curves = {line: np.asarray(line.get_ydata(), float) for line in ax.lines}
    trained = [y.max() for line, y in curves.items() if line.get_label().endswith(": training")]
    lowest = min(y.min() for y in curves.values())
    ax.set_ylim(lowest / ROOM, 2 * max(trained))
    legend_once(ax.figure)
    return ax


def _name_below(ax: Axes, epoch: float, loss: float, late: bool) -> None:
    """Name an epoch at the foot of the axes, below all curves, with a line from its loss."""
    side = "right" if late else "left"
    corner = (int(late), 1)  # of the text, where the line begins
    ax.annotate(
        f"epoch {epoch:.0f}",
        (epoch, loss),
        (epoch, 0.03),
        textcoords=ax.get_xaxis_transform(),
        ha=side,
        fontsize=SMALL,
        arrowprops={
            "arrowstyle": "-",
            "color": "0.5",
            "linewidth": 0.6,
            "shrinkA": 0,
            "relpos": corner,
        },
    )


@styled
def plot_tested(ax: Axes, history: Mapping[str, ArrayLike], name: str) -> Axes:
    """Draw the image AUROC of the test set during training. It was not used to select anything."""
    table = pd.DataFrame({k: history[k] for k in ("epoch", "image_auroc")}).dropna()
    ax.plot(table["epoch"], 100 * table["image_auroc"], marker="o", markersize=3, label=name)
    ax.set(xlabel="epoch", ylabel="image AUROC\nof the test set (%)")
    _whole_epochs(ax)
    ax.yaxis.set_major_locator(MaxNLocator(5))
    legend_once(ax.figure)
    return ax


@styled
def plot_rotation(ax: Axes, percents: pd.DataFrame, title: str) -> Axes:
    """Draw the metrics of one data set against the angle of its test images.

    percents: a column per metric, in percent. The index is the angle in degrees, counter-clockwise.
    A metric without values is left out.
    """
    for (metric, values), colour, marker in zip(percents.items(), COLOURS, MARKERS, strict=False):
        if values.notna().any():
            ax.plot(values.index, values, color=colour, marker=marker, markersize=3, label=metric)
    ax.set(xlabel="rotation of the test images (degrees)", ylabel="metric (%)")
    ax.set_title(wrapped(title, width_of(ax)))
    ax.set(xlim=(-10, 370), xticks=range(0, 361, 90))
    return ax


def scale_scores(scores: ArrayLike) -> np.ndarray:
    """Scores shifted and scaled to [0, 1] (Fig. 5); all 0 if they are all equal."""
    scores = np.asarray(scores, dtype=float)
    return (scores - scores.min()) / (np.ptp(scores) or 1.0)


@styled
def plot_scores(ax: Axes, scores: ArrayLike, labels: ArrayLike, title: str = "") -> Axes:
    """Draw the histograms of one category's image scores, normal and anomalous (Fig. 5).

    Bars are shares of each class, since a test set may have many more images of one.
    """
    scaled, labels = scale_scores(scores), np.asarray(labels)
    for label, (name, colour) in enumerate((("normal", NORMAL), ("anomalous", ANOMALOUS))):
        own = scaled[labels == label]
        percents = np.full(len(own), 100 / max(1, len(own)))
        ax.hist(own, SCORE_BINS, weights=percents, color=colour, alpha=0.6, label=name)
    xlabel = "image score, scaled to 0-1\n(higher = more anomalous)"
    ax.set(xlabel=xlabel, ylabel="images (% of class)")
    ax.set_title(wrapped(title, width_of(ax)))
    ax.yaxis.set_major_locator(MaxNLocator(4))
    ax.set_xticks((0, 0.5, 1))
    legend_once(ax.figure)
    return ax


@styled
def plot_roc(ax: Axes, scores: ArrayLike, labels: ArrayLike, name: str) -> Axes:
    """Draw the ROC curve of image scores, with its AUROC in the legend.

    Call it again to add another curve.
    """
    from sklearn.metrics import roc_curve  # slow to load, and no table needs it

    if not ax.lines:
        ax.axline((0, 0), slope=1, color="0.5", linestyle=":", label="chance")
    fpr, tpr, _ = roc_curve(labels, scores)
    _widen_hidden(ax, fpr, tpr)
    ax.plot(fpr, tpr, dashes(ax), label=f"{name}: AUROC {100 * auroc(scores, labels):.1f} %")
    ax.set(xlabel="false positive rate\n(normal images)", ylabel="true positive rate")
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    legend_once(ax.figure)
    return ax


def _widen_hidden(ax: Axes, fpr: np.ndarray, tpr: np.ndarray) -> None:
    """Widen each curve that a new one would cover everywhere, so that its edges stay visible."""
    grid = np.linspace(0.01, 1, 100)
    new = np.interp(grid, fpr, tpr)
    for line in ax.lines[1:]:  # the first is chance
        if np.allclose(np.interp(grid, *line.get_data()), new, atol=SAME_CURVE):
            line.set_linewidth(line.get_linewidth() + 1.8)


@styled
def plot_pro(ax: Axes, maps: ArrayLike, gt_masks: ArrayLike, name: str) -> Axes:
    """Draw the PRO curve of maps (N, H, W) up to PRO_LIMIT, with AUPRO in the legend (Sec. 4.1)."""
    from sklearn.metrics import auc  # slow to load, and no table needs it

    if not ax.lines:
        ax.axvline(PRO_LIMIT, color="0.5", linestyle=":", label=f"limit, FPR {PRO_LIMIT}")
    fpr, pro = pro_curve(maps, gt_masks, PRO_LIMIT)
    inside = fpr < PRO_LIMIT
    pro = np.append(pro[inside], np.interp(PRO_LIMIT, fpr, pro))
    fpr = np.append(fpr[inside], PRO_LIMIT)
    ax.plot(fpr, pro, label=f"{name}: AUPRO {100 * auc(fpr, pro) / PRO_LIMIT:.1f} %")
    ax.set(xlabel="false positive rate (normal pixels)", ylabel="per-region overlap, mean")
    ax.set(xlim=(-0.005, PRO_LIMIT + 0.01), ylim=(-0.02, 1.02))
    legend_once(ax.figure)
    return ax


@styled
def plot_region_overlap(ax: Axes, table: pd.DataFrame, name: str | None = None) -> Axes:
    """Draw the overlap of each region against its size; call it again to add a second run.

    table: from `region_overlaps`.
    """
    ax.scatter(table["size_px"], table["overlap"], s=12, alpha=0.5, linewidths=0, label=name)
    ax.set(xlabel="size of the defect region (pixels)", xscale="log", ylim=(-0.03, 1.03))
    ax.set(ylabel="share of the region found")
    plain_log(ax.xaxis)
    if name:
        legend_once(ax.figure)
    return ax
