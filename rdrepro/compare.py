"""Result rows held against printed cells: value, delta, interval, verdict, and what is left out."""

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from rdrepro.cells import COSTS, SPLITS, Cell, printed_cells
from rdrepro.config import FREE_FIELDS
from rdrepro.results import load_runs, schema
from rdrepro.stats import ANY, cell_matches, collapsed, overlap_verdict, summary, verdict

ORDERED_TABLES = ("5", "6", "7")  # whose printed order is part of the claim
KEYS = ("paper", "table", "dataset", "category", "method", "image_size", "metric")


def compare(cells: Iterable[Cell], runs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return one line per printed cell of our method or of a baseline that we run.

    runs: lines of `load_runs` (default: all). Columns: the cell's keys, `printed` and `ours`
    (percent; seconds or MiB for costs), `delta`, `n_seeds`, `low` and `high` (95 % t-interval over
    seeds), `verdict`, `order`, `footnotes` (precision, device, open fields), `collapsed` (how many
    repetitions).
    """
    cells = [cell for cell in cells if cell.protocol is not None]
    runs = load_runs() if runs is None else runs
    sorter = _Sorter(runs)
    table = pd.DataFrame([_line(cell, sorter) for cell in cells], columns=_COLUMNS)
    for _, group in table[table["table"].isin(ORDERED_TABLES)].groupby(
        ["paper", "table", "metric"]
    ):
        table.loc[group.index, "order"] = _order(group)
    return table


_COLUMNS = [*KEYS, "printed", "ours", "delta", "n_seeds", "low", "high", "verdict", "order"]
_COLUMNS += ["footnotes", "collapsed"]


class _Sorter:
    """Rows by protocol, each protocol looked up once; and the rows that a table leaves out."""

    def __init__(self, runs: pd.DataFrame):
        self.runs, self.records, self.matches = runs, runs.to_dict("records"), {}
        self.dirty, self.used, self.superseded = set(), set(), set()

    def admitted(self, cell: Cell) -> pd.DataFrame:
        """Return the clean rows of a cell's protocol and units; of two for a seed, the newest."""
        if self.runs.empty:
            return self.runs
        key = tuple(sorted((k, str(v)) for k, v in cell.protocol.items()))
        if key not in self.matches:
            self.matches[key] = self.runs[[cell_matches(r, cell) for r in self.records]]
        rows = self.matches[key]
        if cell.unit_field:
            rows = rows[rows[cell.unit_field].isin(cell.units)]
        clean = rows["provenance.dirty"].eq(False)  # unknown, without git, is not clean
        self.dirty |= set(rows["file"][~clean])
        rows = rows[clean]
        newest = rows.drop_duplicates(_identity(cell, rows), keep="last")
        self.superseded |= set(rows["file"]) - set(newest["file"])
        chosen = _largest_group(cell, newest)
        self.used |= set(chosen["file"])
        return chosen


def _identity(cell: Cell, rows: pd.DataFrame) -> list[pd.Series] | list[str]:
    """Return the columns that tell the runs of a cell apart."""
    names = [*_open_fields(cell), "seed", "fold", *([cell.unit_field] if cell.unit_field else [])]
    return [name for name in names if name in rows]


def _open_fields(cell: Cell) -> list[str]:
    return [k for k, v in cell.protocol.items() if v == ANY or isinstance(v, frozenset)]


def _footnotes(cell: Cell, rows: pd.DataFrame) -> pd.Series:
    """Return the values of the fields that the print leaves open, as text, per row."""
    names = [name for name in _open_fields(cell) if name != "fold"]
    texts = [" ".join(f"{n}={row[n]}" for n in names) for row in rows.to_dict("records")]
    return pd.Series(texts, index=rows.index, dtype=object)


def _told(cell: Cell, rows: pd.DataFrame) -> str:
    """Return a cell's footnote: what ran, in the fields that no verdict depends on."""
    if rows.empty:
        return ""
    ran = (", ".join(sorted(set(rows[name]))) for name in ("precision", "provenance.device"))
    return " on ".join(ran) + f"; {_footnotes(cell, rows).iloc[0]}".rstrip("; ")


def _largest_group(cell: Cell, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one protocol: where the print leaves fields open, that of most runs.

    Runs that differ in an open field are no repetitions of each other; among equals the newest.
    """
    if rows.empty or not _open_fields(cell):
        return rows
    notes = _footnotes(cell, rows)
    size = notes.map(notes.value_counts())
    return rows[notes == notes[size[size == size.max()].index[-1]]]


def _line(cell: Cell, sorter: _Sorter) -> dict[str, Any]:
    rows = sorter.admitted(cell)
    values, units = _repetitions(cell, rows)
    s = summary(values)
    line = {key: getattr(cell, key) for key in KEYS} | {"printed": cell.value, "ours": s.mean}
    line |= {"delta": s.mean - cell.value, "n_seeds": s.n, "low": s.low, "high": s.high}
    fallen = int(collapsed(values).sum()) if s.n else 0
    line |= {"order": "", "footnotes": _told(cell, rows), "collapsed": fallen}
    return line | {"verdict": _verdict(cell, values, units)}


def _repetitions(cell: Cell, rows: pd.DataFrame) -> tuple[list[float], int]:
    """Return the cell's value per repetition, in its unit, and the most units that one covers.

    A repetition is a seed (and fold) that has every unit; its value is the mean over them.
    """
    if rows.empty or cell.row_metric not in rows:
        return [], 0
    values = rows[cell.row_metric]
    if cell.metric == "seconds_per_image":
        values = values.map(lambda quartiles: quartiles[1] if isinstance(quartiles, list) else None)
    scale = 1 if cell.metric in COSTS else 100
    rows = rows.assign(value=scale * values.astype(float)).dropna(subset="value")
    groups = rows.groupby(["seed", "fold"], dropna=False)["value"]
    sizes, needed = groups.size(), max(len(cell.units), 1)
    return list(groups.mean()[sizes == needed]), int(sizes.max()) if len(sizes) else 0


def _verdict(cell: Cell, values: Sequence[float], units: int) -> str:
    if np.isnan(cell.value):
        return "not printed"
    if not values:
        return f"incomplete ({units}/{len(cell.units)})" if units else "not run"
    if cell.metric == "memory_mb" and cell.method == "Ours":
        # A count of weights, rounded as printed: no seed changes it (D3).
        return "reproduced" if round(values[-1]) == cell.value else "differs"
    if cell.table == "3" and cell.dataset in SPLITS:
        return overlap_verdict(values, cell.value, *SPLITS[cell.dataset])
    return verdict(values, cell.value, cell.margin)


def _order(group: pd.DataFrame) -> str:
    """Return whether our means stand in the printed order; printed ties bind nothing."""
    if group["ours"].isna().any():
        return "not run"
    pairs = combinations(zip(group["printed"], group["ours"], strict=True), 2)
    kept = all((a[0] - b[0]) * (a[1] - b[1]) > 0 for a, b in pairs if a[0] != b[0])
    return "as printed" if kept else "differs"


def left_out(runs: pd.DataFrame | None = None, cells: Iterable[Cell] | None = None) -> pd.DataFrame:
    """Return the rows that fit a printed cell and do not count, and why: file, study, reason."""
    runs = load_runs() if runs is None else runs
    sorter = _Sorter(runs)
    for cell in printed_cells() if cells is None else cells:
        if cell.protocol is not None:
            sorter.admitted(cell)
    reasons = dict.fromkeys(sorter.superseded - sorter.used, "superseded by a newer row")
    reasons |= dict.fromkeys(sorter.dirty, "not from a clean tree")
    rows = [(f, f.split("/")[0], reason) for f, reason in sorted(reasons.items())]
    return pd.DataFrame(rows, columns=["row", "study", "reason"])


def other_protocols(runs: pd.DataFrame | None = None, study: str | None = None) -> pd.DataFrame:
    """Return clean rows on real data of any other protocol, beside the paper's number: no verdict.

    One line per protocol and category: mean and 95 % t-interval over seeds, in percent. Printed is
    the paper's own number for the category, got by its own protocol.
    """
    runs = load_runs() if runs is None else runs
    if runs.empty:
        return pd.DataFrame()
    sorter = _Sorter(runs)
    for cell in printed_cells():
        if cell.protocol is not None:
            sorter.admitted(cell)
    rows = runs[runs["dataset"].isin({c.dataset for c in printed_cells()})]
    rows = rows[rows["provenance.dirty"].eq(False) & ~rows["file"].isin(sorter.used)]
    rows = rows.assign(study=rows["file"].str.split("/").str[0])
    rows = rows[rows["study"] == study] if study else rows
    return pd.DataFrame([x for _, g in rows.groupby(_protocol(rows)) for x in _beside(g)])


def _protocol(rows: pd.DataFrame) -> list[pd.Series]:
    """Return what tells protocols apart: the study, the data and every field that is not free."""
    config = schema()["properties"]["config"]["properties"]
    free = {*FREE_FIELDS, "fold"} - {"category"}
    names = ["study", *(name for name in config if name not in free)]
    return [rows[name].map(str).rename(name) for name in names]


def _beside(group: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the lines of one protocol, one per printed metric."""
    first = group.iloc[-1]
    newest = group.drop_duplicates(["seed", "fold"], keep="last")
    lines = []
    for cell in printed_cells():
        ours = cell.paper == "rd4ad" and cell.table in "12" and cell.method == "Ours"
        if ours and (cell.category, cell.image_size) == (first["category"], first["image_size"]):
            s = summary(100 * newest[cell.row_metric].astype(float).dropna())
            named = {k: first[k] for k in ("study", "dataset", "category", "backbone", "epochs")}
            found = {"metric": cell.metric, "printed": cell.value, **s._asdict()}
            lines.append(named | found | {"delta": s.mean - cell.value})
    return lines
