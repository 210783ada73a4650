"""Figures of runs, drawn into given axes: the paper's Figs. 1 and 5-7, curves and comparisons."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib import rc_params_from_file
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter
from numpy.typing import ArrayLike
from skimage.measure import label as connected_components
from sklearn.metrics import auc, roc_curve

from rdrepro import paths
from rdrepro.metrics import EIGHT_CONNECTED, auroc, pro_curve
from rdrepro.text import one_of

if TYPE_CHECKING:
    from rdrepro.data.splits import ImageData
    from rdrepro.evaluation import Predictions

STYLE = Path(__file__).with_name("style.mplstyle")
styled = plt.style.context(STYLE)  # as a decorator, it does not change the reader's own style
COLOURS = rc_params_from_file(STYLE)["axes.prop_cycle"].by_key()["color"]
NORMAL, ANOMALOUS, OUTLINE = COLOURS[:3]
MAP_COLOURS = "inferno"  # perceptually uniform, and its order is kept in grey
MAP_OPACITY = 0.6
DELTA_COLOURS = "RdBu"  # blue: ours is higher; ColorBrewer's, safe for the colour-blind
NOT_RUN = "0.88"  # grey
SCORE_BINS = np.linspace(0, 1, 26)
PRO_LIMIT = 0.3  # Sec. 4.1
# At the PRO's own limit nearly every region is found whole, whatever its size.
REGION_FPR = 0.05
FORMATS = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
RULES = ("defect", "smallest", "best and worst")


def new_figure(
    rows: int = 1, columns: int = 1, size: tuple[float, float] = (5, 3)
) -> tuple[Figure, Axes | np.ndarray]:
    """A figure and its axes: a single one, or an array (rows, columns).

    size: width and height of each of the axes, in inches.
    """
    # This loads the backend. In a notebook, loading it turns interactive drawing on. Inside the
    # style's context that would be undone, and later cells would not show their figures.
    plt.draw_if_interactive()
    with plt.style.context(STYLE):
        inches = (size[0] * columns, size[1] * rows)
        figure, axes = plt.subplots(rows, columns, figsize=inches, squeeze=False)
    return figure, axes if axes.size > 1 else axes[0, 0]


def share_limits(axes: Iterable[Axes], axis: str) -> None:
    """Give all axes the widest limits of any of them. axis: "x" or "y"."""
    axes = list(np.ravel(axes))
    limits = np.array([getattr(ax, f"get_{axis}lim")() for ax in axes])
    for ax in axes:
        getattr(ax, f"set_{axis}lim")(limits.min(), limits.max())


@styled
def save_figure(figure: Figure, name: str, folder: Path | None = None) -> list[Path]:
    """Save a figure as PNG, SVG and PDF in `folder` (default: results/figures); return the files.

    Each file is written under another name first and then renamed. The same figure gives the same
    bytes.
    """
    folder = folder or paths.results_dir() / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.{ending}" for ending in FORMATS]
    for file, (ending, dates) in zip(files, FORMATS.items(), strict=True):
        aside = file.with_name(f".{file.name}.{os.getpid()}.tmp")
        figure.savefig(aside, format=ending, metadata=dates)
        aside.replace(file)
    return files


@styled
def plot_image(ax: Axes, item: dict) -> Axes:
    """Draw a test image and outline its defect mask, if it has one.

    item: of a data set, such as `MVTecAD`.
    """
    ax.imshow(item["image"].permute(1, 2, 0).numpy())
    if "gt_mask" in item and item["gt_mask"].any():
        ax.contour(item["gt_mask"].numpy(), levels=[0.5], colors=OUTLINE, linewidths=0.8)
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
        column[0].set_title(kind)
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
    shown = [f"{p.defects[i]}, score {p.scores[i]:.3g}" for i in indices]
    titles = [s if s.startswith(n) else f"{n}\n{s}" for n, s in zip(cases, shown, strict=True)]
    return plot_overlays(axes, items, p.maps[indices], titles)


@styled
def plot_overlays(
    axes: np.ndarray, items: Sequence[dict], maps: np.ndarray, titles: Sequence[str]
) -> np.ndarray:
    """Draw N images, three panels each: the input, the outlined ground truth and the anomaly map.

    All maps have one colour scale.

    axes: any array of 3 N axes, filled row by row. maps: (N, H, W), higher = more anomalous.
    """
    scale = {"vmin": float(maps.min()), "vmax": float(np.quantile(maps, 0.999))}
    cases = zip(axes.reshape(-1, 3), items, maps, titles, strict=True)
    for row, item, anomaly_map, title in cases:
        for ax, text in zip(row, (title, "ground truth", "anomaly map"), strict=True):
            ax.set_title(text, loc="left", fontsize=8)
            ax.axis("off")
        row[0].imshow(item["image"].permute(1, 2, 0).numpy())
        plot_image(row[1], item)
        row[2].imshow(item["image"].mean(dim=0).numpy(), cmap="gray")
        shown = row[2].imshow(anomaly_map, cmap=MAP_COLOURS, alpha=MAP_OPACITY, **scale)
    label = "anomaly map, one scale for all\nhigher = more anomalous"
    axes.flat[0].figure.colorbar(shown, ax=axes, label=label, shrink=0.6)
    return axes


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
    ax.plot(history["epoch"], history["loss"], _dashes(ax), marker="." if few else "", label=name)
    ax.set(xlabel="epoch", ylabel="loss (mean over images)", yscale="log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))  # also of one epoch
    _plain_numbers(ax.yaxis)
    if name:
        ax.legend()
    return ax


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
                fontsize=7,
            )
        printed = f"{metric}, printed average"
        if printed in table and table[printed].notna().any():
            ax.plot(
                table[printed],
                y,
                "D",
                color=ANOMALOUS,
                fillstyle="none",
                label="paper, average of fifteen",
            )
        ax.set(yticks=y, yticklabels=table.index if not panel else [], xlabel=f"{metric} (%)")
        ax.set_ylim(len(table) - 0.5, -0.6)
        ax.margins(x=0.15)
    axes.flat[0].legend(loc="lower left", bbox_to_anchor=(0, 1))
    return axes


@styled
def plot_variant_maps(
    axes: np.ndarray, data: "ImageData", predictions: Mapping[str, "Predictions"], cases: Mapping
) -> np.ndarray:
    """Draw a line per chosen image: the image with its defect outlined, and each variant's map.

    cases: from `choose_cases`. axes: (cases, 1 + variants). Every column has its own colour scale,
    because maps of different layers have different ranges.
    """
    indices = list(cases.values())
    for line, (case, index) in zip(axes, cases.items(), strict=True):
        plot_image(line[0], data[index]).set_title(case, loc="left", fontsize=8)
    for column, (name, p) in zip(axes.T[1:], predictions.items(), strict=True):
        shown = p.maps[indices]
        scale = {"vmin": float(shown.min()), "vmax": float(np.quantile(shown, 0.999))}
        for ax, anomaly_map in zip(column, shown, strict=True):
            ax.imshow(anomaly_map, cmap=MAP_COLOURS, **scale)
            ax.axis("off")
        column[0].set_title(name, loc="left", fontsize=8)
    return axes


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
    p, wanted = predictions, axes.shape[1]
    scale = {"vmin": float(p.maps.min()), "vmax": float(np.quantile(p.maps, 0.999))}
    order = np.argsort(p.scores, kind="stable")
    lines = {}
    for label, name in enumerate(("normal", others)):
        ranked = order[p.gt_labels[order] == label]
        most = min(wanted, (len(ranked) + 1) // 2)  # no image is in both rows
        lines |= {f"{name}, lowest": ranked[:most], f"{name}, highest": ranked[most:][::-1][:most]}
    for row, (name, indices) in zip(axes, lines.items(), strict=True):
        for ax, index in zip(row, indices, strict=False):
            plot_image(ax, data[index])
            if overlay:
                shown = ax.imshow(p.maps[index], cmap=MAP_COLOURS, alpha=MAP_OPACITY, **scale)
            ax.text(
                0.5,
                -0.02,
                f"{p.scores[index]:.4g}",
                ha="center",
                va="top",
                fontsize=7,
                transform=ax.transAxes,
            )
        for ax in row:
            ax.axis("off")
        row[0].set_title(name, loc="left", fontsize=8)
    if overlay:
        label = "anomaly map, one scale for all\nhigher = more anomalous"
        axes.flat[0].figure.colorbar(shown, ax=axes, label=label, shrink=0.6)
    return axes


@styled
def plot_stopping(ax: Axes, history: Mapping | pd.DataFrame, name: str, title: str = "") -> Axes:
    """Draw a run's training loss and, if it has one, its validation loss with the lowest point.

    Call it again to add a second run (Fig. 7 of the extension). The axis ends at twice the highest
    training loss, because validation losses are far higher before the statistics of the batch norms
    have settled.
    """
    plot_history(ax, history, f"{name}: training")
    ax.set_title(title)
    if not len(history["epoch"]):
        return ax
    if len(ax.lines) > 1:  # it may be the same curve as the first
        ax.lines[-1].set_linestyle("--")
    if "validation_loss" in history:
        epochs, losses = (np.asarray(history[k], float) for k in ("epoch", "validation_loss"))
        best, colour = int(np.argmin(losses)), ax.lines[-1].get_color()
        ax.plot(epochs, losses, ":", color=colour, label=f"{name}: validation")
        told = f"lowest, epoch {epochs[best]:.0f} of {len(epochs)}"
        ax.plot(epochs[best], losses[best], "o", color=colour, label=told)
    curves = {line: np.asarray(line.get_ydata(), float) for line in ax.lines}
    trained = [y.max() for line, y in curves.items() if line.get_label().endswith(": training")]
    ax.set_ylim(0.9 * min(y.min() for y in curves.values()), 2 * max(trained))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18))
    return ax


@styled
def plot_columns(ax: Axes, table: pd.DataFrame, title: str, teachers: Sequence[str]) -> Axes:
    """Draw the extension's Table 3 for one data set: printed values, and those of each teacher.

    table: lines of `medical_tables.columns_table`. A reading is a way to understand a printed
    column. The printed value of a reading is drawn once, as a hollow mark. teachers: those of all
    panels, so that each teacher has the same colour and marker everywhere.
    """
    readings = list(dict.fromkeys(table["reading"]))
    first = table.drop_duplicates("reading").set_index("reading").loc[readings]
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
        label="printed, approximate 95 % interval",
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
    ax.set_yticklabels(list(places))
    ax.invert_yaxis()
    ax.grid(axis="y", alpha=0.4)
    return ax


@styled
def plot_tested(ax: Axes, history: Mapping[str, ArrayLike], name: str) -> Axes:
    """Draw the image AUROC of the test set during training. It was not used to select anything."""
    table = pd.DataFrame({k: history[k] for k in ("epoch", "image_auroc")}).dropna()
    ax.plot(table["epoch"], 100 * table["image_auroc"], marker="o", markersize=3, label=name)
    ax.set(xlabel="epoch", ylabel="image AUROC of the test set (%)")
    ax.legend()
    return ax


@styled
def plot_rotation(ax: Axes, percents: pd.Series, metric: str, name: str) -> Axes:
    """Draw a metric against the angle of the test images; call it again to add a second data set.

    percents: the metric in percent. The index is the angle in degrees, counter-clockwise.
    """
    marker = "os^D"[len(ax.lines) % 4]
    ax.plot(percents.index, percents, _dashes(ax), marker=marker, markersize=3, label=name)
    ax.set(xlabel="rotation of the test images (degrees)", ylabel=f"{metric} (%)")
    ax.set_xticks(range(0, 360, 90))
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
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4)
    return ax


def _dashes(ax: Axes) -> str:
    """The style of the next line, which is dashed once every colour has been used."""
    return "-" if len(ax.lines) < len(COLOURS) else "--"


def _plain_numbers(axis: Axis) -> None:
    """Label a logarithmic axis with 1, 2, 5, 10, ..., because labels as powers would overlap."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(ScalarFormatter())
    axis.set_minor_formatter(NullFormatter())


def scale_scores(scores: ArrayLike) -> np.ndarray:
    """Scores shifted and scaled to [0, 1] (Fig. 5); all 0 if they are all equal."""
    scores = np.asarray(scores, dtype=float)
    return (scores - scores.min()) / (np.ptp(scores) or 1.0)


@styled
def plot_scores(ax: Axes, scores: ArrayLike, labels: ArrayLike, title: str = "") -> Axes:
    """Draw the histogram of one category's image scores, normal and anomalous (Fig. 5)."""
    scaled, labels = scale_scores(scores), np.asarray(labels)
    ax.margins(y=0.25)  # room for the legend above the bars
    for label, (name, colour) in enumerate((("normal", NORMAL), ("anomalous", ANOMALOUS))):
        ax.hist(scaled[labels == label], SCORE_BINS, color=colour, alpha=0.6, label=name)
    xlabel = "image score, scaled to 0-1\n(higher = more anomalous)"
    ax.set(xlabel=xlabel, ylabel="number of images", title=title)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="upper center", ncols=2)
    return ax


@styled
def plot_roc(ax: Axes, scores: ArrayLike, labels: ArrayLike, name: str) -> Axes:
    """Draw the ROC curve of image scores, with its AUROC in the legend.

    Call it again to add another curve.
    """
    if not ax.lines:
        ax.axline((0, 0), slope=1, color="0.5", linestyle=":", label="chance")
    fpr, tpr, _ = roc_curve(labels, scores)
    ax.plot(fpr, tpr, _dashes(ax), label=f"{name}: AUROC {100 * auroc(scores, labels):.1f} %")
    ax.set(xlabel="false positive rate (normal images)", ylabel="true positive rate")
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    ax.legend(loc="lower right")
    return ax


@styled
def plot_pro(ax: Axes, maps: ArrayLike, gt_masks: ArrayLike, name: str) -> Axes:
    """Draw the PRO curve of maps (N, H, W) up to PRO_LIMIT, with AUPRO in the legend (Sec. 4.1)."""
    if not ax.lines:
        ax.axvline(PRO_LIMIT, color="0.5", linestyle=":", label=f"limit, FPR {PRO_LIMIT}")
    fpr, pro = pro_curve(maps, gt_masks, PRO_LIMIT)
    inside = fpr < PRO_LIMIT
    pro = np.append(pro[inside], np.interp(PRO_LIMIT, fpr, pro))
    fpr = np.append(fpr[inside], PRO_LIMIT)
    ax.plot(fpr, pro, label=f"{name}: AUPRO {100 * auc(fpr, pro) / PRO_LIMIT:.1f} %")
    ax.set(xlabel="false positive rate (normal pixels)", ylabel="per-region overlap, mean")
    ax.set(xlim=(-0.005, PRO_LIMIT + 0.01), ylim=(-0.02, 1.02))
    ax.legend(loc="lower right", bbox_to_anchor=(0.95, 0))
    return ax


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


@styled
def plot_region_overlap(ax: Axes, table: pd.DataFrame, name: str | None = None) -> Axes:
    """Draw the overlap of each region against its size; call it again to add a second run.

    table: from `region_overlaps`.
    """
    ax.scatter(table["size_px"], table["overlap"], s=12, alpha=0.5, linewidths=0, label=name)
    ax.set(xlabel="size of the defect region (pixels)", xscale="log", ylim=(-0.03, 1.03))
    ax.set(ylabel="share of the region found")
    _plain_numbers(ax.xaxis)
    if name:
        ax.legend()
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
    interval = [cells["ours"] - cells["low"], cells["high"] - cells["ours"]]
    ax.errorbar(cells["ours"], y, xerr=interval, fmt="o", color=NORMAL, label="ours, 95 % interval")
    ax.plot(cells["printed"], y, "D", color=ANOMALOUS, fillstyle="none", label="paper")
    for line, verdict in zip(y, cells["verdict"], strict=True):
        ax.text(1.01, line, verdict, va="center", fontsize=8, transform=ax.get_yaxis_transform())
    xlabel = "percent" if several else f"{cells['metric'].iloc[0]} (percent)"
    ax.set(xlabel=xlabel, yticks=y, yticklabels=names, ylim=(len(cells) - 0.5, -0.5))
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
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
    look["cbar_kws"] = {"label": "ours - paper (points)"}
    import seaborn as sns  # slow to load, and only this figure needs it

    sns.heatmap(delta, annot=True, fmt="+.1f", ax=ax, **look)
    for row, column in np.argwhere(delta.isna().to_numpy()):
        text = "not printed" if np.isnan(printed.iat[row, column]) else "not run"
        ax.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=7)
    ax.set(xlabel="", ylabel="", facecolor=NOT_RUN)
    ax.tick_params(axis="y", rotation=0)
    ax.grid(False)
    return ax
