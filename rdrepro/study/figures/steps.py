"""Quality against what training takes: gradient steps and seconds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from rdrepro.study.figures.base import COLOURS, plain_log, styled, width_of, wrapped

LOOKS = tuple(zip((COLOURS[0], COLOURS[1], COLOURS[3]), "os^", strict=True))  # of the arms
ASIDE = 1.09  # the factor by which dots of single seeds stand beside their mean
MOST = 100  # percent, the end of the wide bar
EFFORTS = {"steps": "gradient steps", "seconds": "seconds of training"}


@styled
def plot_steps(
    axes: Sequence[Axes], lines: pd.DataFrame, arms: Sequence[str], metric: str, title: str
) -> Sequence[Axes]:
    """Plot the metric of one data set over gradient steps and over seconds of training.

    lines: from `fast.efforts`, of one data set and teacher. A line without seconds appears only in
    the panel of steps. axes: two, which get one scale of the metric. arms: those of all data sets,
    so that each has the same colour and marker everywhere. metric: its title.
    """
    for ax, (effort, label) in zip(axes, EFFORTS.items(), strict=True):
        for arm, (colour, marker) in zip(arms, LOOKS, strict=True):
            own = lines[lines["arm"] == arm].dropna(subset=effort)
            if len(own):
                _plot_arm(ax, own[effort], own, colour, marker, arm)
        ax.set(xlabel=label, xscale="log", ylabel=f"{metric} (%)")
        ax.margins(x=0.12)
        plain_log(ax.xaxis)
        ax.yaxis.set_major_locator(MaxNLocator(4))
    axes[0].set_title(wrapped(title, 2 * width_of(axes[0])), loc="left")
    low, high = np.array([ax.get_ylim() for ax in axes]).T
    for ax in axes:
        ax.set_ylim(low.min(), high.max())
    return axes


def _plot_arm(
    ax: Axes, efforts: pd.Series, own: pd.DataFrame, colour: str, marker: str, name: str
) -> None:
    """Draw an arm: its mean, its seeds, their range, and the spread over the last epochs."""
    place, mean, last = efforts.mean(), own["value"].mean(), own["last"].mean()
    ends = mean - last, min(mean + last, MOST)
    ax.vlines(place, *ends, color=colour, linewidth=7, alpha=0.25)
    ax.vlines(place, own["value"].min(), own["value"].max(), color=colour, linewidth=1)
    beside = ASIDE * efforts if efforts.nunique() == 1 else efforts
    ax.scatter(beside, own["value"], s=6, color=colour, alpha=0.7, linewidths=0)
    ax.plot(place, mean, marker, color=colour, markersize=5, linestyle="none", label=name)
