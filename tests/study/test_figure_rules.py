"""Rules that every figure follows: size in print, text, one legend, ticks, and small files."""

from itertools import pairwise

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from PIL import Image

import rdrepro as rd
from rdrepro.study import figures
from rdrepro.study.figures import base

LABELS = np.array([0, 0, 0, 1, 1, 1])
SCORES = np.array([0.1, 0.2, 0.5, 0.4, 0.8, 0.9])


@pytest.fixture(autouse=True)
def closed():
    """No test opens a window, and none leaves a figure open."""
    matplotlib.use("Agg")
    yield
    plt.close("all")


def history(epochs=12, scale=1.0):
    """A loss that falls as 1 / epoch."""
    return {"epoch": list(range(1, epochs + 1)), "loss": [scale / e for e in range(1, epochs + 1)]}


def several_curves(count=10):
    """Losses and ROC curves of classes in one figure."""
    figure, axes = rd.new_figure(1, 2, size=(3, 2.4))
    for number in range(count):
        rd.plot_history(axes[0, 0], history(scale=number + 1), f"class {number}")
        rd.plot_roc(axes[0, 1], SCORES + number * LABELS, LABELS, f"class {number}")
    return figure


def variants(names=("resnet18=/some/long/folder/of/weights-0123456789.pth", "resnet34", "vgg16")):
    """Metrics of variants, with the printed averages."""
    titles = ["image AUROC", "pixel AUROC", "PRO", "PRO (official)"]
    values = 95 + np.arange(4.0 * len(names)).reshape(len(names), 4) / 7
    table = pd.DataFrame(values, index=list(names), columns=titles)
    figure, axes = rd.new_figure(1, 4, size=(2.5, 2.2))
    rd.plot_variants(axes, table.assign(**{"PRO, printed average": 96.0}))
    return figure


def histograms():
    """A grid of scores with shared scales, whose last place is empty."""
    figure, axes = rd.new_figure(2, 3, size=(1.5, 1.2))
    for ax in axes.flat[:5]:
        rd.plot_scores(ax, SCORES, LABELS, "metal nut")
    figures.outer_labels(axes)
    figures.hide_unused(axes)
    return figure


def stages():
    """Seconds of two methods by stage."""
    table = pd.DataFrame({"teacher": [0.1, 0.2], "map": [0.3, 0.1]}, index=["ours", "PaDiM"])
    figure, ax = rd.new_figure(size=(6, 1.7))
    rd.plot_stages(ax, table)
    return figure


def stopping():
    """A loss with the epoch of the lowest validation loss."""
    figure, ax = rd.new_figure()
    rd.plot_stopping(ax, history(), "all images")
    validation = [1.1 / e for e in range(1, 9)] + [0.2] * 4
    rd.plot_stopping(ax, history(scale=1.1) | {"validation_loss": validation}, "a part held out")
    return figure


DRAWN = [several_curves, variants, histograms, stages, stopping]


def settle(figure):
    """Let the layout find its places, as before a figure is saved."""
    figure.draw_without_rendering()
    figure.draw_without_rendering()


def shown_texts(figure):
    """The texts of a figure that can be seen."""
    return [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]


@pytest.mark.parametrize("draw", DRAWN, ids=lambda f: f.__name__)
def test_text_is_at_least_seven_points_and_inside_the_figure(draw):
    figure = draw()
    settle(figure)
    assert figure.get_figwidth() <= figures.WIDTHS["page"] + 1e-6
    edge = figure.bbox.padded(2)
    for text in shown_texts(figure):
        assert text.get_fontsize() >= 7, text.get_text()
    for ax in figure.axes:
        for text in (ax.title, ax.xaxis.label, ax.yaxis.label):
            if text.get_text().strip() and ax.axison:
                box = text.get_window_extent()
                assert edge.x0 <= box.x0 and box.x1 <= edge.x1, text.get_text()
                assert edge.y0 <= box.y0 and box.y1 <= edge.y1, text.get_text()


@pytest.mark.parametrize("draw", DRAWN, ids=lambda f: f.__name__)
def test_the_legend_stands_outside_the_axes_once(draw):
    figure = draw()
    settle(figure)
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert len(names) == len(set(names)) > 0
    box = legend.get_window_extent()
    assert not any(box.overlaps(ax.get_window_extent()) for ax in figure.axes)
    titles = [ax.title for ax in figure.axes if ax.get_title()]
    assert not any(box.overlaps(title.get_window_extent()) for title in titles)
    assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
    assert not any(ax.get_legend() for ax in figure.axes)


def test_a_name_is_left_out_where_a_longer_entry_begins_with_it():
    names = [text.get_text() for text in several_curves(2).legends[0].get_texts()]
    first = f"class 0: AUROC {100 * rd.auroc(SCORES, LABELS):.1f} %"
    assert sorted(names) == ["chance", first, "class 1: AUROC 100.0 %"]


def test_a_class_looks_the_same_in_every_figure():
    losses, rocs = several_curves().axes
    curves = [line for line in rocs.lines if line.get_label() != "chance"]
    looks = [
        [(line.get_color(), line.get_linestyle()) for line in lines]
        for lines in (losses.lines, curves)
    ]
    assert looks[0] == looks[1] and len(set(looks[0])) == 10


@pytest.mark.parametrize(
    ("rows", "columns", "size", "width", "inches"),
    [
        (1, 1, (6, 4), None, (3.3, 2.2)),
        (1, 1, (6.9, 2), "page", (6.9, 2)),
        (2, 3, (4.6, 2), None, (6.9, 2)),
        (1, 2, (2, 1), None, (4, 1)),  # never larger than asked for
    ],
)
def test_figures_are_as_wide_as_a_column_or_a_page(rows, columns, size, width, inches):
    figure, _ = rd.new_figure(rows, columns, size=size, width=width)
    assert figure.get_size_inches() == pytest.approx(inches)


@pytest.mark.parametrize("values", [(0.101, 0.18), (0.9, 4.0), (0.05, 0.7), (7.5, 42), (1e-4, 1e5)])
def test_a_logarithmic_axis_has_three_to_eight_plain_labels(values):
    _, ax = rd.new_figure()
    rd.plot_history(ax, {"epoch": [1, 2], "loss": list(values)})
    low, high = ax.get_ylim()
    inside = [tick for tick in ax.get_yticks() if low <= tick <= high]
    assert 3 <= len(inside) <= 8
    texts = [ax.yaxis.get_major_formatter()(tick) for tick in inside]
    assert [float(text) for text in texts] == pytest.approx(inside) and len(set(texts)) == len(
        texts
    )


@pytest.mark.parametrize("values", [(7.5, 42), (0.9, 3.3)])
def test_a_logarithmic_axis_has_ticks_in_its_lower_half(values):
    _, ax = rd.new_figure()
    rd.plot_history(ax, {"epoch": [1, 2], "loss": list(values)})
    low, high = ax.get_ylim()
    assert sum(low <= tick <= np.sqrt(low * high) for tick in ax.get_yticks()) >= 2


def test_names_of_variants_do_not_overprint():
    maps = np.random.default_rng(0).random((2, 16, 16)).astype(np.float32)
    masks = np.zeros((2, 16, 16), bool)
    p = rd.Predictions(
        maps, maps.max((1, 2)), masks, np.array([1, 1]), ["a", "b"], ["x", "y"], "", 1
    )
    data = [{"image": rd_image()} for _ in range(2)]
    names = [f"resnet{n}=/home/somebody/weights/resnet{n}-0123456789.pth" for n in (18, 34, 50)]
    figure, axes = rd.new_figure(2, 4, size=(1.9, 1.9))
    rd.plot_variant_maps(axes, data, dict.fromkeys(names, p), {"broken_large": 0, "scratch": 1})
    settle(figure)
    titles = [ax._left_title for ax in axes[0]]
    boxes = [title.get_window_extent() for title in titles]
    assert all(a.x1 < b.x0 for a, b in pairwise(boxes))
    assert "somebody" not in titles[1].get_text() and "resnet18-" in titles[1].get_text()
    low, high = map(float, axes[-1, 1].texts[0].get_text().split(" to "))
    assert low == pytest.approx(maps.min(), abs=0.01)
    assert high == pytest.approx(np.quantile(maps, 0.999), abs=0.01)


def rd_image():
    """A grey picture as a tensor."""
    import torch

    return torch.full((3, 16, 16), 0.5)


def test_shared_scales_are_labelled_once():
    figure = histograms()
    assert figure.get_supxlabel().startswith("image score")
    assert figure.get_supylabel() == "images (% of class)"
    assert not any(ax.get_xlabel() or ax.get_ylabel() for ax in figure.axes)
    assert [ax.axison for ax in figure.axes] == [True] * 5 + [False]
    lowest = figure.axes[2]  # nothing was drawn below it
    assert lowest.xaxis.get_tick_params()["labelbottom"] is True


def test_texts_are_wrapped_and_paths_shortened():
    assert base.wrapped("a=/b/c/d.pth", 3) == "a=d.pth"
    assert base.wrapped("one two three", 0.45).split("\n") == ["one two", "three"]


def test_a_picture_has_rounded_colours_and_is_written_whole(tmp_path):
    figure, ax = rd.new_figure()
    ax.imshow(np.random.default_rng(0).random((40, 40, 3)))
    exact = tmp_path / "exact.png"
    figures.write_figure(figure, exact, "png")
    figures.save_png(figure, tmp_path / "maps" / "x.png")
    first, second = (
        np.asarray(Image.open(f).convert("RGB"), int) for f in (exact, tmp_path / "maps" / "x.png")
    )
    assert np.abs(first - second).max() <= base.COLOUR_STEP / 2
    assert [f.name for f in (tmp_path / "maps").iterdir()] == ["x.png"]
    assert set(np.unique(second) % base.COLOUR_STEP) <= {0, 7}, "multiples of the step, and 255"
