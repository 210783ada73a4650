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
from rdrepro.study.memo import remembered
from rdrepro.study.printed import (
    METHOD_NAMES,
    QUOTED_METHODS,
    SPLITS,
    Cell,
    paper_cells,
    printed_cells,
    printed_values,
    protocol_defaults,
)
from rdrepro.study.repetitions import count_collapsed
from rdrepro.study.selection import by_protocol, clean, is_clean, newest
from rdrepro.study.stats import ROUNDING, overlap_verdict, summary, verdict
from rdrepro.study.tiers import PRINTED_PROTOCOL, Tiers, tier_of

ORDERED_TABLES = ("5", "6", "7")  # whose printed order is part of the claim
KEYS = ("paper", "table", "dataset", "category", "method", "image_size", "metric")


def compare(cells: Iterable[Cell], runs: pd.DataFrame | None = None) -> pd.DataFrame:
    """One line per printed cell of the methods that we run, with our value and verdict.

    runs: lines of `load_runs` (default: all).

    Columns: the cell's keys; `printed` and `ours` (percent; for costs, seconds or MiB); `delta`,
    ours minus printed; `n_seeds`, the number of independent repetitions; `low` and `high` (95 %
    t-interval over them); `verdict`; `order`, in Tables 5-7; `tier` (see `tiers.Tiers`);
    `footnotes` (precision, device, settings that the paper leaves open); `collapsed`, the number of
    collapsed runs (O10). Only rows of a printed protocol give values.
    """
    cells = [cell for cell in cells if cell.protocols]
    runs = load_runs() if runs is None else runs
    lines = _lines(runs)
    table = pd.DataFrame([lines[cell] for cell in cells], columns=_COLUMNS)
    ordered = table[table["table"].isin(ORDERED_TABLES)]
    for _, group in ordered.groupby(["table", "metric"]):
        table.loc[group.index, "order"] = _order(group)
    # Tables 5-7 count as reproduced only in their printed order.
    reversed_ = (table["order"] == "differs") & (table["verdict"] == "reproduced")
    table.loc[reversed_, "verdict"] = "close"
    return table


class _Lines(dict):
    """The line of each printed cell, computed when it is first asked for."""

    def __init__(self, runs: pd.DataFrame):
        super().__init__()
        self.matcher, self.tiers = Matcher(runs), Tiers(runs)

    def __missing__(self, cell: Cell) -> dict[str, Any]:
        self[cell] = _line(cell, self.matcher, self.tiers)
        return self[cell]


_lines = remembered(_Lines)
_COLUMNS = [*KEYS, "printed", "ours", "delta", "n_seeds", "low", "high", "verdict", "order"]
_COLUMNS += ["tier", "footnotes", "collapsed"]


def repetitions(cells: Iterable[Cell], runs: pd.DataFrame | None = None) -> dict[Cell, pd.Series]:
    """The value of each printed cell in each complete repetition, for the cells that have any.

    runs: lines of `load_runs` (default: all). Values are in percent or, for costs, in seconds or
    MiB. They are indexed by seed, so that two cells can be paired; costs by the row's file.
    """
    matcher = Matcher(load_runs() if runs is None else runs)
    found = {cell: matcher.counted(cell).values for cell in cells}
    return {cell: values for cell, values in found.items() if len(values)}


def cost_rows(cells: Iterable[Cell], runs: pd.DataFrame) -> dict[Cell, list[pd.DataFrame]]:
    """The rows that measured each cell's cost, by conditions; those that give its value first."""
    matcher = Matcher(runs)
    return {cell: matcher.choices(cell) for cell in cells}


def _footnotes(cell: Cell, rows: pd.DataFrame) -> str:
    """A cell's footnote: the precision, the device and the values of open settings.

    No verdict depends on them.
    """
    if rows.empty:
        return ""
    protocol = next(p for p in cell.protocols if follows(rows.iloc[0].to_dict(), p))
    settings = footnotes(cell, protocol, rows).iloc[0]
    ran = (", ".join(sorted(set(rows[name]))) for name in ("precision", "provenance.device"))
    if cell.row_metric == "cost.bank_mib":
        megabytes = rows["cost.bank_mib"].iloc[-1] * MIB / 1e6
        return f"{megabytes:.0f} million bytes; {settings}"
    sent = _senders(rows)
    text = " on ".join(ran) + f"; {settings}".rstrip("; ")
    return f"{text}; {sent}" if sent else text


def _senders(rows: pd.DataFrame) -> str:
    """Who sent rows that others made; "" if we made all of them."""
    names = sorted(set(rows["sender"]) - {""})
    return f"rows sent by {', '.join(names)}" if names else ""


def _line(cell: Cell, matcher: Matcher, tiers: Tiers) -> dict[str, Any]:
    values, rows, missing, _ = matcher.counted(cell)
    s = summary(values)
    line = {key: getattr(cell, key) for key in KEYS} | {"printed": cell.value, "ours": s.mean}
    # Printed memory banks are in MB (10^6 bytes), ours in MiB: a difference has no meaning.
    delta = np.nan if cell.row_metric == "cost.bank_mib" else s.mean - cell.value
    line |= {"delta": delta, "n_seeds": s.n, "low": s.low, "high": s.high}
    line |= {"order": "", "tier": PRINTED_PROTOCOL if s.n else tiers.of(cell)}
    line |= {"footnotes": _footnotes(cell, rows), "collapsed": count_collapsed(cell, rows)}
    return line | {"verdict": _verdict(cell, values, missing)}


def _verdict(cell: Cell, values: pd.Series, missing: str) -> str:
    if np.isnan(cell.value):
        return "not printed"
    if values.empty:
        return missing
    if cell.metric == "memory_mb" and cell.method == "Ours":
        # The size follows from the number of weights, which no seed changes (D3).
        return "reproduced" if round(values.iloc[-1]) == cell.value else "differs"
    if "seed" in meaningless(cell.protocol) and cell.margin is not None:
        # Nothing is random, so one run has the result of every seed.
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
    """The rows that follow the protocol of a cell but do not count for it: row, study and reason.

    Tables of reduced runs and of single classes may show them.

    cells: by default all printed cells. By default, dirty rows that fit no cell are listed too, and
    so are files that are not rows.
    """
    runs = load_runs() if runs is None else runs
    matcher = _matched(runs, printed_cells() if cells is None else tuple(cells))
    reasons = matcher.incomplete | matcher.reasons
    reasons = {f: reason for f, reason in reasons.items() if f not in matcher.used}
    if cells is None and len(runs):
        reasons |= dict.fromkeys(runs["file"][~is_clean(runs)], DIRTY)
    if cells is None:
        reasons |= runs.attrs.get("unreadable", {})
    rows = [(f, f.split("/")[0], reason) for f, reason in sorted(reasons.items())]
    return pd.DataFrame(rows, columns=["row", "study", "reason"])


@remembered
def _matched(runs: pd.DataFrame, cells: tuple[Cell, ...]) -> Matcher:
    """A matcher that has counted the rows of these cells. Callers only read it."""
    matcher = Matcher(runs)
    for cell in cells:
        matcher.counted(cell)
    return matcher


def other_protocols(runs: pd.DataFrame | None = None, study: str | None = None) -> pd.DataFrame:
    """Clean rows of other protocols on real data, with the paper's numbers but without verdicts.

    study: if given, all clean rows of this study are shown; otherwise, those whose protocol no
    printed cell has.

    There is a line per protocol, category and metric, with the mean and the 95 % t-interval over
    seeds, in percent. `printed` is the paper's number for this category and size, at the paper's
    own protocol. It is NaN if the paper prints none. `tier` says whether ours follows that
    protocol.
    """
    runs = load_runs() if runs is None else runs
    if runs.empty:
        return pd.DataFrame()
    matcher = _matched(runs, printed_cells())
    rows = clean(runs, study)
    rows = rows[rows["dataset"].isin({c.dataset for c in printed_cells()})]
    # Novelty detection, medical images and rotated test images have their own tables.
    medical = rows["dataset"].isin(registry.of_family(registry.MEDICAL))
    rows = rows[rows["normal_class"].isna() & ~medical & (rows["rotation"] == 0)]
    if not study:
        rows = rows[~rows["file"].isin(matcher.used | set(matcher.reasons))]
    groups = by_protocol(rows, also=["study", "category"], without=["fold"])
    return pd.DataFrame([line for group in groups for line in _beside(group)])


def _own_settings(backbone: str) -> dict[str, Any]:
    """The settings of the paper's protocol that depend on the teacher: width and weights."""
    return {"oce_width": base_width(backbone), "weights": usual_weights(backbone)}


def _nearest_cell(place: dict[str, Any]) -> Cell:
    """The cell of Tables 1-2 with this method, category and size, or else with another size.

    Methods that are not in the paper's tables are compared with its own method.
    """
    cells = [c for number in "12" for c in paper_cells("rd4ad", number) if c.protocols]
    names = {c.method for c in cells}
    method = place["method"] if place["method"] in names else "Ours"
    own = [c for c in cells if (c.method, c.category) == (method, place["category"])]
    return next((c for c in own if c.image_size == place["image_size"]), own[-1])


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
    named["tier"] = tier_of(first, _nearest_cell(place))
    if _senders(group):
        named["study"] = f"{first['study']} ({_senders(group)})"
    lines = []
    quoted = {"pro": "pixel_aupro"} if place["method"] in QUOTED_METHODS else {}
    for metric, name in (ROW_METRIC | quoted).items():
        values = 100 * runs[name].dropna().astype(float)
        if len(values):
            s, value = summary(values), printed.get(metric, np.nan)
            shown = name if metric in quoted else metric  # the exact metric has a name of its own
            found = {"metric": shown, "printed": value, **s._asdict(), "delta": s.mean - value}
            lines.append(named | found)
    return lines
