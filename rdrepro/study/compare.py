"""The comparison of result rows with printed cells, and the rows that do not count in it."""

from collections.abc import Iterable
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from rdrepro import registry
from rdrepro.backbones import base_width, usual_weights
from rdrepro.config import foreign_fields
from rdrepro.meaning import meaningless
from rdrepro.metric_names import ROW_METRIC
from rdrepro.registry import FOLDED, FOLDS
from rdrepro.runs.rows import load_runs
from rdrepro.runs.schema import MIB
from rdrepro.study.matching import (
    DIRTY,
    IDENTITY,
    Matcher,
    admits,
    follows,
    footnotes,
    settings_text,
)
from rdrepro.study.printed import (
    COSTS,
    METHOD_NAMES,
    QUOTED_METHODS,
    SPLITS,
    Cell,
    printed_cells,
    printed_values,
    protocol_defaults,
)
from rdrepro.study.selection import by_protocol, clean, is_clean, newest
from rdrepro.study.stats import ROUNDING, collapsed, overlap_verdict, summary, verdict
from rdrepro.study.tiers import PRINTED_PROTOCOL, REDUCED, Tiers

ORDERED_TABLES = ("5", "6", "7")  # whose printed order is part of the claim
KEYS = ("paper", "table", "dataset", "category", "method", "image_size", "metric")


def compare(cells: Iterable[Cell], runs: pd.DataFrame | None = None) -> pd.DataFrame:
    """A line for each printed cell of the methods that we run, with our value and verdict.

    runs: lines of `load_runs` (default: all).

    Columns: the cell's keys; `printed` and `ours` (percent; for costs, seconds or MiB); `delta`,
    ours minus printed; `n_seeds`, the number of independent repetitions; `low` and `high` (95 %
    t-interval over them); `verdict`; `order`, in Tables 5-7; `tier` (see `tiers.Tiers`);
    `footnotes` (precision, device, settings that the paper leaves open); `collapsed`, the number of
    collapsed runs (O10). Only rows of a printed protocol give values.
    """
    cells = [cell for cell in cells if cell.protocols]
    runs = load_runs() if runs is None else runs
    matcher, tiers = Matcher(runs), Tiers(runs)
    table = pd.DataFrame([_line(cell, matcher, tiers) for cell in cells], columns=_COLUMNS)
    ordered = table[table["table"].isin(ORDERED_TABLES)]
    for _, group in ordered.groupby(["table", "metric"]):
        table.loc[group.index, "order"] = _order(group)
    # Tables 5-7 count as reproduced only in their printed order.
    reversed_ = (table["order"] == "differs") & (table["verdict"] == "reproduced")
    table.loc[reversed_, "verdict"] = "close"
    return table


_COLUMNS = [*KEYS, "printed", "ours", "delta", "n_seeds", "low", "high", "verdict", "order"]
_COLUMNS += ["tier", "footnotes", "collapsed"]


def repetitions(cells: Iterable[Cell], runs: pd.DataFrame | None = None) -> dict[Cell, pd.Series]:
    """The value of each printed cell in each complete repetition, for the cells that have any.

    runs: lines of `load_runs` (default: all). Values are in percent or, for costs, in seconds or
    MiB. They are indexed by seed, so that two cells can be paired; costs by the row's file.
    """
    matcher = Matcher(load_runs() if runs is None else runs)
    found = {cell: _repetitions(cell, matcher.admitted(cell))[0] for cell in cells}
    return {cell: values for cell, values in found.items() if len(values)}


def _footnotes(cell: Cell, rows: pd.DataFrame) -> str:
    """A cell's footnote: the precision, device and open settings that ran.

    No verdict depends on them.
    """
    if rows.empty:
        return ""
    protocol = next(p for p in cell.protocols if follows(rows.iloc[0].to_dict(), p))
    settings = footnotes(cell, protocol, rows).iloc[0]
    ran = (", ".join(sorted(set(rows[name]))) for name in ("precision", "provenance.device"))
    if cell.row_metric == "cost.bank_mib":
        megabytes = rows["cost.bank_mib"].iloc[-1] * MIB / 1e6
        return f"{megabytes:.0f} MB of 10^6 bytes; {settings}"
    sent = _senders(rows)
    text = " on ".join(ran) + f"; {settings}".rstrip("; ")
    return f"{text}; {sent}" if sent else text


def _senders(rows: pd.DataFrame) -> str:
    """Who sent rows that others made; "" where nobody did."""
    names = sorted(set(rows["sender"]) - {""})
    return f"rows sent by {', '.join(names)}" if names else ""


def _line(cell: Cell, matcher: Matcher, tiers: Tiers) -> dict[str, Any]:
    rows = matcher.admitted(cell)
    values, missing = _repetitions(cell, rows)
    if len(values):
        matcher.used |= set(rows["file"])
    s = summary(values)
    line = {key: getattr(cell, key) for key in KEYS} | {"printed": cell.value, "ours": s.mean}
    # Printed banks are in MB (10^6 bytes) and ours in MiB, so their difference has no meaning.
    delta = np.nan if cell.row_metric == "cost.bank_mib" else s.mean - cell.value
    line |= {"delta": delta, "n_seeds": s.n, "low": s.low, "high": s.high}
    line |= {"order": "", "tier": PRINTED_PROTOCOL if len(rows) else tiers.of(cell)}
    line |= {"footnotes": _footnotes(cell, rows), "collapsed": _collapsed(cell, rows)}
    return line | {"verdict": _verdict(cell, values, missing)}


def _repetitions(cell: Cell, rows: pd.DataFrame) -> tuple[pd.Series, str]:
    """The cell's value in each complete repetition, and what is missing if there is none.

    A cell's units are what it averages over: categories, classes or folds. A draw has one random
    division of the images. It is complete if it has every unit, and its value is the mean over
    them. A repetition is a seed, since only seeds are independent; its value is the mean over its
    complete draws. Costs are measured anew by each run.
    """
    if rows.empty:
        return pd.Series(dtype=float), "not run"
    rows = rows.assign(value=_values(cell, rows))
    if cell.metric in COSTS:
        return rows.set_index("file")["value"], ""
    field, units = _units(cell, rows)
    draw = ["seed", "data_seed"] if field else ["seed", "data_seed", "fold"]
    draws = rows.groupby(draw, dropna=False)
    whole = draws[field].nunique() == len(units) if field else draws.size() > 0
    values = draws["value"].mean()[whole].groupby("seed").mean()
    if not field or len(values):
        return values, ""
    present = rows[field].nunique()
    if present < len(units):
        return values, f"incomplete ({present}/{len(units)})"
    return values, f"incomplete (no seed has all {len(units)})"


def _values(cell: Cell, rows: pd.DataFrame) -> pd.Series:
    """Each row's value of the cell: percent or, for costs, seconds or MiB."""
    values = rows[cell.row_metric]
    if cell.metric == "seconds_per_image":
        values = values.map(lambda quartiles: quartiles[1])  # the median
    return (1 if cell.metric in COSTS else 100) * values.astype(float)


def _units(cell: Cell, rows: pd.DataFrame) -> tuple[str | None, tuple]:
    """The column of the cell's units, None if there is none, and the units that it needs."""
    if cell.unit_field:
        return cell.unit_field, cell.units
    return ("fold", tuple(range(FOLDS))) if rows["split"].iloc[0] in FOLDED else (None, ())


def _collapsed(cell: Cell, rows: pd.DataFrame) -> int:
    """How many rows collapsed: they say so, or lie far below the others of their unit."""
    if rows.empty or cell.metric in COSTS:
        return 0
    values = _values(cell, rows)
    unit = rows[cell.unit_field] if cell.unit_field else pd.Series("", index=rows.index)
    fallen = values.groupby(unit).transform(lambda group: collapsed(group)).astype(bool)
    return int((fallen | (rows["status"] == "collapsed")).sum())


def _verdict(cell: Cell, values: pd.Series, missing: str) -> str:
    if np.isnan(cell.value):
        return "not printed"
    if values.empty:
        return missing
    if cell.metric == "memory_mb" and cell.method == "Ours":
        # The size follows from the count of weights, which no seed changes (D3).
        return "reproduced" if round(values.iloc[-1]) == cell.value else "differs"
    if "seed" in meaningless(cell.protocol) and cell.margin is not None:
        # Without chance, one run has every seed's result.
        inside = abs(values.iloc[-1] - cell.value) <= cell.margin + ROUNDING
        return "reproduced" if inside else "differs"
    if cell.paper == "rkd_medical" and cell.table == "3" and cell.dataset in SPLITS:
        return overlap_verdict(values, cell.value, *SPLITS[cell.dataset])
    return verdict(values, cell.value, cell.margin)


def _order(group: pd.DataFrame) -> str:
    """Whether our means are in the printed order; printed ties may come in any order."""
    if group["ours"].isna().any():
        return "not run"
    pairs = combinations(zip(group["printed"], group["ours"], strict=True), 2)
    kept = all((a[0] - b[0]) * (a[1] - b[1]) > 0 for a, b in pairs if a[0] != b[0])
    return "as printed" if kept else "differs"


def left_out(runs: pd.DataFrame | None = None, cells: Iterable[Cell] | None = None) -> pd.DataFrame:
    """The rows that follow the protocol of a cell but do not count: row, study and reason.

    cells: by default all printed cells. Rows that fit no cell are then listed too, if they do not
    come from a clean working tree, and so are files that are no rows.
    """
    runs = load_runs() if runs is None else runs
    matcher = _matched(runs, printed_cells() if cells is None else cells)
    reasons = {f: reason for f, reason in matcher.reasons.items() if f not in matcher.used}
    if cells is None and len(runs):
        reasons |= dict.fromkeys(runs["file"][~is_clean(runs)], DIRTY)
    if cells is None:
        reasons |= runs.attrs.get("unreadable", {})
    rows = [(f, f.split("/")[0], reason) for f, reason in sorted(reasons.items())]
    return pd.DataFrame(rows, columns=["row", "study", "reason"])


def _matched(runs: pd.DataFrame, cells: Iterable[Cell]) -> Matcher:
    matcher = Matcher(runs)
    for cell in cells:
        rows = matcher.admitted(cell)
        if len(_repetitions(cell, rows)[0]):
            matcher.used |= set(rows["file"])
    return matcher


def other_protocols(runs: pd.DataFrame | None = None, study: str | None = None) -> pd.DataFrame:
    """Clean rows of other protocols on real data, with the paper's numbers but without verdicts.

    study: if given, all clean rows of this study are shown; otherwise, those whose protocol no
    printed cell has.

    There is a line per protocol, category and metric, with the mean and the 95 % t-interval over
    seeds, in percent. `printed` is the paper's number for this category and size, measured at its
    own protocol. It is NaN where the paper prints none. `tier` says whether ours is that protocol.
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
    """The settings of the paper's protocol that depend on the teacher: width and weights."""
    return {"oce_width": base_width(backbone), "weights": usual_weights(backbone)}


SHOWN = ("dataset", "category", "backbone", "epochs", "image_size")


def departures(row: pd.Series) -> dict[str, Any]:
    """The settings, other than SHOWN, in which a row departs from the paper's protocol.

    The width and weights are compared with those that the protocol has for the row's own teacher.
    """
    usual = protocol_defaults() | _own_settings(row["backbone"])
    skipped = {*SHOWN, *foreign_fields(row["method"])}
    return {k: row[k] for k, v in usual.items() if k not in skipped and not admits(v, row[k])}


def _beside(group: pd.DataFrame) -> list[dict[str, Any]]:
    """The lines of one protocol, one for each metric that a paper prints."""
    first = group.iloc[-1]
    runs = newest(group, *IDENTITY)
    place = {name: first[name] for name in ("dataset", "category", "image_size")}
    place |= {"method": METHOD_NAMES.get(first["method"], first["method"])}
    printed = {}
    for table in ("1", "2"):
        printed |= printed_values("rd4ad", table, "metric", **place)
    other = departures(first)
    named = {k: first[k] for k in ("study", *SHOWN)} | {"differs in": settings_text(other)}
    as_printed = follows(first.to_dict(), protocol_defaults())
    named["tier"] = PRINTED_PROTOCOL if as_printed else REDUCED
    if _senders(group):
        named["study"] = f"{first['study']} ({_senders(group)})"
    lines = []
    quoted = {"pro": "pixel_aupro"} if place["method"] in QUOTED_METHODS else {}
    for metric, name in (ROW_METRIC | quoted).items():
        values = 100 * runs[name].dropna().astype(float)
        if len(values):
            s, value = summary(values), printed.get(metric, np.nan)
            found = {"metric": metric, "printed": value, **s._asdict(), "delta": s.mean - value}
            lines.append(named | found)
    return lines
