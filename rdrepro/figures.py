"""Figures of a run: samples, loss curve, maps beside the truth, score histogram (Figs. 1, 5-7)."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from rdrepro.data.mvtec import MVTecAD
from rdrepro.evaluation import Predictions

# The Okabe-Ito palette, which colour-blind readers can tell apart.
NORMAL, ANOMALOUS = "#0072B2", "#D55E00"
MAP_COLOURS = "inferno"  # perceptually uniform, and its order survives in grey
MAP_OPACITY = 0.6


def show_samples(data: MVTecAD, per_defect: int = 1, columns: int = 6) -> Figure:
    """Draw images of every kind, defects outlined."""
    kinds = {}
    for index, path in enumerate(data.paths):
        kinds.setdefault(path.parent.name, []).append(index)
    kinds = {"good": kinds.pop("good")} | kinds
    items = [data[i] for indices in kinds.values() for i in indices[:per_defect]]
    rows = -(-len(items) // columns)
    width = min(columns, len(items))
    figure, axes = plt.subplots(
        rows, width, figsize=(2 * width, 2.2 * rows), squeeze=False, layout="constrained"
    )
    for ax in axes.flat:
        ax.axis("off")
    for ax, item in zip(axes.flat, items, strict=False):
        show_image(ax, item)
        ax.set_title(item["defect"], fontsize=9)
    return figure


def show_image(ax: Axes, item: dict) -> None:
    """Draw a test image with its ground truth outlined."""
    ax.imshow(item["image"].permute(1, 2, 0).numpy())
    if item["gt_mask"].any():
        ax.contour(item["gt_mask"].numpy(), levels=[0.5], colors="#56B4E9", linewidths=0.8)
    ax.axis("off")


def plot_history(history: pd.DataFrame) -> Figure:
    """Draw the training loss per epoch."""
    figure, ax = plt.subplots(figsize=(5, 3), layout="constrained")
    ax.plot(
        history["epoch"], history["loss"], color=NORMAL, marker="." if len(history) < 40 else ""
    )
    ax.set(xlabel="epoch", ylabel="loss (mean over images)", title="Training loss")
    ax.set_yscale("log")
    for axis_formatter in (ax.yaxis.set_major_formatter, ax.yaxis.set_minor_formatter):
        axis_formatter(ScalarFormatter())
    ax.grid(alpha=0.3)
    return figure


def best_and_worst(predictions: Predictions, each: int = 2) -> dict[str, list[int]]:
    """Return indices of the images that the score ranks best and worst, by what they show."""
    order = np.argsort(predictions.scores, kind="stable")
    normal = [int(i) for i in order if predictions.gt_labels[i] == 0]
    anomalous = [int(i) for i in order if predictions.gt_labels[i] == 1]
    return {
        "best: anomalous, highest scores": anomalous[::-1][:each],
        "best: normal, lowest scores": normal[:each],
        "worst: anomalous, lowest scores": anomalous[:each],
        "worst: normal, highest scores": normal[::-1][:each],
    }


def show_maps(data: MVTecAD, predictions: Predictions, groups: dict[str, Sequence[int]]) -> Figure:
    """Draw image with outlined truth, and its map over it, per group; one colour scale for all."""
    scale = {
        "vmin": float(predictions.maps.min()),
        "vmax": float(np.quantile(predictions.maps, 0.999)),
    }
    width = max(len(indices) for indices in groups.values())
    figure, axes = plt.subplots(
        len(groups),
        2 * width,
        figsize=(4.2 * width, 2.4 * len(groups)),
        squeeze=False,
        layout="constrained",
    )
    for ax in axes.flat:
        ax.axis("off")
    for row, (title, indices) in zip(axes, groups.items(), strict=True):
        for pair, index in zip(row.reshape(-1, 2), indices, strict=False):
            item = data[index]
            show_image(pair[0], item)
            pair[0].set_title(item["defect"], fontsize=8, loc="left")
            pair[1].imshow(item["image"].mean(dim=0).numpy(), cmap="gray")
            shown = pair[1].imshow(
                predictions.maps[index], cmap=MAP_COLOURS, alpha=MAP_OPACITY, **scale
            )
            pair[1].set_title(f"score {predictions.scores[index]:.3g}", fontsize=8)
        row[0].set_title(f"{title.upper()}\n{row[0].get_title('left')}", fontsize=8, loc="left")
    figure.colorbar(shown, ax=axes, label="anomaly map, one scale for all", shrink=0.6)
    return figure


def plot_scores(predictions: Predictions) -> Figure:
    """Draw the histogram of image scores, normal beside anomalous (Fig. 5)."""
    figure, ax = plt.subplots(figsize=(5, 3), layout="constrained")
    table = pd.DataFrame(
        {
            "image score": predictions.scores,
            "images": np.where(predictions.gt_labels == 1, "anomalous", "normal"),
        }
    )
    sns.histplot(
        table,
        x="image score",
        hue="images",
        hue_order=["normal", "anomalous"],
        palette={"normal": NORMAL, "anomalous": ANOMALOUS},
        bins=25,
        ax=ax,
    )
    ax.set(ylabel="number of images", title="Image scores, higher = more anomalous")
    return figure
