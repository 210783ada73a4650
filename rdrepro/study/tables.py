"""Printed tables in the papers' layout with our results next to them, and tables of rows."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from rdrepro import metric_names, paths, registry
from rdrepro.metric_names import METRICS
from rdrepro.runs.rows import load_runs
from rdrepro.runs.schema import MIB
from rdrepro.study.compare import ORDERED_TABLES, compare, other_protocols
from rdrepro.study.formats import interval, signed
from rdrepro.study.printed import BASELINES, Cell, paper_cells
from rdrepro.study.selection import clean, newest

COST_TITLES = {"seconds_per_image": "seconds per image", "memory_mb": "memory (MB)"}
QUOTED = "apparently quoted, 224 px"  # see complexity.printed_memory
FAILED = ("differs", "does not overlap")
OURS_COLUMNS = ["ours", "delta", "n_seeds", "interval", "verdict", "tier"]
# What gives each printed table its rows and, together with the metric, its columns.
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


def table_name(paper: str, number: str) -> str:
    """The name of a printed table in files and on the command line, such as "table5"."""
    return f"{'table' if paper == 'rd4ad' else 'medical'}{number}"


def title_of(name: str) -> str:
    """The name that tables show for a metric, a cost or a data set; other text is unchanged."""
    return COST_TITLES.get(name) or registry.title_of(metric_names.title_of(name))


def printed_table(paper: str, table: str, runs: pd.DataFrame | None = None) -> pd.DataFrame:
    """A printed table in the paper's layout, with our results next to the printed values.

    runs: lines of `load_runs` (default: all).

    The columns have two levels. ("printed", column) holds the cells as printed. Each block ("ours:
    column", ...) holds `ours` (percent, seconds or MiB), `delta` (ours minus printed), `n_seeds`,
    `interval` (95 %, over seeds), `verdict` and `tier`. Tables 5-7 add `order`. Where a cell has no
    run, the verdict says so.
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
    """The cells as printed; metrics that share a cell are joined by a slash, as in the papers."""
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
    return ", ".join(f"{v:.0f} px" if not isinstance(v, str) else title_of(v) for v in known)


def _ours(lines: pd.DataFrame, digits: int) -> pd.DataFrame:
    bounds = lines[["low", "high"]].to_numpy(float)
    block = lines.assign(interval=[interval(*x, digits) for x in bounds])
    block["n_seeds"] = block["n_seeds"].astype("Int64")
    return block[OURS_COLUMNS]


def _table_function(paper: str, number: str) -> Callable[..., pd.DataFrame]:
    def table(runs: pd.DataFrame | None = None) -> pd.DataFrame:
        return printed_table(paper, number, runs)

    extension = paper == "rkd_medical"
    table.__name__ = table_name(paper, number)
    named = f"the extension's Table {number}" if extension else f"Table {number}"
    table.__doc__ = f"The printed values of {named} next to our results; see `printed_table`."
    return table


table1, table2, table3, table4, table5, table6, table7 = (
    _table_function("rd4ad", number) for number in "1234567"
)
medical1, medical2, medical3, medical4 = (
    _table_function("rkd_medical", number) for number in "1234"
)


def filled_cells(paper: str, table: str, runs: pd.DataFrame | None = None) -> pd.DataFrame:
    """The cells of a printed table that our runs fill, one a line.

    Columns: `cell`, `printed` (as printed), `ours`, `95 % interval` (over seeds), `delta`, `seeds`,
    `verdict`. Values are in percent, or in the unit that the cell names. Ours have the decimals of
    the printed value, and at least one.
    """
    row_key, column_keys = LAYOUTS[paper, table]
    cells = [cell for cell in paper_cells(paper, table) if cell.protocols]
    results = compare(cells, runs).assign(text=[cell.printed for cell in cells])
    keys = list(dict.fromkeys([row_key, *column_keys, "metric"]))
    filled = results[results["ours"].notna()]
    return pd.DataFrame([_filled_line(line, keys) for _, line in filled.iterrows()])


def _filled_line(line: pd.Series, keys: Sequence[str]) -> dict[str, object]:
    digits = max(1, len(line["text"].partition(".")[2]))
    return {
        "cell": _cell_name(line, keys),
        "printed": line["text"],
        "ours": f"{line['ours']:.{digits}f}",
        "95 % interval": interval(line["low"], line["high"], digits) or "-",
        "delta": signed(line["delta"], digits),
        "seeds": line["n_seeds"],
        "verdict": line["verdict"],
    }


def _cell_name(line: pd.Series, keys: Sequence[str]) -> str:
    """A cell in words. Of a memory, it says what is measured, its unit, and the megabytes."""
    if line["metric"] != "memory_mb":
        return _title(line[list(keys)])
    kind = "size of the checkpoint" if line["method"] == "Ours" else "memory bank"
    return f"{line['method']}, {kind} in MiB; {line['ours'] * MIB / 1e6:.0f} MB"


def beside_table(runs: pd.DataFrame | None = None, study: str | None = None) -> pd.DataFrame:
    """The result of `other_protocols` as a table to read, in percent.

    It shows runs with other protocols next to the paper's numbers.

    study: see `other_protocols`.
    """
    lines = other_protocols(runs, study)
    if lines.empty:
        return lines
    lines["interval"] = [interval(*x) for x in lines[["low", "high"]].to_numpy(float)]
    lines["metric"] = lines["metric"].map(title_of)
    names = {"mean": "ours", "n": "seeds", "image_size": "px"}
    columns = ["study", "category", "backbone", "image_size", "epochs", "differs in", "metric"]
    columns += ["printed", "mean", "sd", "interval", "delta", "n", "tier"]
    lines = lines[columns].rename(columns=names)
    return lines.loc[:, (lines != "").any()]


SMALLER = ("small-backbones", "gpu-first")  # the studies on MVTec AD with smaller teachers


def smaller_teachers(runs: pd.DataFrame | None = None) -> pd.DataFrame:
    """MVTec AD with smaller teachers, next to the paper's numbers; see `beside_table`."""
    parts = [beside_table(runs, study) for study in SMALLER]
    parts = [part for part in parts if len(part)]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return table.fillna({"differs in": ""}) if "differs in" in table else table


def other_runs(runs: pd.DataFrame | None = None) -> pd.DataFrame:
    """The lines of `beside_table` that `smaller_teachers` does not have.

    SPADE and PaDiM have a dash for their epochs, since nothing is trained.
    """
    table = beside_table(runs)
    if table.empty:
        return table
    table = table[~table["study"].isin(SMALLER)].reset_index(drop=True)
    changed = table["differs in"] if "differs in" in table else pd.Series("", table.index)
    method = changed.str.extract(r"\bmethod=(\w+)", expand=False)
    untrained = method.isin(BASELINES.values())
    return table.assign(epochs=table["epochs"].astype(object).mask(untrained, "-"))


EMBEDDED_METRICS = ("image_auroc", "pixel_auroc", "pixel_aupro")


def embedded_table(runs: pd.DataFrame) -> pd.DataFrame:
    """The metrics of the embedded benchmark in percent, by category and averaged."""
    table = newest(clean(runs), "category").set_index("category")
    table = 100 * table.loc[list(registry.MVTEC_CATEGORIES), list(EMBEDDED_METRICS)]
    table.loc["mean"] = table.mean()
    return table.rename(columns=title_of).round(1).reset_index()


def row_table(row: pd.Series) -> pd.DataFrame:
    """The metrics that one row of `load_runs` has, in percent."""
    names = [metric.name for metric in METRICS if metric.name in row]
    table = (100 * row[names].astype(float)).dropna().round(1).to_frame("%")
    table.index.name = f"{row['category']} ({row['dataset']})"
    return table


def latest_row() -> pd.DataFrame:
    """The metrics of the trial on embedded data that ran last, in percent.

    FileNotFoundError if there is none.
    """
    scratch = paths.results_dir() / "scratch"
    rows = load_runs(scratch)
    if len(rows):
        trials = ~rows["file"].str.contains("/") & (rows["dataset"] == "synthetic")
        rows = rows[trials & rows["normal_class"].isna()]  # without digits
    if rows.empty:
        raise FileNotFoundError("there is no row on embedded data yet; run `make demo`")
    # A trial that is repeated with the same result touches its row instead of writing another.
    times = rows["file"].map(lambda file: (scratch / file).stat().st_mtime_ns)
    return row_table(rows.loc[times.idxmax()])


def all_tables(
    runs: pd.DataFrame | None = None, runs_dir: Path | None = None
) -> dict[str, pd.DataFrame]:
    """Every table of the study as a DataFrame, by the name of its files in results/tables.

    runs: lines of `load_runs` (default: all). runs_dir: the folder of their files.
    """
    from rdrepro.study import every_table  # it is made of this module and many others

    runs_dir = runs_dir or paths.results_dir() / "runs"
    return every_table.all_tables(load_runs(runs_dir) if runs is None else runs, runs_dir)
