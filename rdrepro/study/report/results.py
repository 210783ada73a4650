"""Notebook 10: verdicts, misses, figures and anomaly maps."""

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from rdrepro.metric_names import ROW_METRIC
from rdrepro.registry import DATASETS, MVTEC_CATEGORIES
from rdrepro.study import figures, selection
from rdrepro.study.compare import compare, departures
from rdrepro.study.evidence import Evidence
from rdrepro.study.formats import interval
from rdrepro.study.found import and_, cell_title, find, table_title
from rdrepro.study.printed import paper_cells, printed_cells
from rdrepro.study.selection import by_protocol, clean
from rdrepro.study.stats import auroc_interval
from rdrepro.study.tables import FAILED, title_of
from rdrepro.study.tiers import REDUCED, TIERS
from rdrepro.study.wording import network

if TYPE_CHECKING:
    from rdrepro.evaluation import Predictions


def verdicts(runs: pd.DataFrame) -> pd.DataFrame:
    """How many cells of each printed table have each verdict, with misses first."""
    counts = _counts(compare(printed_cells(), runs), "verdict")
    order = [*FAILED, "close", "incomplete", "no verdict", "reproduced", "overlaps", "not run"]
    counts = counts.reindex(columns=[*order, "not printed"], fill_value=0)
    return counts.loc[:, counts.any()].reset_index()


def tier_counts(runs: pd.DataFrame) -> pd.DataFrame:
    """How many cells of each printed table have each tier, the highest first.

    Cells with a printed dash are not counted.
    """
    counts = _counts(compare(printed_cells(), runs).dropna(subset="printed"), "tier")
    return counts.reindex(columns=TIERS, fill_value=0).reset_index()


def _counts(results: pd.DataFrame, column: str) -> pd.DataFrame:
    """How many cells of each printed table have each value of a column, without its remarks."""
    named = [table_title(*key) for key in results[["paper", "table"]].to_numpy()]
    table = pd.Categorical(named, dict.fromkeys(named))
    values = results[column].str.replace(r" \(.*", "", regex=True)
    counts = pd.crosstab(table, values).rename_axis(index="table", columns=None)
    return counts.set_axis(counts.index.astype(str))


def misses(runs: pd.DataFrame) -> pd.DataFrame:
    """The cells that differ from the printed value or order, with the largest difference first."""
    results = compare(printed_cells(), runs)
    missed = results[results["verdict"].isin(FAILED) | (results["order"] == "differs")]
    missed = missed.sort_values("delta", key=abs, ascending=False, ignore_index=True)
    size = missed["image_size"].map(lambda size: "" if pd.isna(size) else f"{size:.0f} px")
    lines = {
        "table": [table_title(*key) for key in missed[["paper", "table"]].to_numpy()],
        "cell": [
            cell_title(line, px) for (_, line), px in zip(missed.iterrows(), size, strict=True)
        ],
        "printed": missed["printed"],
        "ours": missed["ours"],
        "95 % interval": [interval(*x) or "-" for x in missed[["low", "high"]].to_numpy(float)],
        "delta": missed["delta"],
        "seeds": missed["n_seeds"],
        "verdict": missed["verdict"],
        "order": missed["order"],
    }
    table = pd.DataFrame(lines)
    return table if missed["order"].ne("").any() else table.drop(columns="order")


def cells_with_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """The lines of the figures that compare our values with printed ones, in percent.

    They are the cells of Tables 1 and 2 with runs, and runs that differ from such a cell's protocol
    in their scale alone.
    """
    results = compare([c for n in "12" for c in paper_cells("rd4ad", n)], runs)
    results = results[results["ours"].notna()]
    size = results["image_size"].map("{:.0f} px".format)
    method = results["method"].where(results["method"] != "Ours", "").add(" ").str.lstrip()
    results = results.assign(label=method + results["category"] + ", " + size)
    results["metric"] = results["metric"].map(title_of)
    return pd.concat([results, _reduced(runs)], ignore_index=True)


def _reduced(runs: pd.DataFrame) -> pd.DataFrame:
    """Results for Tables 1 and 2 at a reduced protocol, those with the most epochs first."""
    found = [one for number in "12" for one in find(runs).evidence["rd4ad", number]]
    found = sorted((one for one in found if one.tier == REDUCED), key=_place)
    lines = [
        {"label": f"{one.place}, {one.ran}", "metric": title_of(one.metric), "verdict": one.tier}
        | {name: getattr(one, name) for name in ("printed", "ours", "low", "high")}
        for one in found
    ]
    return pd.DataFrame(lines)


def _place(one: Evidence) -> tuple:
    return one.place, -one.share, one.ran, list(ROW_METRIC).index(one.metric)


NO_ROWS = "Left out: no row on MVTec AD."


def against_printed(runs: pd.DataFrame) -> Figure | str:
    """Draw printed values and, with intervals, ours, for all cells and protocols with a run."""
    cells = cells_with_runs(runs)
    if cells.empty:
        return NO_ROWS
    lines = len(cells) + cells["label"].nunique()
    figure, ax = figures.new_figure(size=(3.3, 0.75 + figures.LINE * lines))
    figures.plot_paper_against_ours(ax, cells)
    return figure


def deltas(runs: pd.DataFrame) -> Figure | str:
    """Draw the difference between our result and the printed value, by category and metric."""
    cells = cells_with_runs(runs)
    if cells.empty:
        return NO_ROWS
    figure, ax = figures.new_figure(size=(3.3, 1.2 + 0.3 * cells["label"].nunique()))
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


def score_histograms(rows: list[pd.Series], columns: int = 5) -> Figure | str:
    """Draw the image scores of each row as a histogram, `columns` of them to a line (Fig. 5)."""
    if not rows:
        return "Left out: no rows."
    lines = -(-len(rows) // columns)
    figure, axes = figures.new_figure(lines, min(columns, len(rows)), size=(1.38, 1.15))
    panels = np.ravel(axes)
    for ax, row in zip(panels, rows, strict=False):
        category = row["category"].replace("_", " ")
        figures.plot_scores(ax, row["scores"]["score"], row["scores"]["label"], category)
    figures.share_limits(panels[: len(rows)], "y")
    figures.outer_labels(np.atleast_2d(axes))
    figures.hide_unused(panels)
    return figure


def curves(rows: list[pd.Series]) -> Figure | str:
    """Draw the loss curves and the ROC curves of rows, and the score histogram of the last row."""
    if not rows:
        return NO_ROWS
    figure, axes = figures.new_figure(3, 1, size=(3.3, 1.7), width="column")
    losses, rocs, bars = np.ravel(axes)
    for row in rows:
        teacher, scores = network(row["backbone"]), row["scores"]
        figures.plot_history(losses, row["history"], teacher)
        figures.plot_roc(rocs, scores["score"], scores["label"], teacher)
    title = f"{row['category']}: image scores with {teacher}"
    figures.plot_scores(bars, scores["score"], scores["label"], title)
    categories = ", ".join(dict.fromkeys(row["category"] for row in rows))
    losses.title.set_text(f"{categories}: training loss")  # `set_title` would leave the style
    rocs.title.set_text(f"{categories}: ROC of the image scores")
    return figure


def kept_maps(
    rows: list[pd.Series], runs_dir: Path
) -> tuple[list[tuple[pd.Series, "Predictions"]], HTML]:
    """The rows that have stored maps, each with its maps, and a sentence about the other rows."""
    from rdrepro.runs.maps import keep_maps_command, load_maps  # loads torch

    if not rows:
        return [], HTML("<p>There are no runs, and so no maps.</p>")
    found = [(row, load_maps(runs_dir / row["file"])) for row in rows]
    lacking = [row for row, maps in found if maps is None]
    kept = [(row, maps) for row, maps in found if maps is not None]
    said = f"{len(kept)} of {len(rows)} runs on real images have kept their maps here."
    if not lacking:
        return kept, HTML(f"<p>{said}</p>")
    command = escape(keep_maps_command(lacking[0]).replace("`", ""))
    how = f"<details><summary>{said} How to keep maps</summary><p>{command}</p></details>"
    return kept, HTML(how)


def regions(kept: list[tuple[pd.Series, "Predictions"]]) -> Figure | str:
    """Draw PRO curves of stored maps, and the overlap of each defect region against its size."""
    if not kept:
        return "Left out: no run has kept its maps."
    figure, axes = figures.new_figure(1, 2, size=(3.45, 2.4))
    for row, p in kept:
        name = f"{row['category']}, {title_of(row['dataset'])}"
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
    return figures.case_figure(data, p, cases)


def other_seeds(runs: pd.DataFrame) -> dict[str, list[float]]:
    """The image AUROCs, in percent, of embedded categories that ran with several seeds.

    The first is that of the study `embedded`. The others have the same images and settings.
    """
    rows = clean(runs)
    rows = rows[rows["dataset"].eq("synthetic") & rows["rotation"].eq(0)] if len(rows) else rows
    same = ["category", "provenance.train_data_sha256", "provenance.test_data_sha256"]
    found = {}
    for group in by_protocol(rows, also=same):
        first = selection.newest(group[group["study"] == "embedded"], "category")
        others = selection.newest(group[~group["seed"].isin(first["seed"])], "seed")
        if len(first) and len(others):
            aurocs = pd.concat([first, others])["image_auroc"]
            found[first["category"].item()] = (100 * aurocs).tolist()
    return found


def seeds_in_words(runs: pd.DataFrame) -> str:
    """How far another seed moves an embedded category, the widest move; empty if none ran twice."""
    found = other_seeds(runs)
    if not found:
        return ""
    category = max(found, key=lambda name: np.ptp(found[name]))
    first, *others = (f"{value:.1f}" for value in found[category])
    return (
        f"Another seed can change much. With the same images and settings, image AUROC of "
        f"{category.replace('_', ' ')} is {first} % in the table below, and {and_(others)} % with "
        "another seed."
    )


def single_intervals(rows: list[pd.Series]) -> pd.DataFrame:
    """The image AUROC of each row with its 95 % interval over images, in percent."""
    lines = []
    for row in rows:
        counts = row["counts.test_normal"], row["counts.test_anomalous"]
        low, high = auroc_interval(row["image_auroc"], *counts)
        lines.append(
            {
                "run": f"{row['category']}, {network(row['backbone'])}, {row['epochs']} epochs",
                "normal images": counts[0],
                "anomalous images": counts[1],
                "image AUROC": 100 * row["image_auroc"],
                "95 % interval": interval(100 * low, 100 * high),
            }
        )
    return pd.DataFrame(lines)
