"""README's picture: `make picture` (half a minute after `make maps`, else three minutes).

It shows strength and weakness by rule: the embedded categories of highest and of lowest AUPRO. Of
each it shows the first two kinds of defect by name, and of each kind the image of median score.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

import rdrepro as rd
from rdrepro.study import figures
from rdrepro.study.maps_of_rows import extremes, maps_dir, row_files, run_again

KINDS = 2
SIZE = (1.4, 1.52)  # inches of each of the axes; large text stays readable on a phone
LETTERS, RISE = 9, 17  # points; RISE is that of a line's head above its axes


def main() -> int:
    """Draw the picture; return 1 where a run gives another result than its row."""
    chosen = dict(zip(("highest", "lowest"), extremes(row_files(), "pixel_aupro"), strict=True))
    figure, axes = rd.new_figure(len(chosen), 2 * KINDS, size=SIZE)
    try:
        parts = [(which, row, *run_again(file)[:1]) for which, (file, row) in chosen.items()]
    except ValueError as error:
        sys.stderr.write(f"The picture is not drawn: {error}\n")
        return 1
    maps = np.concatenate([outcome.predictions.maps for *_, outcome in parts])
    scale = figures.map_scale(maps)
    for line, (which, row, outcome) in zip(axes, parts, strict=True):
        shown = draw_line(line, outcome, scale)
        percent = 100 * row["metrics"]["pixel_aupro"]
        title = f"{row['config']['category'].replace('_', ' ')}: {which} AUPRO, {percent:.1f} %"
        head(line[0], title)
    figures.colour_scale(axes, shown, LETTERS)
    figures.save_png(figure, target())
    return 0


def draw_line(line: np.ndarray, outcome: Any, scale: dict[str, float]) -> Any:
    """Draw the outlined defect and the map of each case; return the last map that was drawn."""
    p, data = outcome.predictions, outcome.run.dataset("test")
    cases = list(rd.choose_cases(p, "defect").items())[:KINDS]
    for (left, right), (kind, index) in zip(line.reshape(-1, 2), cases, strict=True):
        figures.plot_image(left, data[index])
        shown = figures.plot_overlay(right, data[index], p.maps[index], scale)
        for ax, text in ((left, kind.replace("_", " ")), (right, "anomaly map")):
            ax.text(0, 1.03, text, fontsize=LETTERS - 1, transform=ax.transAxes)
    return shown


def head(ax: Axes, text: str) -> None:
    """Write the head of a line of axes. Its width does not move the axes, but its height does."""
    above = {"xytext": (0, RISE), "xycoords": "axes fraction", "textcoords": "offset points"}
    written = ax.annotate(text, (0, 1), **above, fontsize=LETTERS, fontweight="bold")
    written.set_in_layout(False)
    ax.set_title(" ", fontsize=LETTERS, pad=RISE)  # keeps the height free


def target() -> Path:
    """The file of the picture."""
    return maps_dir().parent / "demo.png"


if __name__ == "__main__":
    sys.exit(main())
