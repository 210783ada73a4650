"""Notebook 10: verdicts, misses, figures and anomaly maps."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown
from matplotlib.figure import Figure

from rdrepro.registry import (
    DATASETS,
    MVTEC_CATEGORIES,
)
from rdrepro.study import figures, selection
from rdrepro.study.compare import compare, departures, other_protocols
from rdrepro.study.formats import interval
from rdrepro.study.html_tables import html_table
from rdrepro.study.printed import paper_cells, printed_cells
from rdrepro.study.report.shared import READABLE
from rdrepro.study.selection import clean
from rdrepro.study.stats import auroc_interval
from rdrepro.study.tables import FAILED, title_of
from rdrepro.study.tiers import TIERS

if TYPE_CHECKING:
    from rdrepro.evaluation import Predictions


def verdicts(runs: pd.DataFrame) -> pd.DataFrame:
    """How many cells of each printed table have each verdict, with failures first."""
    results = compare(printed_cells(), runs)
    results["verdict"] = results["verdict"].str.replace(r" \(.*", "", regex=True)
    counts = results.groupby(["paper", "table"])["verdict"].value_counts().unstack(fill_value=0)
    order = [*FAILED, "close", "incomplete", "no verdict", "reproduced", "overlaps", "not run"]
    counts = counts.reindex(columns=[*order, "not printed"], fill_value=0)
    return counts.loc[:, counts.any()].rename_axis(columns=None).reset_index()


def tier_counts(runs: pd.DataFrame) -> pd.DataFrame:
    """How many cells of each printed table stand at each tier, the highest first.

    Cells with a printed dash are not counted.
    """
    results = compare(printed_cells(), runs).dropna(subset="printed")
    results["tier"] = results["tier"].str.replace(r" \(.*", "", regex=True)
    counts = results.groupby(["paper", "table"])["tier"].value_counts().unstack(fill_value=0)
    return counts.reindex(columns=TIERS, fill_value=0).rename_axis(columns=None).reset_index()


def misses(runs: pd.DataFrame) -> pd.DataFrame:
    """The cells that differ from the printed value or order, with the largest difference first."""
    results = compare(printed_cells(), runs)
    missed = results[results["verdict"].isin(FAILED) | (results["order"] == "differs")].copy()
    missed = missed.sort_values("delta", key=abs, ascending=False)
    missed["interval"] = [interval(*x) for x in missed[["low", "high"]].to_numpy(float)]
    columns = ["paper", "table", "dataset", "category", "method", "image_size", "metric"]
    columns += ["printed", "ours", "interval", "delta", "n_seeds", "verdict", "order", "tier"]
    missed["image_size"] = missed["image_size"].astype("Int64")
    missed["metric"] = missed["metric"].map(title_of)
    return missed[columns].rename(columns=READABLE).reset_index(drop=True)


def cells_with_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """The lines of the figures that compare our values with printed ones.

    They are the cells of Tables 1-2 with runs, and runs with other protocols on small backbones.
    """
    results = compare([c for n in "12" for c in paper_cells("rd4ad", n)], runs)
    results = results[results["ours"].notna()]
    size = results["image_size"].astype("Int64").astype(str)
    method = results["method"].where(results["method"] != "Ours", "").add(" ").str.lstrip()
    results = results.assign(label=method + results["category"] + ", " + size + " px")
    beside = other_protocols(runs, "small-backbones")
    if len(beside):
        # The variants of the ablations are shown by `shape_tables`.
        beside = beside[~beside["differs in"].str.contains("bottleneck=|_layers=")]
        label = beside["category"] + ", " + beside["backbone"] + ", "
        label += beside["epochs"].astype(str) + " epochs " + beside["differs in"]
        label = label.str.strip()
        beside = beside.assign(label=label, ours=beside["mean"], verdict="another protocol")
    shown = pd.concat([results, beside], ignore_index=True)
    return shown.assign(metric=shown["metric"].map(title_of))


NO_ROWS = "Left out: no row on MVTec AD."


def against_print(runs: pd.DataFrame) -> Figure | str:
    """Draw printed values and, with intervals, ours, for all cells and protocols with a run."""
    cells = cells_with_runs(runs)
    if cells.empty:
        return NO_ROWS
    figure, ax = figures.new_figure(size=(8, 1.2 + 0.25 * len(cells)))
    figures.plot_paper_against_ours(ax, cells)
    return figure


def deltas(runs: pd.DataFrame) -> Figure | str:
    """Draw the difference between our result and the printed value, by category and metric."""
    cells = cells_with_runs(runs)
    if cells.empty:
        return NO_ROWS
    figure, ax = figures.new_figure(size=(8, 1.8 + 0.3 * cells["label"].nunique()))
    figures.plot_deltas(ax, cells)
    return figure


def newest(runs: pd.DataFrame, name: str, column: str) -> list[pd.Series]:
    """The newest row of a study for each value of a column, in the printed order of categories.

    Only rows count that hold their scores and follow the paper's protocol, with the width and
    weights of their own teacher. Variants of an ablation do not count.
    """
    rows = clean(runs, name)
    rows = rows[[not departures(row) for _, row in rows.iterrows()]] if len(rows) else rows
    if rows.empty:
        return []
    rows = selection.newest(rows[["score" in scores for scores in rows["scores"]]], column)
    place = rows["category"].map({c: i for i, c in enumerate(MVTEC_CATEGORIES)})
    return [row for _, row in rows.iloc[place.argsort()].iterrows()]


def row_counts(runs: pd.DataFrame) -> HTML:
    """The number of rows of each study."""
    if runs.empty:
        return html_table(runs, "Result rows")
    counts = runs["study"].value_counts(sort=False).reset_index(name="rows")
    return html_table(counts, "Result rows", prose=True)


def score_histograms(rows: list[pd.Series], columns: int = 5) -> Figure | str:
    """Draw the image scores of each row as a histogram, `columns` of them to a line (Fig. 5)."""
    if not rows:
        return "Left out: no rows."
    lines = -(-len(rows) // columns)
    figure, axes = figures.new_figure(lines, min(columns, len(rows)), size=(2.4, 2.1))
    panels = np.ravel(axes)
    for ax, row in zip(panels, rows, strict=False):
        figures.plot_scores(ax, row["scores"]["score"], row["scores"]["label"], row["category"])
    for ax in panels[len(rows) :]:
        ax.set_axis_off()
    return figure


def curves(rows: list[pd.Series]) -> Figure | str:
    """Draw the loss curves and the ROC curves of rows, and the score histogram of the last row."""
    if not rows:
        return NO_ROWS
    figure, axes = figures.new_figure(1, 3, size=(4.4, 3.4))
    for row in rows:
        figures.plot_history(axes[0, 0], row["history"], row["backbone"])
        figures.plot_roc(
            axes[0, 1], row["scores"]["score"], row["scores"]["label"], row["backbone"]
        )
    title = f"{row['category']}, {row['backbone']}"
    figures.plot_scores(axes[0, 2], row["scores"]["score"], row["scores"]["label"], title)
    return figure


def kept_maps(
    rows: list[pd.Series], runs_dir: Path
) -> tuple[list[tuple[pd.Series, "Predictions"]], Markdown]:
    """The rows that have stored maps, each with its maps, and a sentence about the other rows."""
    from rdrepro.runs.maps import keep_maps_command, load_maps  # loads torch

    found = [(row, load_maps(runs_dir / row["file"])) for row in rows]
    lacking = [row for row, maps in found if maps is None]
    if not rows:
        return [], Markdown("*No runs, and so no maps.*")
    note = f"{len(lacking)} of {len(rows)} runs have kept no maps."
    note += f" {keep_maps_command(lacking[0])}" if lacking else ""
    return [(row, maps) for row, maps in found if maps is not None], Markdown(f"*{note}*")


def regions(kept: list[tuple[pd.Series, "Predictions"]]) -> Figure | str:
    """Draw PRO curves of stored maps, and the overlap of each defect region against its size."""
    if not kept:
        return "Left out: no run has kept its maps."
    figure, axes = figures.new_figure(1, 2, size=(4.2, 3.2))
    for row, p in kept:
        name = f"{row['category']} ({row['dataset']})"
        figures.plot_pro(axes[0, 0], p.maps, p.gt_masks, name)
        overlaps = figures.region_overlaps(p.maps, p.gt_masks)
        figures.plot_region_overlap(axes[0, 1], overlaps, name)
    return figure


def overlays(
    kept: list[tuple[pd.Series, "Predictions"]], results_dir: Path
) -> Iterator[tuple[str, Figure | str]]:
    """Yield, for each set of stored maps, a figure's name and the figure (Figs. 1, 6 and 7).

    A figure shows each kind of defect and the smallest region. Where it cannot be drawn, a sentence
    says why.
    """
    if not kept:
        yield "overlays", "Left out: no run has kept its maps."
    for row, p in kept:
        yield f"overlays_{row['dataset']}_{row['category']}", _overlay(row, p, results_dir)


def _overlay(row: pd.Series, p: "Predictions", results_dir: Path) -> Figure | str:
    settings = {name: row[name] for name in ("category", "data_seed", "image_size")}
    embedded = DATASETS[row["dataset"]].embedded
    settings |= {"preset": "demo"} if embedded else {"preset": "quick", "weights": "random"}
    from rdrepro.runs.resolve import resolve

    try:
        data = resolve(**settings, results_dir=str(results_dir)).dataset("test")
    except (ValueError, FileNotFoundError) as error:
        return f"Left out, since the images of {row['category']} are not here: {error}"
    cases = figures.choose_cases(p, "defect") | figures.choose_cases(p, "smallest")
    figure, axes = figures.new_figure(len(cases), 3, size=(1.9, 1.9))
    figures.plot_cases(axes, data, p, cases)
    return figure


def single_intervals(rows: list[pd.Series]) -> pd.DataFrame:
    """The image AUROC of each row with its 95 % interval over images, in percent."""
    lines = []
    for row in rows:
        counts = row["counts.test_normal"], row["counts.test_anomalous"]
        low, high = auroc_interval(row["image_auroc"], *counts)
        numbers = {"image AUROC": row["image_auroc"], "low": low, "high": high}
        lines.append({"row": row["file"]} | {k: 100 * v for k, v in numbers.items()})
    return pd.DataFrame(lines)
