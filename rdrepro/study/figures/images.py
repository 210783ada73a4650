"""Figures of images: samples, chosen cases and anomaly maps (Figs. 1, 6 and 7)."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike
from skimage.measure import label as connected_components

from rdrepro.metrics import EIGHT_CONNECTED
from rdrepro.study.figures.base import (
    OUTLINE,
    SMALL,
    hide_unused,
    new_figure,
    styled,
    width_of,
    wrapped,
)
from rdrepro.text import one_of

if TYPE_CHECKING:
    from rdrepro.data.splits import ImageData
    from rdrepro.evaluation import Predictions

MAP_COLOURS = "inferno"  # perceptually uniform, and its order is kept in grey
MAP_OPACITY = 0.6
MAP_LABEL = "anomaly map (no unit)\nhigher = more anomalous"
# At the AUPRO's own limit nearly every region is found whole, whatever its size.
REGION_FPR = 0.05
RULES = ("defect", "smallest", "best and worst")
PANELS = ("input", "outlined defect", "anomaly map")


@styled
def plot_image(ax: Axes, item: dict) -> Axes:
    """Draw a test image and outline its defect mask, if it has one.

    item: of a data set, such as `MVTecAD`.
    """
    ax.imshow(item["image"].permute(1, 2, 0).numpy())
    if "gt_mask" in item and item["gt_mask"].any():
        contour = ax.contour(item["gt_mask"].numpy(), levels=[0.5], colors=OUTLINE, linewidths=0.9)
        contour.set_path_effects([withStroke(linewidth=1.8, foreground="black")])
    ax.axis("off")
    return ax


@styled
def plot_samples(axes: np.ndarray, data: "ImageData") -> np.ndarray:
    """Draw the first images of every kind, normal ones first, with outlined defects.

    axes: (images of each kind, kinds), with as many kinds as `data.counts()` has.
    """
    kinds = {"good": []}
    for index, path in enumerate(data.paths):
        kinds.setdefault(path.parent.name, []).append(index)
    for column, (kind, indices) in zip(axes.T, kinds.items(), strict=True):
        column[0].set_title(wrapped(kind.replace("_", " "), width_of(column[0])))
        for ax in column:
            ax.axis("off")
        for ax, index in zip(column, indices, strict=False):
            plot_image(ax, data[index])
    return axes


def choose_cases(predictions: "Predictions", by: str) -> dict[str, int]:
    """Choose images by a rule; return their indices by a text that says what each image is.

    The rule `by` is one of these:
    "defect": for each kind of defect, the image with the (lower) median score.
    "smallest": the image with the smallest defect region (Fig. 7).
    "best and worst": the normal and the anomalous image that the score ranks best, and those that
    it ranks worst.

    Raises ValueError for another rule.
    """
    p = predictions
    order = np.argsort(p.scores, kind="stable")
    normal, anomalous = (order[p.gt_labels[order] == kind].tolist() for kind in (0, 1))
    if by == "defect":
        kinds = sorted({p.defects[i] for i in anomalous})
        of_kind = {kind: [i for i in anomalous if p.defects[i] == kind] for kind in kinds}
        return {kind: indices[(len(indices) - 1) // 2] for kind, indices in of_kind.items()}
    if by == "smallest":
        regions = region_overlaps(p.maps, p.gt_masks)
        return {"smallest region": int(regions["image"][regions["size_px"].idxmin()])}
    if by == "best and worst":
        return {
            "best: anomalous, highest score": anomalous[-1],
            "best: normal, lowest score": normal[0],
            "worst: anomalous, lowest score": anomalous[0],
            "worst: normal, highest score": normal[-1],
        }
    raise ValueError(f"by={by!r} is not {one_of(RULES)}")


def plot_cases(
    axes: np.ndarray, data: "ImageData", predictions: "Predictions", cases: Mapping[str, int]
) -> np.ndarray:
    """Draw the images chosen by `choose_cases` with their scores.

    axes: as for `plot_overlays`.
    """
    p, indices = predictions, list(cases.values())
    items = [data[i] for i in indices]
    assert [item["path"] for item in items] == [p.paths[i] for i in indices], "not the same images"
    shown = [f"{p.defects[i].replace('_', ' ')}, score {significant(p.scores[i])}" for i in indices]
    names = [name.replace("_", " ") for name in cases]
    titles = [s if s.startswith(n) else f"{n}\n{s}" for n, s in zip(names, shown, strict=True)]
    return plot_overlays(axes, items, p.maps[indices], titles)


def case_figure(data: "ImageData", predictions: "Predictions", cases: Mapping[str, int]) -> Figure:
    """A figure of a paper's full width with the images chosen by `choose_cases`, two to a line."""
    lines = -(-len(cases) // 2)
    figure, axes = new_figure(lines, 6, size=(1.15, 1.25))
    plot_cases(axes, data, predictions, cases)
    return figure


@styled
def plot_overlays(
    axes: np.ndarray, items: Sequence[dict], maps: np.ndarray, titles: Sequence[str]
) -> np.ndarray:
    """Draw N images, three panels each: the input, the outlined ground truth and the anomaly map.

    All maps have one colour scale. The panels of the first line are named.

    axes: any array of 3 N axes or more, filled row by row. maps: (N, H, W), higher = more
    anomalous.
    """
    scale = map_scale(maps)
    cases = np.ravel(axes).reshape(-1, 3)
    first_line = np.atleast_2d(axes)[0]
    for panels, item, anomaly_map, title in zip(cases, items, maps, titles, strict=False):
        plot_image(panels[0], {"image": item["image"]})
        plot_image(panels[1], item)
        shown = plot_overlay(panels[2], item, anomaly_map, scale)
        names = PANELS if panels[0] in first_line else ("", "", "")
        # The text of a case may be as wide as its three panels, so it stands a line higher.
        title = wrapped(title, 3 * width_of(panels[0]))
        panels[0].set_title(f"{title}\n{names[0]}".rstrip(), loc="left", fontsize=SMALL)
        for ax, name in zip(panels[1:], names[1:], strict=True):
            ax.set_title(name, loc="left", fontsize=SMALL)
    hide_unused(cases)
    colour_scale(axes, shown)
    return axes


def map_scale(maps: np.ndarray) -> dict[str, float]:
    """The limits of the colour scale of maps: the lowest value and the 99.9th percentile."""
    return {"vmin": float(maps.min()), "vmax": float(np.quantile(maps, 0.999))}


def plot_overlay(
    ax: Axes, item: dict, anomaly_map: ArrayLike, scale: Mapping[str, float]
) -> AxesImage:
    """Draw an anomaly map over its image in grey; return the drawn map."""
    ax.imshow(item["image"].mean(dim=0).numpy(), cmap="gray")
    ax.axis("off")
    return ax.imshow(anomaly_map, cmap=MAP_COLOURS, alpha=MAP_OPACITY, **scale)


def colour_scale(axes: np.ndarray, shown: AxesImage, letters: float = SMALL) -> None:
    """Draw the colour scale of all maps of a figure, on the right.

    letters: their size, in points.
    """
    figure = np.ravel(axes)[0].figure
    short = figure.get_figheight() < 2.5
    look = {"shrink": 1 if short else 0.7, "aspect": 15 if short else 25, "pad": 0.01}
    bar = figure.colorbar(shown, ax=axes, **look)
    bar.set_label(MAP_LABEL, fontsize=letters)
    bar.ax.tick_params(labelsize=letters)
    bar.outline.set_visible(False)


@styled
def plot_variant_maps(
    axes: np.ndarray, data: "ImageData", predictions: Mapping[str, "Predictions"], cases: Mapping
) -> np.ndarray:
    """Draw a line per chosen image: the image with its defect outlined, and each variant's map.

    cases: from `choose_cases`. axes: (cases, 1 + variants). Every column has its own colour scale,
    because maps of different layers have different ranges. Its limits, as from `map_scale`, are
    written below the column.
    """
    indices = list(cases.values())
    for line, (case, index) in zip(axes, cases.items(), strict=True):
        title = wrapped(case.replace("_", " "), width_of(line[0]))
        plot_image(line[0], data[index]).set_title(title, loc="left", fontsize=SMALL)
    for column, (name, p) in zip(axes.T[1:], predictions.items(), strict=True):
        shown = p.maps[indices]
        scale = map_scale(shown)
        for ax, anomaly_map in zip(column, shown, strict=True):
            ax.imshow(anomaly_map, cmap=MAP_COLOURS, **scale)
            ax.axis("off")
        column[0].set_title(wrapped(name, width_of(column[0])), loc="left", fontsize=SMALL)
        _below(column[-1], _range(scale))
    return axes


def _range(scale: Mapping[str, float]) -> str:
    """The limits of a colour scale as text."""
    return f"{significant(scale['vmin'])} to {significant(scale['vmax'])}"


def significant(value: float) -> str:
    """A score or a value of a map with three significant digits and without an exponent."""
    return f"{Decimal(f'{value:.2e}'):f}"


def _below(ax: Axes, text: str) -> None:
    """Write a text below an image, in the smallest size."""
    look = {"ha": "center", "va": "top", "fontsize": SMALL, "transform": ax.transAxes}
    ax.text(0.5, -0.02, text, **look)


@styled
def plot_extremes(
    axes: np.ndarray,
    data: "ImageData",
    predictions: "Predictions",
    others: str = "novel",
    overlay: bool = False,
) -> np.ndarray:
    """Draw the images of lowest and highest score, normal ones above, the others below.

    axes: (4, images of each kind). others: what the other images are called in titles. overlay:
    whether each image's map is drawn over it; all maps then have one colour scale.
    """
    p = predictions
    scale = map_scale(p.maps)
    for row, (name, indices) in zip(axes, _extremes(p, others, axes.shape[1]), strict=True):
        for ax, index in zip(row, indices, strict=False):
            plot_image(ax, data[index])
            if overlay:
                shown = ax.imshow(p.maps[index], cmap=MAP_COLOURS, alpha=MAP_OPACITY, **scale)
            _below(ax, significant(p.scores[index]))
        for ax in row:
            ax.axis("off")
        row[0].set_title(name, loc="left", fontsize=SMALL)
    if overlay:
        colour_scale(axes, shown)
    return axes


def _extremes(p: "Predictions", others: str, wanted: int) -> list[tuple[str, np.ndarray]]:
    """The titles and indices of the images of lowest and highest score of both kinds."""
    order = np.argsort(p.scores, kind="stable")
    lines = []
    for label, name in enumerate(("normal", others)):
        ranked = order[p.gt_labels[order] == label]
        most = min(wanted, (len(ranked) + 1) // 2)  # no image is in both rows
        lowest, highest = ranked[:most], ranked[most:][::-1][:most]
        lines += [(f"{name}, lowest", lowest), (f"{name}, highest", highest)]
    return lines


def region_overlaps(
    maps: ArrayLike, gt_masks: ArrayLike, fpr_limit: float = REGION_FPR
) -> pd.DataFrame:
    """A table of all 8-connected defect regions: image, size_px and overlap.

    maps, gt_masks: (N, H, W). The threshold is the value that a share `fpr_limit` of the test set's
    normal pixels exceeds. The overlap is the share of the region that is above the threshold.
    """
    maps, gt_masks = np.asarray(maps), np.asarray(gt_masks) > 0
    found = maps > np.quantile(maps[~gt_masks], 1 - fpr_limit)
    rows = []
    for image, mask in enumerate(gt_masks):
        numbers = connected_components(mask, connectivity=EIGHT_CONNECTED)
        for number in range(1, numbers.max() + 1):
            region = numbers == number
            rows.append((image, int(region.sum()), found[image][region].mean()))
    return pd.DataFrame(rows, columns=["image", "size_px", "overlap"])
