"""Result rows compared with printed cells: value, delta, interval, verdict; what is left out."""

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from rdrepro import registry
from rdrepro.backbones import base_width, usual_weights
from rdrepro.config import foreign_fields
from rdrepro.metric_names import ROW_METRIC
from rdrepro.runs.rows import load_runs
from rdrepro.runs.schema import MIB
from rdrepro.study.matching import (
    DIRTY,
    IDENTITY,
    Matcher,
    admits,
    footnotes,
    settings_text,
)
from rdrepro.study.printed import (
    COSTS,
    METHOD_NAMES,
    SPLITS,
    Cell,
    printed_cells,
    printed_values,
    protocol_defaults,
)
from rdrepro.study.selection import by_protocol, clean, is_clean, newest
from rdrepro.study.stats import collapsed, overlap_verdict, summary, verdict

ORDERED_TABLES = ("5", "6", "7")  # whose printed order is part of the claim
KEYS = ("paper", "table", "dataset", "category", "method", "image_size", "metric")


def compare(cells: Iterable[Cell], runs: pd.DataFrame | None = None) -> pd.DataFrame:
    """One line per printed cell of our method or of a baseline that we run.

    runs: lines of `load_runs` (default: all). Columns: the cell's keys, `printed` and `ours`
    (percent; seconds or MiB for costs), `delta`, `n_seeds`, `low` and `high` (95 % t-interval over
    seeds), `verdict`, `order`, `footnotes` (precision, device, open fields), `collapsed` (how many
    repetitions).
    """
    cells = [cell for cell in cells if cell.protocol is not None]
    runs = load_runs() if runs is None else runs
    matcher = Matcher(runs)
    table = pd.DataFrame([_line(cell, matcher) for cell in cells], columns=_COLUMNS)
    ordered = table[table["table"].isin(ORDERED_TABLES)]
    for _, group in ordered.groupby(["table", "metric"]):
        table.loc[group.index, "order"] = _order(group)
    # To reproduce Tables 5-7 takes their printed order too.
    turned = (table["order"] == "differs") & (table["verdict"] == "reproduced")
    table.loc[turned, "verdict"] = "close"
    return table


_COLUMNS = [*KEYS, "printed", "ours", "delta", "n_seeds", "low", "high", "verdict", "order"]
_COLUMNS += ["footnotes", "collapsed"]


def _told(cell: Cell, rows: pd.DataFrame) -> str:
    """A cell's footnote: what ran, in the fields that no verdict depends on."""
    if rows.empty:
        return ""
    ran = (", ".join(sorted(set(rows[name]))) for name in ("precision", "provenance.device"))
    if cell.row_metric == "cost.bank_mib":
        megabytes = rows["cost.bank_mib"].iloc[-1] * MIB / 1e6
        return f"{megabytes:.0f} MB of 10^6 bytes; {footnotes(cell, rows).iloc[0]}"
    return " on ".join(ran) + f"; {footnotes(cell, rows).iloc[0]}".rstrip("; ")


def _line(cell: Cell, matcher: Matcher) -> dict[str, Any]:
    rows = matcher.admitted(cell)
    values, missing = _repetitions(cell, rows)
    if values:
        matcher.used |= set(rows["file"])
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
    """The cell's value per repetition, in its unit, or what is missing for one.

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
    """Whether our means stand in the printed order; printed ties bind nothing."""
    if group["ours"].isna().any():
        return "not run"
    pairs = combinations(zip(group["printed"], group["ours"], strict=True), 2)
    kept = all((a[0] - b[0]) * (a[1] - b[1]) > 0 for a, b in pairs if a[0] != b[0])
    return "as printed" if kept else "differs"


def left_out(runs: pd.DataFrame | None = None, cells: Iterable[Cell] | None = None) -> pd.DataFrame:
    """The rows that fit a cell (default: any) and do not count: row, study, reason.

    Without cells, also every other row that is not from a clean tree.
    """
    runs = load_runs() if runs is None else runs
    matcher = _matched(runs, printed_cells() if cells is None else cells)
    reasons = {f: reason for f, reason in matcher.reasons.items() if f not in matcher.used}
    if cells is None and len(runs):
        reasons |= dict.fromkeys(runs["file"][~is_clean(runs)], DIRTY)
    rows = [(f, f.split("/")[0], reason) for f, reason in sorted(reasons.items())]
    return pd.DataFrame(rows, columns=["row", "study", "reason"])


def _matched(runs: pd.DataFrame, cells: Iterable[Cell]) -> Matcher:
    matcher = Matcher(runs)
    for cell in cells:
        if cell.protocol is not None:
            _line(cell, matcher)
    return matcher


def other_protocols(runs: pd.DataFrame | None = None, study: str | None = None) -> pd.DataFrame:
    """Return clean rows on real data beside the paper's numbers, without verdicts.

    With a study all of its rows; without, those of every protocol that no cell has. One line per
    protocol, category and metric: mean and 95 % t-interval over seeds, in percent. Printed is the
    paper's own number for the category and size, got by its own protocol; NaN where there is none.
    """
    runs = load_runs() if runs is None else runs
    if runs.empty:
        return pd.DataFrame()
    matcher = _matched(runs, printed_cells())
    rows = clean(runs, study)
    rows = rows[rows["dataset"].isin({c.dataset for c in printed_cells()})]
    # Novelty detection, medical images and rotated test images have tables of their own.
    medical = rows["dataset"].isin(registry.of_family(registry.MEDICAL))
    rows = rows[rows["normal_class"].isna() & ~medical & (rows["rotation"] == 0)]
    if not study:
        rows = rows[~rows["file"].isin(matcher.used | set(matcher.reasons))]
    groups = by_protocol(rows, also=["study", "category"], without=["fold"])
    return pd.DataFrame([line for group in groups for line in _beside(group)])


def _own_settings(backbone: str) -> dict[str, Any]:
    """What the paper's protocol means for another teacher: its own width and weights."""
    return {"oce_width": base_width(backbone), "weights": usual_weights(backbone)}


SHOWN = ("dataset", "category", "backbone", "epochs", "image_size")


def departures(row: pd.Series) -> dict[str, Any]:
    """Where a row leaves its teacher's form of the paper's protocol, beside SHOWN fields."""
    usual = protocol_defaults() | _own_settings(row["backbone"])
    skipped = {*SHOWN, *foreign_fields(row["method"])}
    return {k: row[k] for k, v in usual.items() if k not in skipped and not admits(v, row[k])}


def _beside(group: pd.DataFrame) -> list[dict[str, Any]]:
    """The lines of one protocol, one per metric that a paper prints."""
    first = group.iloc[-1]
    runs = newest(group, *IDENTITY)
    place = {name: first[name] for name in ("dataset", "category", "image_size")}
    place |= {"method": METHOD_NAMES.get(first["method"], first["method"])}
    printed = {}
    for table in ("1", "2"):
        printed |= printed_values("rd4ad", table, "metric", **place)
    other = departures(first)
    named = {k: first[k] for k in ("study", *SHOWN)} | {"differs in": settings_text(other)}
    lines = []
    for metric, name in ROW_METRIC.items():
        values = 100 * runs[name].dropna().astype(float)
        if len(values):
            s, value = summary(values), printed.get(metric, np.nan)
            found = {"metric": metric, "printed": value, **s._asdict(), "delta": s.mean - value}
            lines.append(named | found)
    return lines
