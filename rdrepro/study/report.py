"""What the report shows: tables with captions, verdicts, and figures of rows and stored maps."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown
from matplotlib.figure import Figure

from rdrepro import paths
from rdrepro.presets import PRESETS
from rdrepro.registry import (
    CHOICE_TEST,
    CHOICE_TRAIN,
    DATASETS,
    MEDICAL,
    MVTEC_CATEGORIES,
    of_family,
)
from rdrepro.study import figures, rotation, selection, tables
from rdrepro.study import medical_tables as medical
from rdrepro.study.ablation import ablation_table, orders
from rdrepro.study.compare import compare, departures, left_out, other_protocols
from rdrepro.study.complexity import complexity_table
from rdrepro.study.formats import html_table, interval, save_table
from rdrepro.study.novelty import (
    CURVES_STUDY,
    averages_table,
    clean_rows,
    predictions_table,
    protocols,
)
from rdrepro.study.novelty_choice import chosen_switches, grid_table
from rdrepro.study.printed import paper_cells, printed_cells
from rdrepro.study.selection import clean
from rdrepro.study.stats import auroc_interval
from rdrepro.study.tables import FAILED, title_of
from rdrepro.study.tiers import TIERS

if TYPE_CHECKING:
    from rdrepro.evaluation import Predictions

CAPTIONS = {
    ("rd4ad", "1"): "image AUROC (%) on MVTec AD, by category and input resolution",
    ("rd4ad", "2"): "pixel AUROC / PRO (%) on MVTec AD; PRO by the authors' formula",
    ("rd4ad", "3"): "seconds per image, memory (printed as MB, held in MiB) and averages (%)",
    ("rd4ad", "4"): "image AUROC (%) of one-class novelty detection, averaged over classes",
    ("rd4ad", "5"): "ablation of the bottleneck, averages over fifteen categories (%)",
    ("rd4ad", "6"): "teacher backbones, averages over fifteen categories (%)",
    ("rd4ad", "7"): "layers whose maps are summed, averages over fifteen categories (%)",
    ("rkd_medical", "1"): 'pixel AUROC / "PRO" (%) on textures; its "PRO" is recall at Youden\'s J',
    ("rkd_medical", "2"): 'pixel AUROC / "PRO" (%) on objects; its "PRO" is recall at Youden\'s J',
    ("rkd_medical", "3"): "image AUROC (%) on medical images",
    ("rkd_medical", "4"): 'pixel AUROC / "PRO" (%) on textures, with its loss L_MKD',
}
WIDE = 16  # columns
READABLE = {"image_size": "px", "n_seeds": "seeds"}


def printed_tables(runs: pd.DataFrame, folder: Path) -> Iterator[HTML]:
    """Save and yield every printed table, followed by its footnotes and the rows left out of it."""
    for (paper, number), caption in CAPTIONS.items():
        table = tables.printed_table(paper, number, runs)
        save_table(table, tables.table_name(paper, number), folder)
        whose = "" if paper == "rd4ad" else " of the extension"
        digits = 2 if number == "3" and paper == "rd4ad" else 1
        shown, title = compact(table), f"<b>Table {number}{whose}</b>"
        ours = shown.drop(columns="printed", level=0)
        wide = shown.shape[1] > WIDE
        first = shown[["printed"]] if wide else shown
        yield html_table(first, f"{title}: {caption}.", digits=digits)
        if wide:
            yield html_table(ours, f"{title}, our runs.", digits=digits)
        below = {"Footnotes to": footnotes(runs, paper, number)}
        below["Rows left out of"] = left_out(runs, paper_cells(paper, number))
        for what, table in below.items():
            if len(table):
                yield html_table(table, f"{what} Table {number}{whose}", prose=True, fold=True)


SHAPES = {"5": "bottlenecks", "6": "teachers", "7": "choices of layers"}


def shape_tables(runs: pd.DataFrame, folder: Path) -> Iterator[HTML]:
    """Save and yield how results change from column to column of Tables 5-7, and their order.

    `ablation.steps` computes the changes.
    """
    for number, what in SHAPES.items():
        title = f"<b>Table {number} in shape</b>: {what}"
        table, order = (f(runs, number) for f in (ablation_table, orders))
        for part, name in ((table, "shape"), (order, "order")):
            if len(part):
                save_table(part, f"table{number}_{name}", folder)
        yield html_table(table, f"{title}, percent [95 % interval]", prose=True)
        if len(order):
            yield html_table(
                order, f"Table {number} in shape, the order of its columns", prose=True
            )


NO_NOVELTY = "Left out: no row of novelty detection."


def novelty_tables(runs: pd.DataFrame, folder: Path, runs_dir: Path) -> Iterator[HTML]:
    """Save and yield tables for Table 4: its averages, each class, and the choice of settings."""
    grid = grid_table(runs)
    steps = PRESETS["novelty_tuned"]["epochs"], PRESETS["novelty_official"]["epochs"]
    taken = (
        f"{', '.join(chosen_switches(runs))} help on each class; <i>novelty_tuned</i> takes them, "
        f"but for the epochs, {steps[0]} against {steps[1]}, for want of time"
    )
    named = {
        "novelty": ("averages over the classes, percent", averages_table(runs, runs_dir)),
        "novelty_classes": (
            "each class by novelty_official, percent, and the 95 % prediction interval of one "
            "more seed",
            predictions_table(runs),
        ),
        "novelty_grid": (
            f"what each switch changes, in points of image AUROC; {CHOICE_TRAIN} training images "
            f"train, {CHOICE_TEST} others of the class and {CHOICE_TEST} of other classes "
            f"validate; {taken}",
            grid,
        ),
    }
    for name, (what, table) in named.items():
        if len(table):
            save_table(table, name, folder)
        caption = f"<b>Table 4 in full</b>: {what}"
        yield html_table(table, caption, prose=True, digits=2, fold=name == "novelty_classes")


def novelty_classes(runs: pd.DataFrame) -> Figure | str:
    """Draw the image AUROC of each class, a panel per data set and a colour per protocol."""
    panels: dict[str, dict[str, pd.Series]] = {}
    for group in protocols(runs):
        first, aurocs = group.iloc[-1], group.sort_values("normal_class")
        label = f"{first['provenance.preset']}, {first['image_size']} px, {first['epochs']} epochs"
        panel = panels.setdefault(title_of(first["dataset"]), {})
        panel[label] = aurocs.set_index("category")["image_auroc"]
    if not panels:
        return NO_NOVELTY
    figure, axes = figures.new_figure(1, len(panels), size=(3.4, 3.6))
    for ax, (title, aurocs) in zip(np.ravel(axes), panels.items(), strict=True):
        figures.plot_classes(ax, dict(sorted(aurocs.items())), title)
    handles, labels = np.ravel(axes)[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def novelty_curves(runs: pd.DataFrame) -> Figure | str:
    """Draw the loss and image AUROC of long training on one class of each data set."""
    rows = clean_rows(runs, CURVES_STUDY)
    if rows.empty:
        return NO_NOVELTY
    figure, axes = figures.new_figure(1, 2, size=(4.4, 3.2))
    for _, row in rows.iterrows():
        name = f"{title_of(row['dataset'])}, {row['category']}"
        figures.plot_history(axes[0, 0], row["history"], name)
        if "image_auroc" in row["history"]:
            figures.plot_tested(axes[0, 1], row["history"], f"{name}: {_gain(row['history'])}")
    return figure


NO_ROTATION = "Left out: no row of turned test images."


def rotation_curves(runs: pd.DataFrame) -> Figure | str:
    """Draw image AUROC, pixel AUROC and AUPRO against the angle of the test images."""
    lines = [(rotation.named(group), rotation.means(group)) for group in rotation.protocols(runs)]
    if not lines:
        return NO_ROTATION
    figure, axes = figures.new_figure(1, len(rotation.METRICS), size=(3.4, 3.2))
    for ax, metric in zip(np.ravel(axes), rotation.METRICS, strict=True):
        for told, table in lines:
            name = f"{told['data']}, {told['backbone']}"
            figures.plot_rotation(ax, table[metric], metric, name)
    figures.share_limits(axes, "y")
    handles, labels = np.ravel(axes)[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _gain(history: dict[str, list]) -> str:
    """The change of image AUROC from the first to the last test during training, as text."""
    looks = [(e, a) for e, a in zip(history["epoch"], history["image_auroc"], strict=True) if a]
    (first, start), (last, end) = looks[0], looks[-1]
    return f"{100 * (end - start):+.1f} points from epoch {first:.0f} to {last:.0f}"


NO_MEDICAL = "Left out: no row on medical images."


def medical_tables(runs: pd.DataFrame, folder: Path) -> Iterator[HTML]:
    """Save and yield tables of the columns, steps and habits of the extension's Table 3.

    The module `study.medical_tables` explains these terms.
    """
    habits = medical.habits_table(runs)
    if len(habits):
        for name, start in {"over images": "", "over folds": "fold_"}.items():
            ends = habits[[f"{start}low", f"{start}high"]].to_numpy(float)
            habits = habits.assign(**{name: [interval(*x) for x in ends]})
        habits = habits.drop(columns=["low", "high", "fold_low", "fold_high"])
        habits = habits.rename(columns={"mean": "change"})
    columns = medical.readable_columns(medical.columns_table(runs))
    named = {
        "medical_columns": ("every reading of a column and its printed value, percent", columns),
        "medical_again": (
            "other seeds and folds beside what was predicted, percent",
            medical.again_table(runs),
        ),
        "medical_steps": (
            "what one column adds to another, in points",
            medical.steps_table(runs),
        ),
        "medical_habits": (
            "what each habit of the extension changes, in points of image AUROC",
            habits,
        ),
        "medical_long": (
            "one fold at the epochs that its code runs, MKD's that MKD's does, percent",
            medical.long_table(runs),
        ),
    }
    for name, (what, table) in named.items():
        if len(table):
            save_table(table, name, folder)
        yield html_table(table, f"<b>Table 3 of the extension in full</b>: {what}", prose=True)


def medical_misses(runs: pd.DataFrame) -> pd.DataFrame:
    """The readings of the extension's Table 3 whose intervals both miss the printed interval."""
    table = medical.readable_columns(medical.columns_table(runs))
    if table.empty:
        return table
    names = ["data", "reading", "printed", "printed, 95 %", "tier", "teacher", "batch norms"]
    names += ["epochs", "split", "ours"]
    missed = table[table["overlap"] == "does not overlap"]
    return missed[[*names, "over images", "over folds"]].reset_index(drop=True)


def medical_columns(runs: pd.DataFrame) -> Figure | str:
    """Draw the extension's Table 3 with a panel per data set: printed values and our teachers'.

    `medical_tables.one_line_each` says which line is drawn where a teacher has several.
    """
    table = medical.one_line_each(medical.columns_table(runs))
    if table.empty:
        return NO_MEDICAL
    panels, teachers = (list(dict.fromkeys(table[name])) for name in ("dataset", "series"))
    figure, axes = figures.new_figure(1, len(panels), size=(6.4, 5.4))
    for ax, dataset in zip(np.ravel(axes), panels, strict=True):
        part = table[table["dataset"] == dataset]
        part = part.assign(teacher=part["series"])
        figures.plot_columns(ax, part, title_of(dataset), teachers)
    figures.share_limits(axes, "x")
    handles, labels = np.ravel(axes)[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def medical_stopping(runs: pd.DataFrame) -> Figure | str:
    """Draw the loss L_MKD of one fold with and without early stopping (the extension's Fig. 7)."""
    readings = {n: medical.READING_OF[n] for n in ("Ours+L_MKD", "Ours+L_MKD, ES")}
    found = medical.all_folds(runs, readings, medical.STUDY)
    if not found:
        return NO_MEDICAL
    found.sort(key=lambda f: (f.teacher, of_family(MEDICAL).index(f.dataset), f.epochs))
    panels = list(dict.fromkeys((f.teacher, f.dataset, f.epochs, f.teacher_bn) for f in found))
    figure, axes = figures.new_figure(1, len(panels), size=(4.2, 4.2))
    for ax, panel in zip(np.ravel(axes), panels, strict=True):
        teacher, dataset, epochs, batch_norms = panel
        title = f"{title_of(dataset)}, {teacher}, {epochs} epochs"
        title += ", batch norms train" if batch_norms == "train" else ""
        for folds in found:
            if (folds.teacher, folds.dataset, folds.epochs, folds.teacher_bn) != panel:
                continue
            figures.plot_stopping(ax, folds.rows.iloc[0]["history"], folds.reading, title)
    for teacher in dict.fromkeys(panel[0] for panel in panels):
        own = [ax for ax, panel in zip(np.ravel(axes), panels, strict=True) if panel[0] == teacher]
        figures.share_limits(own, "y")
    return figure


def complexity(runs: pd.DataFrame, folder: Path) -> HTML:
    """Save and return the cost of testing an image, from the clean rows that measured it."""
    table = complexity_table(runs)
    if len(table):
        save_table(table, "complexity", folder)
    return html_table(table, "<b>Table 3 in shape</b>: what testing an image costs", digits=3)


def footnotes(runs: pd.DataFrame, paper: str, number: str) -> pd.DataFrame:
    """The settings of a table's runs that affect no verdict, and how many repetitions collapsed."""
    results = compare(paper_cells(paper, number), runs)
    notes = results[results["footnotes"] != ""].groupby("footnotes", sort=False)
    names = {"collapsed": "collapsed repetitions", "footnotes": "what ran"}
    return (
        notes.agg(cells=("ours", "size"), collapsed=("collapsed", "sum"))
        .reset_index()
        .rename(columns=names)
    )


def compact(table: pd.DataFrame) -> pd.DataFrame:
    """A printed table for display.

    Of columns for which nothing was run, only the verdict and the tier remain.
    """
    columns = {}
    for head in dict.fromkeys(table.columns.get_level_values(0)):
        block = table[head]
        if head != "printed" and "verdict" in block and block["ours"].isna().all():
            block = block[["verdict", "tier"]]
        said = block.notna() & (block.astype(object) != "")
        for name in block.loc[:, said.any()]:
            columns[head, READABLE.get(name, name)] = block[name]
    shown = pd.DataFrame(columns, index=table.index)
    return shown.rename(index=lambda key: title_of(key).replace("_", " "))


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


def show(figure: Figure | str, name: str, folder: Path) -> Figure | Markdown:
    """Save a figure under a name and return it for display.

    figure: a sentence in place of a figure is returned as Markdown, and nothing is saved.
    """
    if isinstance(figure, str):
        return Markdown(f"*{figure}*")
    figures.save_figure(figure, name, folder)
    plt.close(figure)  # shown by the cell that returns it, not twice
    return figure


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


def coverage_table() -> pd.DataFrame:
    """How often simulated intervals contain the truth; those far from their level are marked."""
    table = pd.read_csv(paths.ROOT / "results" / "coverage.csv")
    off = (table["coverage"] - table["nominal"]).abs() > 0.02
    return table.assign(**{"off by more than 2 points": np.where(off, "outside", "")})
