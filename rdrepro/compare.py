"""Result rows held against printed cells: value, delta, interval, verdict, and what is left out."""

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from rdrepro.cells import (
    COSTS,
    METHOD_NAMES,
    ROW_METRICS,
    SPLITS,
    Cell,
    paper_cells,
    printed_cells,
    protocol_defaults,
)
from rdrepro.config import foreign_fields
from rdrepro.cost import MIB
from rdrepro.data.medical import MEDICAL_DATASETS
from rdrepro.models.reverse_distillation import residual_design
from rdrepro.presets import PRESETS
from rdrepro.results import load_runs
from rdrepro.stats import ANY, admits, cell_matches, collapsed, overlap_verdict, summary, verdict
from rdrepro.weights import LITE0, RANDOM, default_weights, find_weights

WHOLE_TEST = {"mnist": 10_000, "fashion_mnist": 10_000, "cifar10": 10_000}  # Sec. 4.2
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
    ordered = table[table["table"].isin(ORDERED_TABLES)]
    for _, group in ordered.groupby(["table", "metric"]):
        table.loc[group.index, "order"] = _order(group)
    # To reproduce Tables 5-7 takes their printed order too.
    turned = (table["order"] == "differs") & (table["verdict"] == "reproduced")
    table.loc[turned, "verdict"] = "close"
    return table


_COLUMNS = [*KEYS, "printed", "ours", "delta", "n_seeds", "low", "high", "verdict", "order"]
_COLUMNS += ["footnotes", "collapsed"]


class _Sorter:
    """Rows by protocol, each protocol looked up once; and why rows do not count."""

    def __init__(self, runs: pd.DataFrame):
        self.runs, self.records, self.matches = runs, runs.to_dict("records"), {}
        self.used: set[str] = set()  # in a cell that has a value
        self.reasons: dict[str, str] = {}  # of rows that fit a cell and do not count there

    def admitted(self, cell: Cell) -> pd.DataFrame:
        """Return the clean rows of a cell's protocol and units, the newest of each repetition."""
        if self.runs.empty or cell.row_metric not in self.runs:
            return self.runs.iloc[:0]
        key = tuple(sorted((k, str(v)) for k, v in cell.protocol.items()))
        if key not in self.matches:
            self.matches[key] = self.runs[[cell_matches(r, cell) for r in self.records]]
        rows = self.matches[key]
        rows = rows[rows[cell.row_metric].notna()]
        if cell.unit_field:
            rows = rows[rows[cell.unit_field].isin(cell.units)]
        rows = self._without(rows, rows["provenance.dirty"].eq(False), DIRTY)
        if "provenance.selection" in rows:
            rows = self._without(rows, rows["provenance.selection"].isna(), CHOSEN)
        if cell.table == "4" and cell.paper == "rd4ad":
            rows = self._of_novelty(cell, rows)
        identity = rows[[*_open_fields(cell), *IDENTITY]].map(str)
        rows = self._without(rows, ~identity.duplicated(keep="last"), "superseded by a newer row")
        return self._without(rows, _largest_group(cell, rows), OPEN)

    def _of_novelty(self, cell: Cell, rows: pd.DataFrame) -> pd.DataFrame:
        """Return Table 4's rows that count: a taught teacher, the whole test set, as the authors.

        The authors' own choice of what print leaves open, `novelty_official`, wins over others.
        """
        rows = self._without(rows, rows["weights"] != RANDOM, "random weights")
        if cell.dataset in WHOLE_TEST:
            tested = rows["counts.test_normal"] + rows["counts.test_anomalous"]
            rows = self._without(rows, tested == WHOLE_TEST[cell.dataset], "not the whole test set")
        official = PRESETS["novelty_official"]
        fields = [name for name in _open_fields(cell) if name in official]
        own = (rows[fields] == [official[name] for name in fields]).all(axis="columns")
        return self._without(rows, own, OPEN) if own.any() else rows

    def _without(self, rows: pd.DataFrame, kept: pd.Series, reason: str) -> pd.DataFrame:
        """Return the rows that are kept, and remember why the others are not."""
        self.reasons |= dict.fromkeys(rows["file"][~kept], reason)
        return rows[kept]


IDENTITY = (
    "category",
    "normal_class",
    "seed",
    "fold",
    "data_seed",
)  # what tells a protocol's runs apart
OPEN = "another choice of what print leaves open"
CHOSEN = "settings chosen by validation"
DIRTY = "not from a clean tree"  # known to be changed or, without git, not known at all


# Runs that differ in these are no repetitions of a cost.
COST_CONDITIONS = ["category", "precision", "provenance.device", "provenance.threads"]


def _open_fields(cell: Cell) -> list[str]:
    return [k for k, v in cell.protocol.items() if v == ANY or isinstance(v, frozenset)]


def _footnotes(cell: Cell, rows: pd.DataFrame) -> pd.Series:
    """Return the values of the fields that the print leaves open, as text, per row."""
    skipped = {"fold", *foreign_fields(cell.protocol["method"])}
    names = [name for name in _open_fields(cell) if name not in skipped]
    names += COST_CONDITIONS if cell.metric in COSTS else []
    texts = [_settings({n: row[n] for n in names}) for row in rows.to_dict("records")]
    return pd.Series(texts, index=rows.index, dtype=object)


def _settings(values: dict[str, Any]) -> str:
    """Return settings as text; pandas makes 20.0 of 20 and NaN of null in a mixed column."""
    whole = {k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in values.items()}
    return " ".join(f"{k}={v}" for k, v in whole.items() if v is not None and v == v)


def _told(cell: Cell, rows: pd.DataFrame) -> str:
    """Return a cell's footnote: what ran, in the fields that no verdict depends on."""
    if rows.empty:
        return ""
    ran = (", ".join(sorted(set(rows[name]))) for name in ("precision", "provenance.device"))
    if cell.row_metric == "cost.bank_mib":
        megabytes = rows["cost.bank_mib"].iloc[-1] * MIB / 1e6
        return f"{megabytes:.0f} MB of 10^6 bytes; {_footnotes(cell, rows).iloc[0]}"
    return " on ".join(ran) + f"; {_footnotes(cell, rows).iloc[0]}".rstrip("; ")


def _largest_group(cell: Cell, rows: pd.DataFrame) -> pd.Series:
    """Return which rows are of one protocol: where print leaves fields open, that of most runs.

    Runs that differ in an open field are no repetitions of each other; among equals the newest.
    """
    if rows.empty or not _open_fields(cell):
        return pd.Series(True, index=rows.index)
    notes = _footnotes(cell, rows)
    size = notes.map(notes.value_counts())
    return notes == notes[size[size == size.max()].index[-1]]


def _line(cell: Cell, sorter: _Sorter) -> dict[str, Any]:
    rows = sorter.admitted(cell)
    values, missing = _repetitions(cell, rows)
    if values:
        sorter.used |= set(rows["file"])
    s = summary(values)
    line = {key: getattr(cell, key) for key in KEYS} | {"printed": cell.value, "ours": s.mean}
    # The printed banks are MB of 10^6 bytes, ours MiB: no difference of theirs means anything.
    delta = np.nan if cell.row_metric == "cost.bank_mib" else s.mean - cell.value
    line |= {"delta": delta, "n_seeds": s.n, "low": s.low, "high": s.high}
    fallen = int(collapsed(values).sum()) if s.n else 0
    fallen = max(fallen, int((rows["status"] == "collapsed").sum())) if len(rows) else 0
    line |= {"order": "", "footnotes": _told(cell, rows), "collapsed": fallen}
    return line | {"verdict": _verdict(cell, values, missing)}


def _repetitions(cell: Cell, rows: pd.DataFrame) -> tuple[list[float], str]:
    """Return the cell's value per repetition, in its unit, or what is missing for one.

    A repetition is a seed (and fold) that has every unit; its value is the mean over them.
    """
    if rows.empty:
        return [], "not run"
    values = rows[cell.row_metric]
    if cell.metric == "seconds_per_image":
        values = values.map(lambda quartiles: quartiles[1])  # the median
    rows = rows.assign(value=(1 if cell.metric in COSTS else 100) * values.astype(float))
    if not cell.unit_field:
        return list(rows["value"]), ""
    groups = rows.groupby(["seed", "fold"], dropna=False)["value"]
    complete = list(groups.mean()[groups.size() == len(cell.units)])
    present = rows[cell.unit_field].nunique()
    if present < len(cell.units):
        return complete, f"incomplete ({present}/{len(cell.units)})"
    return complete, f"incomplete (no seed has all {len(cell.units)})"


def _verdict(cell: Cell, values: Sequence[float], missing: str) -> str:
    if np.isnan(cell.value):
        return "not printed"
    if not values:
        return missing
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
    """Return the rows that fit a cell (default: any) and do not count: row, study, reason.

    Without cells, also every other row that is not from a clean tree.
    """
    runs = load_runs() if runs is None else runs
    sorter = _sorted(runs, printed_cells() if cells is None else cells)
    reasons = {f: reason for f, reason in sorter.reasons.items() if f not in sorter.used}
    if cells is None and len(runs):
        reasons |= dict.fromkeys(runs["file"][~runs["provenance.dirty"].eq(False)], DIRTY)
    rows = [(f, f.split("/")[0], reason) for f, reason in sorted(reasons.items())]
    return pd.DataFrame(rows, columns=["row", "study", "reason"])


def _sorted(runs: pd.DataFrame, cells: Iterable[Cell]) -> _Sorter:
    sorter = _Sorter(runs)
    for cell in cells:
        if cell.protocol is not None:
            _line(cell, sorter)
    return sorter


def other_protocols(runs: pd.DataFrame | None = None, study: str | None = None) -> pd.DataFrame:
    """Return clean rows on real data beside the paper's numbers, without verdicts.

    With a study all of its rows; without, those of every protocol that no cell has. One line per
    protocol, category and metric: mean and 95 % t-interval over seeds, in percent. Printed is the
    paper's own number for the category and size, got by its own protocol; NaN where there is none.
    """
    runs = load_runs() if runs is None else runs
    if runs.empty:
        return pd.DataFrame()
    sorter = _sorted(runs, printed_cells())
    rows = runs[runs["dataset"].isin({c.dataset for c in printed_cells()})]
    # Novelty detection and medical images have tables of their own.
    rows = rows[rows["normal_class"].isna() & ~rows["dataset"].isin(MEDICAL_DATASETS)]
    rows = rows[rows["rotation"] == 0]  # so have turned test images
    rows = rows[rows["provenance.dirty"].eq(False)]
    if study:
        rows = rows[rows["study"] == study]
    else:
        rows = rows[~rows["file"].isin(sorter.used | set(sorter.reasons))]
    groups = rows.groupby(_protocol(rows), sort=False)
    return pd.DataFrame([line for _, group in groups for line in _beside(group)])


def _protocol(rows: pd.DataFrame) -> list[pd.Series]:
    """Return what tells protocols apart: the study, the data and every field that is not free."""
    names = ["study", "category", *protocol_defaults()]
    return [rows[name].map(str).rename(name) for name in names if name != "fold"]


@cache
def _own_settings(backbone: str) -> dict[str, Any]:
    """Return what the paper's protocol means for another backbone: its width, its weights."""
    settings = {"oce_width": residual_design(backbone)[2]}
    if backbone == LITE0:  # its weights install with the package
        settings["weights"] = find_weights(backbone, default_weights(backbone)).name
    return settings


SHOWN = ("dataset", "category", "backbone", "epochs", "image_size")


def departures(row: pd.Series) -> dict[str, Any]:
    """Return where a row leaves its teacher's form of the paper's protocol, beside SHOWN fields."""
    usual = protocol_defaults() | _own_settings(row["backbone"])
    skipped = {*SHOWN, *foreign_fields(row["method"])}
    return {k: row[k] for k, v in usual.items() if k not in skipped and not admits(v, row[k])}


def _beside(group: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the lines of one protocol, one per metric that a paper prints."""
    first = group.iloc[-1]
    newest = group[~group[list(IDENTITY)].map(str).duplicated(keep="last")]
    method = METHOD_NAMES[first["method"]]
    ours = [c for n in "12" for c in paper_cells("rd4ad", n) if c.method == method]
    place = (first["dataset"], first["category"], first["image_size"])
    printed = {c.metric: c.value for c in ours if (c.dataset, c.category, c.image_size) == place}
    other = departures(first)
    named = {k: first[k] for k in ("study", *SHOWN)} | {"differs in": _settings(other)}
    lines = []
    for metric in ("image_auroc", "pixel_auroc", "pro"):
        values = 100 * newest[ROW_METRICS[metric]].dropna().astype(float)
        if len(values):
            s, value = summary(values), printed.get(metric, np.nan)
            found = {"metric": metric, "printed": value, **s._asdict(), "delta": s.mean - value}
            lines.append(named | found)
    return lines
