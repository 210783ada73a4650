"""Figures as a page shows them: with number, caption and alternative text."""

import base64
import html
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
from IPython.display import HTML, Markdown
from matplotlib.figure import Figure

from rdrepro.study import captions, figures

PIXELS_PER_INCH = 120  # on a page; a figure of a paper's full width is then 828 pixels wide


def show(figure: Figure | str, name: str, folder: Path) -> HTML | Markdown:
    """Save a figure under a name and return it, with its caption, for display.

    A sentence in place of a figure says why it is left out; nothing is saved then. Raises KeyError
    where no caption has that name.
    """
    label = captions.label_of(name)
    if isinstance(figure, str):
        return Markdown(f"*{label}. {figure}*")
    png = figures.save_figure(figure, name, folder)[0]
    captions.write_captions(folder)
    plt.close(figure)  # shown by the cell that returns it, not twice
    return HTML(figure_html(png, name, round(PIXELS_PER_INCH * figure.get_figwidth())))


def figure_html(png: Path, name: str, width: int) -> str:
    """A figure for a page: the picture itself, its alternative text and its caption.

    width: in pixels, on a screen that is wide enough.
    """
    label, caption = captions.label_of(name), captions.caption_of(name)
    return (
        f"<figure>{_image(png, captions.alt_of(name), width)}"
        f"<figcaption><b>{label}.</b> {html.escape(caption)}</figcaption></figure>"
    )


def map_gallery(folder: Path) -> Iterator[HTML]:
    """Every committed figure of anomaly maps, each with the name of its row.

    folder: of figures, such as results/figures. `make maps` draws them.
    """
    files = sorted((folder / "maps").glob("*.png"))
    label, caption = captions.label_of("maps"), captions.caption_of("maps")
    if not files:
        yield HTML(f"<p><em>{label} is left out: <code>make maps</code> draws it.</em></p>")
        return
    yield HTML(f"<p><b>{label}.</b> {html.escape(caption)}</p>")
    width = round(PIXELS_PER_INCH * figures.WIDTHS["page"])
    for file in files:
        category = captions.category_of(file.stem)
        alt = f"Anomaly maps of {category}: input, outlined defect and map of each kind of defect."
        yield HTML(
            f"<figure>{_image(file, alt, width)}<figcaption><b>{html.escape(category)}</b>, row "
            f"<code>{html.escape(file.stem)}</code></figcaption></figure>"
        )


def _image(png: Path, alt: str, width: int) -> str:
    content = base64.b64encode(png.read_bytes()).decode()
    look = f"width: {width}px; max-width: 100%; height: auto"
    return f'<img alt="{html.escape(alt)}" style="{look}" src="data:image/png;base64,{content}">'
