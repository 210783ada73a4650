"""Tables: the papers' layouts with our columns beside theirs, and what README.md shows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd

from rdrepro import paths
from rdrepro.cells import (
    BASELINES,
    METHOD_NAMES,
    ROW_METRICS,
    Cell,
    load_print,
    paper_cells,
    printed_cells,
)
from rdrepro.compare import KEYS, ORDERED_TABLES, compare, other_protocols
from rdrepro.config import protocol_differences
from rdrepro.cost import MIB
from rdrepro.data.mvtec import MVTEC_CATEGORIES
from rdrepro.resolve import Run
from rdrepro.results import load_runs, schema
from rdrepro.weights import RANDOM

TITLES = {
    "image_auroc": "image AUROC",
    "pixel_auroc": "pixel AUROC",
    "pro": "PRO",
    "pixel_aupro": "AUPRO",
    "seconds_per_image": "seconds per image",
    "memory_mb": "memory (MB)",
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "caltech256": "Caltech-256",
    "head_ct": "Head CT",
    "brain_mri": "Brain MRI",
    "retinal_oct": "Retinal OCT",
}
QUOTED = "apparently quoted, 224 px"  # studies.printed_memory
FAILED = ("differs", "does not overlap")
OURS = ["ours", "delta", "n_seeds", "interval", "verdict"]
# What a printed table's rows and columns are, beside the metric.
LAYOUTS: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {
    ("rd4ad", "1"): ("category", ("method", "image_size")),
    ("rd4ad", "2"): ("category", ("method", "image_size")),
    ("rd4ad", "3"): ("method", ("metric",)),
    ("rd4ad", "4"): ("method", ("dataset",)),
    ("rd4ad", "5"): ("metric", ("method",)),
    ("rd4ad", "6"): ("metric", ("method",)),
    ("rd4ad", "7"): ("metric", ("method",)),
    ("rkd_medical", "1"): ("category", ("method",)),
    ("rkd_medical", "2"): ("category", ("method",)),
    ("rkd_medical", "3"): ("dataset", ("method",)),
    ("rkd_medical", "4"): ("category", ("method",)),
}


def printed_table(paper: str, table: str, runs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return a printed table in its layout, our columns beside the paper's.

    Columns have two levels: ("printed", column) holds the cells as printed, and each block
    ("ours: column", ...) holds `ours` (percent, seconds or MiB), `delta`, `n_seeds`, `interval`
    (95 %, over seeds) and `verdict`; Tables 5-7 add `order`. Cells without a run say so.
    """
    row_key, column_keys = LAYOUTS[paper, table]
    cells = paper_cells(paper, table)
    results = compare(cells, runs)
    rows = list(dict.fromkeys(getattr(c, row_key) for c in cells))
    parts = [_printed(cells, row_key, column_keys, rows)]
    merged = len({c.metric for c in cells}) > 1 and "metric" not in (row_key, *column_keys)
    keys = [*column_keys, *(["metric"] if merged else [])]
    for values, group in results.groupby(keys, sort=False, dropna=False):
        block = _ours(group.set_index(row_key).reindex(rows), 2 if table == "3" else 1)
        head = f"ours: {_title(values)}".replace("(MB)", "(MiB)")
        block.columns = pd.MultiIndex.from_product([[head], block.columns])
        parts.append(block)
    if (paper, table) == ("rd4ad", "3"):
        quoted = pd.Series(dict.fromkeys(BASELINES, QUOTED)).reindex(rows).fillna("")
        parts.insert(1, quoted.to_frame(("printed", "time and memory")))
    if table in ORDERED_TABLES:
        order = results.drop_duplicates("metric").set_index("metric")["order"]
        parts.append(order.reindex(rows).to_frame(("ours", "order")))
    return pd.concat(parts, axis="columns").rename_axis(row_key)


def _printed(
    cells: Sequence[Cell], row_key: str, column_keys: Sequence[str], rows: Sequence[str]
) -> pd.DataFrame:
    """Return the cells as printed; metrics that share a cell are joined as the papers join them."""
    table: dict[str, dict[str, str]] = {}
    for cell in cells:
        column = table.setdefault(_title([getattr(cell, k) for k in column_keys]), {})
        row = getattr(cell, row_key)
        column[row] = f"{column[row]}/{cell.printed}" if row in column else cell.printed
    frame = pd.DataFrame(table).reindex(rows)
    frame.columns = pd.MultiIndex.from_product([["printed"], frame.columns])
    return frame


def _title(values: Sequence) -> str:
    known = [v for v in values if not pd.isna(v)]
    return ", ".join(f"{v:.0f} px" if not isinstance(v, str) else TITLES.get(v, v) for v in known)


def _ours(lines: pd.DataFrame, digits: int) -> pd.DataFrame:
    bounds = lines[["low", "high"]].to_numpy(float)
    block = lines.assign(interval=[interval(*x, digits) for x in bounds])
    block["n_seeds"] = block["n_seeds"].astype("Int64")
    return block[OURS]


def interval(low: float, high: float, digits: int = 1) -> str:
    """Return an interval as text; nothing where there is none."""
    return "" if np.isnan(low) else f"[{low:.{digits}f}, {high:.{digits}f}]"


def _table_function(paper: str, number: str) -> Callable[..., pd.DataFrame]:
    def table(runs: pd.DataFrame | None = None) -> pd.DataFrame:
        return printed_table(paper, number, runs)

    extension = paper == "rkd_medical"
    table.__name__ = f"medical{number}" if extension else f"table{number}"
    named = f"the extension's Table {number}" if extension else f"Table {number}"
    table.__doc__ = f"Return {named} with our columns beside it; see `printed_table`."
    return table


table1, table2, table3, table4, table5, table6, table7 = (
    _table_function("rd4ad", number) for number in "1234567"
)
medical1, medical2, medical3, medical4 = (
    _table_function("rkd_medical", number) for number in "1234"
)


def beside_table(runs: pd.DataFrame | None = None, study: str | None = None) -> pd.DataFrame:
    """Return runs of other protocols beside the paper's numbers, one line each, in percent."""
    lines = other_protocols(runs, study)
    if lines.empty:
        return lines
    lines["interval"] = [interval(*x, 2) for x in lines[["low", "high"]].to_numpy(float)]
    lines["metric"] = lines["metric"].map(TITLES)
    names = {"mean": "ours", "n": "seeds", "image_size": "px"}
    columns = ["study", "category", "backbone", "image_size", "epochs", "differs in", "metric"]
    columns += ["printed", "mean", "sd", "interval", "delta", "n"]
    lines = lines[columns].rename(columns=names)
    return lines.loc[:, (lines != "").any()]


ROW_TITLES = {
    TITLES[metric]: ROW_METRICS[metric] for metric in ("image_auroc", "pixel_auroc", "pro")
}


def complexity_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return seconds and memory per image of every clean row that measured them, newest each.

    Seconds are medians; MiB are 2^20 bytes, MB 10^6. Performance, in percent, is empty where the
    teacher's weights are random. The peak of a process that ran several methods is none of one
    method's, and is left to the rows.
    """
    if runs.empty or "cost.image_seconds" not in runs:
        return pd.DataFrame()
    rows = runs[runs["provenance.dirty"].eq(False) & runs["cost.image_seconds"].notna()]
    rows = rows.assign(random=rows["weights"] == RANDOM)
    keys = ["method", "backbone", "random", "image_size", "dataset", "category", "precision"]
    keys += ["provenance.device", "provenance.threads"]
    lines = [_cost_line(row) for _, row in rows.drop_duplicates(keys, keep="last").iterrows()]
    order = ["on", "backbone", "px", "method"]
    return pd.DataFrame(lines).sort_values(order, ignore_index=True) if lines else pd.DataFrame()


def _cost_line(row: pd.Series) -> dict[str, object]:
    first, median, third = row["cost.image_seconds"]
    line = {"method": METHOD_NAMES[row["method"]], "backbone": row["backbone"]}
    line |= {"px": row["image_size"], "precision": row["precision"]}
    line |= {"on": row["provenance.device"]}
    line |= {"threads": row["provenance.threads"], "seconds": median}
    line |= {"quartiles": interval(first, third, 3)}
    for stage in ("teacher", "student", "search", "map"):
        seconds = row.get(f"cost.{stage}_seconds")
        line[stage] = seconds[1] if isinstance(seconds, list) else np.nan
    line |= {"trained MiB": row["cost.trained_mib"]}
    line |= {"official checkpoint MiB": row.get("cost.checkpoint_mib")}
    line |= {"all weights MiB": row["cost.weights_mib"], "bank MiB": row.get("cost.bank_mib")}
    bank = row.get("cost.bank_mib")
    line |= {"bank MB": None if pd.isna(bank) else bank * MIB / 1e6}
    known = row["weights"] != RANDOM
    for title, name in ROW_TITLES.items():
        line[title] = 100 * row[name] if known else np.nan
    return line


def save_table(table: pd.DataFrame, name: str, folder: Path | None = None) -> list[Path]:
    """Write a table as CSV, Markdown and LaTeX (booktabs) to results/tables/; return the files."""
    folder = folder or paths.results_dir() / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    shown = rounded(table)
    index = not isinstance(table.index, pd.RangeIndex)
    flat = flattened(shown)
    texts = {
        "csv": flat.to_csv(index=index),
        "md": markdown(flat.reset_index() if index else flat) + "\n",
        "tex": shown.to_latex(index=index, escape=True, multicolumn_format="c"),
    }
    files = []
    for ending, text in texts.items():
        file = folder / f"{name}.{ending}"
        aside = file.with_name(f".{file.name}.tmp")
        aside.write_text(text, encoding="utf-8")
        files.append(aside.replace(file))
    return files


def rounded(table: pd.DataFrame, digits: int = 2) -> pd.DataFrame:
    """Return a table with its numbers as text of so many digits, and nothing where one lacks."""

    def text(value: object) -> str:
        if pd.isna(value):
            return ""
        # Adding 0 makes 0 of -0.
        return f"{round(value, digits) + 0:.{digits}f}" if isinstance(value, float) else str(value)

    return table.map(text)


def flattened(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose two column levels are one."""
    if table.columns.nlevels == 1:
        return table
    names = [tail if head == "printed" else f"{head}: {tail}" for head, tail in table.columns]
    return table.set_axis(names, axis="columns")


UNTESTED, NOT_YET = "untested by the paper", "not tested yet"
# Tables and figures of the report that stand beside print without a verdict, and their studies.
BESIDE_PRINT = {
    **dict.fromkeys(("medical_columns", "medical_steps", "medical_stopping"), "medical-table3"),
    "rotation": "rotation",
}


def claims_table(runs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return each claim of both papers, the print that bears on it, and what our runs say."""
    results = compare(printed_cells(), runs)
    names = pd.Series([_name(line) for line in results.to_dict("records")])
    claims = load_print("claims").fillna("")
    print_names = {_name(asdict(cell)): cell for cell in printed_cells()}
    said = [_said(words, names, results["verdict"]) for words in claims["evidence"]]
    found = zip(claims["evidence"], said, strict=True)
    claims["verdict"] = [_claim_verdict(words, counts) for words, counts in found]
    studies = set() if runs is None or runs.empty else set(runs["study"])
    for place, (test, verdict) in claims[["test", "verdict"]].iterrows():
        shown = [name for name in test.split("; ") if BESIDE_PRINT.get(name) in studies]
        if shown and verdict in (UNTESTED, NOT_YET):
            claims.loc[place, "verdict"] = f"no verdict; see {', '.join(shown)}"
    claims["our runs"] = ["; ".join(f"{v} ({n})" for v, n in counts.items()) for counts in said]
    numbers = load_print("text").groupby(["paper", "section"])["printed"].agg(", ".join)
    claims["evidence"] = [
        _evidence(words, print_names, numbers.get(paper, {}))
        for paper, words in zip(claims["paper"], claims["evidence"], strict=True)
    ]
    return claims.set_index("id")


def _name(line: dict) -> str:
    """Return a cell's name as evidence writes it: paper/table/dataset/.../metric."""
    size = line["image_size"]
    keys = line | {"image_size": "" if pd.isna(size) else f"{size:.0f}"}
    return "/".join(keys[k] for k in KEYS)


def _patterns(evidence: str) -> list[str]:
    return [word for word in evidence.split() if word.count("/") == len(KEYS) - 1]


def _evidence(words: str, cells: dict[str, Cell], numbers: Mapping, most: int = 6) -> str:
    """Return evidence as a reader wants it: where, and the printed values where they are few."""
    patterns, texts = _patterns(words), []
    sections = [word.removeprefix("text:") for word in words.split() if word.startswith("text:")]
    if not patterns and not sections:
        return words
    found = [c for n, c in cells.items() if any(fnmatchcase(n, p) for p in patterns)]
    for table in dict.fromkeys(c.table for c in found):
        group = [c for c in found if c.table == table and not np.isnan(c.value)]
        several = len({c.metric for c in group}) > 1
        names = (f"{c.method} {TITLES[c.metric]}" if several else c.method for c in group)
        values = ", ".join(f"{n} {c.printed}" for n, c in zip(names, group, strict=True))
        texts.append(f"Table {table}: {values if len(group) <= most else f'{len(group)} cells'}")
    texts += [f"Sec. {section}: {numbers.get(section, '-')}" for section in sections]
    return "; ".join(texts)


def _said(evidence: str, names: pd.Series, verdicts: pd.Series) -> pd.Series:
    """Return how many of the cells that evidence names have each verdict of our runs."""
    patterns = _patterns(evidence)
    fits = names.map(lambda name: any(fnmatchcase(name, pattern) for pattern in patterns))
    return verdicts[fits & (verdicts != "not printed")].value_counts()


def _claim_verdict(evidence: str, said: pd.Series) -> str:
    """Return what our runs make of a claim, all of its cells together."""
    if evidence == UNTESTED:
        return evidence
    if all(verdict.startswith(("not run", "incomplete")) for verdict in said.index):
        return NOT_YET
    if set(said.index) & set(FAILED):
        return "contradicted in part"
    return "supported" if set(said.index) <= {"reproduced", "overlaps"} else "open"


# What the paper prints for a category, and where; its PRO is the official formula's.
PRINTED_METRICS = {
    "image_auroc": ("1", "image_auroc"),
    "pixel_auroc": ("2", "pixel_auroc"),
    "pixel_aupro_official": ("2", "pro"),
}


def printed(
    table: str, category: str, metric: str, image_size: int, method: str = "Ours"
) -> float | None:
    """Return a method's printed result in percent, or None where none is printed."""
    wanted = (category, method, image_size, metric)
    cells = paper_cells("rd4ad", table)
    found = [c.value for c in cells if (c.category, c.method, c.image_size, c.metric) == wanted]
    return found[0] if found else None


# The extension's presets on MVTec AD, and the column of its Tables 1, 2 and 4 that each is.
EXTENSION_COLUMNS = {"extension": "Ours", "extension_mkd": "Ours+L_MKD"}


def beside_print(metrics: dict[str, float], run: Run) -> pd.DataFrame:
    """Return every metric in percent, beside the paper's number where it prints one.

    Beside the extension's where a preset of it ran, whose "PRO" is `recall_at_youden`. Embedded
    data have no number beside them. A difference is no verdict: one seed gives none.
    """
    whose = "extension (%)" if run.preset in EXTENSION_COLUMNS else "paper (%)"
    result = pd.DataFrame({"ours (%)": 100 * pd.Series(metrics, dtype=float)})
    result = result.rename_axis("metric")
    real = run.config.dataset == "mvtec"
    result[whose] = pd.Series(_printed_metrics(run) if real else {}, dtype=float)
    result["difference"] = result["ours (%)"] - result[whose]
    return result.round(1).dropna(axis="columns", how="all")


def _printed_metrics(run: Run) -> dict[str, float | None]:
    """Return what print has for a run's category, by the metric that is held against it."""
    c = run.config
    if run.preset in EXTENSION_COLUMNS:
        column = EXTENSION_COLUMNS[run.preset]
        cells = [cell for n in "124" for cell in paper_cells("rkd_medical", n)]
        own = [x for x in cells if (x.category, x.method) == (c.category, column)]
        return {cell.row_metric: cell.value for cell in own}
    place = (c.image_size, METHOD_NAMES[c.method])
    return {
        name: printed(table, c.category, metric, *place)
        for name, (table, metric) in PRINTED_METRICS.items()
    }


def protocol_table(run: Run) -> pd.DataFrame:
    """Return each setting in which a run leaves the paper's protocol; empty where none does."""
    rows = [(name, *map(str, values)) for name, values in protocol_differences(run.config).items()]
    return pd.DataFrame(rows, columns=["setting", "this run", "paper"]).set_index("setting")


EMBEDDED_METRICS = ("image_auroc", "pixel_auroc", "pixel_aupro")


def embedded_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the metrics of the embedded benchmark, in percent, by category and on average."""
    clean = runs[runs["provenance.dirty"].eq(False)]
    table = clean.drop_duplicates("category", keep="last").set_index("category")
    table = 100 * table.loc[list(MVTEC_CATEGORIES), list(EMBEDDED_METRICS)]
    table.loc["mean"] = table.mean()
    return table.rename(columns=TITLES).round(1).reset_index()


def markdown(table: pd.DataFrame) -> str:
    """Return a table in Markdown."""
    lines = [list(table.columns), ["---"] * table.shape[1], *table.values.tolist()]
    cells = [[str(value).replace("|", "\\|") for value in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def row_table(row: pd.Series) -> pd.DataFrame:
    """Return the metrics of one row of `load_runs` that it has, in percent."""
    names = [n for n in schema()["properties"]["metrics"]["properties"] if n in row]
    table = (100 * row[names].astype(float)).dropna().round(1).to_frame("%")
    table.index.name = f"{row['category']} ({row['dataset']})"
    return table


def latest_row() -> pd.DataFrame:
    """Return the metrics, in percent, of the newest row on embedded data."""
    rows = load_runs(paths.results_dir() / "demo")
    rows = rows[rows["normal_class"].isna()] if len(rows) else rows  # digits are none
    if rows.empty:
        raise FileNotFoundError("there is no row on embedded data yet; run `make demo`")
    return row_table(rows.iloc[-1])
