"""The metrics of one run next to the printed values, and tables that explain their metrics."""

import html
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
from IPython.display import HTML

from rdrepro import metric_names, registry
from rdrepro.study.formats import rounded
from rdrepro.study.glossary import explained
from rdrepro.study.html_tables import html_table
from rdrepro.study.printed import METHOD_NAMES, ROW_METRICS, paper_cells, printed_values
from rdrepro.text import duration

if TYPE_CHECKING:
    from rdrepro.runs.run import Run

# The column of the extension's Tables 1, 2 and 4 that each of its MVTec AD presets reproduces.
EXTENSION_COLUMNS = {"extension": "Ours", "extension_mkd": "Ours+L_MKD"}
MISSING = "-"  # what was not printed, or does not exist
# What the glossary lacks, because no table of the report has it.
MEANINGS = {
    "image AP": (
        "Average precision of the image scores: the mean precision over all levels of recall."
    ),
    "pixel AP": "Average precision with one score for each pixel; low where defects are rare.",
    "image F1-max": (
        "The highest F1 score, over all thresholds, with one score for each image. F1 is the "
        "harmonic mean of precision and recall."
    ),
    "pixel F1-max": "The highest F1 score, over all thresholds, with one score for each pixel.",
    "image AUROC of the maximum": "Image AUROC where the score is the map's highest value.",
    "image AUROC of the sum": "Image AUROC where the score is the sum over the map.",
}


def compared_with_paper(metrics: dict[str, float], run: "Run") -> pd.DataFrame:
    """Every metric of a run in percent, next to the printed value where there is one.

    metrics: fractions. A run of one of the extension's presets is compared with the extension's
    tables, whose "PRO" is `recall_at_youden` (E5). Embedded data have no printed values. A
    difference is not a verdict, because one seed gives none.
    """
    whose = "extension (%)" if run.preset in EXTENSION_COLUMNS else "paper (%)"
    result = pd.DataFrame({"ours (%)": 100 * pd.Series(metrics, dtype=float)})
    result = result.rename_axis("metric")
    real = bool(registry.DATASETS[run.config.dataset].tables)
    result[whose] = pd.Series(_printed_metrics(run) if real else {}, dtype=float)
    result["difference"] = result["ours (%)"] - result[whose]
    return result.round(1).dropna(axis="columns", how="all")


def metrics_table(metrics: dict[str, float], run: "Run") -> HTML:
    """The table of `compared_with_paper` with a sentence on what each metric measures."""
    table = compared_with_paper(metrics, run).rename(index=metric_names.title_of)
    sentences = meanings(table.index)
    shown = rounded(table, 1).replace("", MISSING)
    shown["what it measures"] = [sentences.get(title, "") for title in table.index]
    basis = f" AUROC: {sentences['AUROC']}" if "AUROC" in sentences else ""
    return html_table(shown.rename_axis(None), f"In percent.{basis}", prose=True)


def show_table(
    table: pd.DataFrame,
    caption: str,
    digits: int = 1,
    empty: str = "No rows.",
    explain: bool = True,
) -> HTML:
    """A table as a run notebook shows it, with a sentence for each metric that it has.

    digits: decimals of numbers. A missing value is a dash, and a column that has no value at all is
    left out. empty: the sentence in place of a table
    without lines. explain: whether to add the sentences on metrics.
    """
    table = table.dropna(axis="columns", how="all") if len(table) else table
    shown = rounded(table, digits).replace("", MISSING)
    parts = [html_table(shown, caption, empty=empty).data]
    sentences = meanings([*table.columns, *table.index]) if explain else {}
    if sentences:
        items = (f"<li>{html.escape(f'{k}: {v}')}</li>" for k, v in sentences.items())
        parts.append(f"<ul>{''.join(items)}</ul>")
    return HTML("".join(parts))


def facts_table(row: Mapping[str, Any], trainer: str) -> pd.DataFrame:
    """What a result row says apart from its metrics: counts of images and seconds.

    trainer: which run trained the student, as in `Trained.label`.
    """
    counts, cost = row["counts"], row["cost"]
    facts = {
        "status": row["status"],
        "training images": counts["train"],
        "tested normal images": counts["test_normal"],
        "tested anomalous images": counts["test_anomalous"],
        "trained parameters": f"{counts['trainable_parameters']:,}",
        "training": duration(cost["train_seconds"]),
        "testing": duration(cost["predict_seconds"]),
        "trained by": trainer,
    }
    return pd.Series(facts, name="value").to_frame()


def meanings(names: Iterable[str]) -> dict[str, str]:
    """A sentence for each metric among some names of lines or columns, by the metric's title."""
    titles = {metric.title for metric in metric_names.METRICS}
    wanted = [name for name in dict.fromkeys(names) if name in titles]
    known = explained([*wanted, *(["AUROC"] if any("AUROC" in name for name in wanted) else [])])
    return known | {name: MEANINGS[name] for name in wanted if name in MEANINGS}


def _printed_metrics(run: "Run") -> dict[str, float]:
    """The values printed for a run's category in percent, by the name of the metric in rows."""
    c = run.config
    if run.preset in EXTENSION_COLUMNS:
        column = EXTENSION_COLUMNS[run.preset]
        cells = [cell for n in "124" for cell in paper_cells("rkd_medical", n)]
        own = [x for x in cells if (x.category, x.method) == (c.category, column)]
        return {cell.row_metric: cell.value for cell in own}
    place = {"category": c.category, "image_size": c.image_size}
    place |= {"method": METHOD_NAMES.get(c.method, c.method)}
    values = {}
    for table in ("1", "2"):
        values |= printed_values("rd4ad", table, "metric", **place)
    return {ROW_METRICS[metric]: value for metric, value in values.items()}
