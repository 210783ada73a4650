"""Which rows a printed cell admits, and why others of its protocol do not count."""

from typing import Any

import pandas as pd

from rdrepro import registry
from rdrepro.backbones import RANDOM
from rdrepro.config import DEFAULTS, foreign_fields
from rdrepro.presets import PRESETS
from rdrepro.study.printed import ANY, COSTS, Cell
from rdrepro.study.selection import alike, is_clean

# What tells the runs of one protocol apart.
IDENTITY = ("category", "normal_class", "seed", "fold", "data_seed")
OPEN = "another choice of what print leaves open"
CHOSEN = "settings chosen by validation"
DIRTY = "not from a clean tree"  # known to be changed or, without git, not known at all
# Runs that differ in these are no repetitions of a cost.
COST_CONDITIONS = ["category", "precision", "provenance.device", "provenance.threads"]


def cell_matches(row: dict[str, Any], cell: Any) -> bool:
    """Whether a row ran the whole protocol of a printed cell.

    row: a result row, or a line of `load_runs`; cell: a `cells.Cell`, whose `protocol` names every
    field that affects the result. Device and precision are footnotes, the seed is free.
    """
    config = row.get("config", row)
    return all(
        admits(wanted, config.get(name, cell.defaults.get(name)))
        for name, wanted in cell.protocol.items()
    )


def admits(wanted: Any, value: Any) -> bool:
    """Whether a protocol's entry (a value, ANY, or a frozenset of values) admits a value."""
    value = tuple(value) if isinstance(value, list) else value
    value = None if value != value else value  # pandas makes NaN of null
    if isinstance(wanted, frozenset):
        return value in wanted
    return wanted == ANY or value == wanted


class Matcher:
    """Rows by protocol, each protocol looked up once; and why rows do not count."""

    def __init__(self, runs: pd.DataFrame):
        fields = [name for name in DEFAULTS if name in runs]
        self.runs, self.records, self.matches = runs, runs[fields].to_dict("records"), {}
        self.used: set[str] = set()  # in a cell that has a value
        self.reasons: dict[str, str] = {}  # of rows that fit a cell and do not count there

    def admitted(self, cell: Cell) -> pd.DataFrame:
        """The clean rows of a cell's protocol and units, the newest of each repetition."""
        if self.runs.empty or cell.row_metric not in self.runs:
            return self.runs.iloc[:0]
        key = tuple(sorted((k, str(v)) for k, v in cell.protocol.items()))
        if key not in self.matches:
            self.matches[key] = self.runs[[cell_matches(r, cell) for r in self.records]]
        rows = self.matches[key]
        fits = rows[cell.row_metric].notna()
        if cell.unit_field:
            fits &= rows[cell.unit_field].isin(cell.units)
        rows = rows[fits]
        if rows.empty:
            return rows
        rows = self._without(rows, is_clean(rows), DIRTY)
        if "provenance.selection" in rows:
            rows = self._without(rows, rows["provenance.selection"].isna(), CHOSEN)
        if cell.table == "4" and cell.paper == "rd4ad":
            rows = self._of_novelty(cell, rows)
        last = ~alike(rows, [*_open_fields(cell), *IDENTITY]).duplicated(keep="last")
        rows = self._without(rows, last, "superseded by a newer row")
        return self._without(rows, _largest_group(cell, rows), OPEN)

    def _of_novelty(self, cell: Cell, rows: pd.DataFrame) -> pd.DataFrame:
        """Return Table 4's rows that count: a taught teacher, the whole test set, as the authors.

        The authors' own choice of what print leaves open, `novelty_official`, wins over others.
        """
        rows = self._without(rows, rows["weights"] != RANDOM, "random weights")
        whole = registry.DATASETS[cell.dataset].test_images
        if whole:
            tested = rows["counts.test_normal"] + rows["counts.test_anomalous"]
            rows = self._without(rows, tested == whole, "not the whole test set")
        official = PRESETS["novelty_official"]
        fields = [name for name in _open_fields(cell) if name in official]
        own = (rows[fields] == [official[name] for name in fields]).all(axis="columns")
        return self._without(rows, own, OPEN) if own.any() else rows

    def _without(self, rows: pd.DataFrame, kept: pd.Series, reason: str) -> pd.DataFrame:
        """The rows that are kept, and remember why the others are not."""
        if kept.all():
            return rows
        self.reasons |= dict.fromkeys(rows["file"][~kept], reason)
        return rows[kept]


def _open_fields(cell: Cell) -> list[str]:
    return [k for k, v in cell.protocol.items() if v == ANY or isinstance(v, frozenset)]


def footnotes(cell: Cell, rows: pd.DataFrame) -> pd.Series:
    """The values of the fields that the print leaves open, as text, per row."""
    skipped = {"fold", *foreign_fields(cell.protocol["method"])}
    names = [name for name in _open_fields(cell) if name not in skipped]
    names += COST_CONDITIONS if cell.metric in COSTS else []
    texts = [settings_text(row) for row in rows[names].to_dict("records")]
    return pd.Series(texts, index=rows.index, dtype=object)


def settings_text(values: dict[str, Any]) -> str:
    """Return settings as text; pandas makes 20.0 of 20 and NaN of null in a mixed column."""
    whole = {k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in values.items()}
    return " ".join(f"{k}={v}" for k, v in whole.items() if v is not None and v == v)


def _largest_group(cell: Cell, rows: pd.DataFrame) -> pd.Series:
    """Which rows are of one protocol: where print leaves fields open, that of most runs.

    Runs that differ in an open field are no repetitions of each other; among equals the newest.
    """
    if rows.empty or not _open_fields(cell):
        return pd.Series(True, index=rows.index)
    notes = footnotes(cell, rows)
    size = notes.map(notes.value_counts())
    return notes == notes[size[size == size.max()].index[-1]]
