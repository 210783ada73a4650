"""What all figures share: the style, sizes for print, the rule for legends, and saving."""

import re
import textwrap
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import rc_params_from_file
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import ArrayLike
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from rdrepro import paths
from rdrepro.files import replacing

STYLE = Path(__file__).parent.with_name("style.mplstyle")
styled = plt.style.context(STYLE)  # as a decorator, it does not change the reader's own style
_STYLE = rc_params_from_file(STYLE, use_default_template=False)
COLOURS = _STYLE["axes.prop_cycle"].by_key()["color"]
NORMAL, ANOMALOUS, OUTLINE = COLOURS[:3]
WIDTHS = {"column": 3.3, "page": 6.9}  # inches, of a two-column paper
SMALL = 7  # points, the smallest text
LETTER = 0.62  # width of a letter, as a share of its size
LEGEND_LINE = 0.15  # inches that a line of the legend adds to a figure's height
# Options by format, so that files are small and have no dates.
FORMATS = {
    "png": {"pil_kwargs": {"optimize": True}},
    "svg": {"metadata": {"Date": None}},
    "pdf": {"metadata": {"CreationDate": None}},
}
COLOUR_STEP = 8
FEW_TICKS = 3  # of a logarithmic axis
SUBS = ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7))  # ticks within a decade, from coarse to fine


def new_figure(
    rows: int = 1,
    columns: int = 1,
    size: tuple[float, float] = (3.3, 2.1),
    width: str | None = None,
) -> tuple[Figure, Axes | np.ndarray]:
    """A figure and its axes: a single one, or an array (rows, columns).

    size: width and height of each of the axes, in inches. They shrink in proportion where the
    figure would be wider than `width`.
    width: "column" or "page" of a printed paper. By default a single one of the axes gets a column
    and several get a page.
    """
    # This loads the backend. In a notebook, loading it turns interactive drawing on. Inside the
    # style's context that would be undone, and later cells would not show their figures.
    plt.draw_if_interactive()
    most = WIDTHS[width or ("column" if rows * columns == 1 else "page")]
    scale = min(1, most / (size[0] * columns))
    inches = (scale * size[0] * columns, scale * size[1] * rows)
    with plt.style.context(STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=inches, squeeze=False)
    return figure, axes if axes.size > 1 else axes[0, 0]


def share_limits(axes: Iterable[Axes], axis: str) -> None:
    """Give all axes the widest limits of any of them. axis: "x" or "y"."""
    axes = list(np.ravel(axes))
    limits = np.array([getattr(ax, f"get_{axis}lim")() for ax in axes])
    for ax in axes:
        getattr(ax, f"set_{axis}lim")(limits.min(), limits.max())


def hide_unused(axes: ArrayLike) -> None:
    """Hide those axes of a grid into which nothing was drawn."""
    for ax in np.ravel(axes):
        if not ax.has_data():
            ax.set_axis_off()


def shared_label(axes: np.ndarray, axis: str) -> None:
    """Show the label that axes have in common once for the whole figure. axis: "x" or "y"."""
    axes = np.ravel(axes)
    label = getattr(axes[0], f"get_{axis}label")()
    for ax in axes:
        getattr(ax, f"set_{axis}label")("")
    with plt.style.context(STYLE):
        getattr(axes[0].figure, f"sup{axis}label")(label)


def outer_labels(axes: np.ndarray) -> None:
    """Label only the left and the lowest axes of a grid (rows, columns) whose scales are shared."""
    for column in axes.T:
        drawn = [ax for ax in column if ax.has_data()]
        for ax in drawn[:-1]:
            ax.tick_params(labelbottom=False)
    for ax in axes[:, 1:].flat:
        ax.tick_params(labelleft=False)
    for axis in "xy":
        shared_label(axes, axis)


@styled
def legend_once(figure: Figure) -> None:
    """Draw one legend for all axes of a figure, above them. The figure grows by its lines.

    Entries with the same text are shown once. So is "a" where there is also "a: more".
    """
    lines = -sum(_legend_lines(old) for old in figure.legends)
    for old in list(figure.legends):
        old.remove()
    entries = _entries(figure)
    if entries:
        columns = _columns(entries, figure.get_figwidth())
        legend = figure.legend(
            list(entries.values()), list(entries), loc="outside upper center", ncols=columns
        )
        lines += _legend_lines(legend)
    figure.set_figheight(figure.get_figheight() + LEGEND_LINE * lines)


def _entries(figure: Figure) -> dict[str, Artist]:
    """The first artist of each text in the legend."""
    entries = {}
    for ax in figure.axes:
        for handle, text in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(text, handle)
    longer = {text.partition(": ")[0] for text in entries if ": " in text}
    return {text: handle for text, handle in entries.items() if text not in longer}


def _columns(texts: Iterable[str], width: float) -> int:
    """In how many columns a legend fits into a figure, by the length of its longest text.

    width: of the figure, in inches.
    """
    texts = list(texts)
    points = LETTER * SMALL * max(map(len, texts)) + 4.5 * SMALL  # the text, its mark and a gap
    return int(np.clip(72 * width // points, 1, len(texts)))


def _legend_lines(legend) -> int:
    return -(-len(legend.get_texts()) // legend._ncols)


def dashes(ax: Axes) -> str:
    """The style of the next curve, which is dashed once every colour has been used.

    Lines of reference are dotted and do not count. So the same curve looks the same in all figures
    that draw the same curves in one order.
    """
    curves = [line for line in ax.lines if line.get_linestyle() in ("-", "--")]
    return "-" if len(curves) < len(COLOURS) else "--"


def plain_log(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers, and with three of them at least."""
    axis.set_major_locator(_PlainLogLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def signed(value: float) -> str:
    """A number to one decimal with its sign. The minus is that of the axes, no hyphen."""
    return f"{round(value, 1) + 0.0:+.1f}".replace("-", "\N{MINUS SIGN}")  # no "-0.0"


class _PlainLogLocator(LogLocator):
    """Ticks at the coarsest of SUBS that gives FEW_TICKS; at round numbers in a narrow range."""

    def tick_values(self, vmin: float, vmax: float) -> np.ndarray:
        """The places of the ticks between two values."""
        low, high = sorted((vmin, vmax))
        for subs in SUBS:
            ticks = LogLocator(subs=subs).tick_values(low, high)
            inside = ticks[(ticks >= low) & (ticks <= high)]
            if len(inside) >= FEW_TICKS:
                return inside
        return MaxNLocator(5).tick_values(low, high)


def wrapped(text: str, inches: float) -> str:
    """A text broken into lines that fit a width, at the smallest size of text.

    Of a file only the name is kept, as in "resnet18=weights.pth".
    """
    plain = re.sub(r"=\S*[/\\]", "=", text)
    letters = max(6, int(72 * inches / (LETTER * SMALL)))
    lines = [textwrap.wrap(line, letters) or [""] for line in plain.split("\n")]
    return "\n".join(line for part in lines for line in part)


def width_of(ax: Axes) -> float:
    """The width in inches that one of a figure's axes has, with its labels."""
    return ax.figure.get_figwidth() / ax.get_subplotspec().get_gridspec().ncols


@styled
def save_figure(figure: Figure, name: str, folder: Path | None = None) -> list[Path]:
    """Save a figure as PNG, SVG and PDF in `folder` (default: results/figures); return the files.

    Each file is written under another name first and then renamed. The same figure gives the same
    bytes.
    """
    folder = folder or paths.results_dir() / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.{ending}" for ending in FORMATS]
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # it is laid out now, once for all formats
    for file, ending in zip(files, FORMATS, strict=True):
        with replacing(file) as aside:
            write_figure(figure, aside, ending)
    return files


def save_png(figure: Figure, target: Path, about: Mapping[str, str] | None = None) -> None:
    """Save a figure of many images as PNG only, whole or not at all. As SVG it would be large.

    Colours are rounded to steps of COLOUR_STEP of 256, which nobody sees and halves the file.
    about: texts that the file holds beside the picture, by keyword.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    content = BytesIO()
    write_figure(figure, content, "png")
    levels = [min(255, COLOUR_STEP * round(v / COLOUR_STEP)) for v in range(256)]
    picture = Image.open(content).convert("RGB").point(3 * levels)
    texts = PngInfo()
    for keyword, text in (about or {}).items():
        texts.add_text(keyword, text)
    with replacing(target) as aside:
        picture.save(aside, format="png", optimize=True, pnginfo=texts)


@styled
def write_figure(figure: Figure, file: Path | BytesIO, ending: str) -> None:
    """Write a figure in one format ("png", "svg" or "pdf"), without a date in the file."""
    figure.draw_without_rendering()  # one pass of the layout does not settle equal aspects
    figure.savefig(file, format=ending, **FORMATS[ending])
