"""Which rows count for a printed cell, and why other rows of its protocol do not."""

from typing import Any

import numpy as np
import pandas as pd

from rdrepro import registry
from rdrepro.backbones import RANDOM
from rdrepro.config import foreign_fields
from rdrepro.presets import PRESETS
from rdrepro.study.printed import ANY, COSTS, Cell, protocol_defaults
from rdrepro.study.selection import alike, is_clean

# The fields that distinguish the repetitions of one protocol.
IDENTITY = ("category", "normal_class", "seed", "fold", "data_seed")
OPEN = "another choice of what print leaves open"
CHOSEN = "settings chosen by validation"
PRINTED_SPLIT = "report"  # of medical data sets
DIRTY = "not from a clean tree"  # it had changes or, without git, its state is unknown
# Runs that differ in these are not repetitions of one cost.
COST_CONDITIONS = ["category", "precision", "provenance.device", "provenance.threads"]


def cell_matches(row: dict[str, Any], cell: Any) -> bool:
    """Whether a row followed one of the protocols of a printed cell.

    row: a result row, or a line of `load_runs`. cell: a `printed.Cell`, each of whose `protocols`
    names every setting that affects the result. The seed may have any value. So may device and
    precision, which footnotes show.
    """
    config = cell.defaults | row.get("config", row)
    return any(follows(config, protocol) for protocol in cell.protocols)


def follows(config: dict[str, Any], protocol: dict[str, Any]) -> bool:
    """Whether a configuration has a value that the protocol admits in each of its settings."""
    return all(admits(wanted, config.get(name)) for name, wanted in protocol.items())


def admits(wanted: Any, value: Any) -> bool:
    """Whether an entry of a protocol admits a value.

    wanted: one value, a frozenset of values, or ANY.
    """
    value = tuple(value) if isinstance(value, list) else value
    value = None if value != value else value  # pandas turns null into NaN
    if isinstance(wanted, frozenset):
        return value in wanted
    return wanted == ANY or value == wanted


class Matcher:
    """The rows that count for each printed cell, and the reasons why other rows do not.

    Cells with the same protocol share one search for its rows.
    """

    def __init__(self, runs: pd.DataFrame):
        self.runs, self.matches = runs, {}
        fields = [name for name in protocol_defaults() if name in runs]
        self.numbers = alike(runs, fields)  # equal for rows of one protocol
        self.protocols = runs.loc[~self.numbers.duplicated(), fields].to_dict("records")
        self.used: set[str] = set()  # files of the rows behind a cell's value
        self.reasons: dict[str, str] = {}  # by file, why a row that fits a cell does not count

    def admitted(self, cell: Cell) -> pd.DataFrame:
        """The rows that count for a cell, the newest of each repetition.

        They are clean and have the cell's protocol and units.
        """
        if self.runs.empty or cell.row_metric not in self.runs:
            return self.runs.iloc[:0]
        first = self.runs.iloc[:0]
        for protocol in cell.protocols:
            rows = self._of_protocol(cell, protocol)
            if first.empty:
                first = rows
            else:
                self._without(rows, pd.Series(False, index=rows.index), OPEN)
        return first

    def _of_protocol(self, cell: Cell, protocol: dict[str, Any]) -> pd.DataFrame:
        """The rows that count for a cell by one of its protocols."""
        key = tuple(sorted((k, str(v)) for k, v in protocol.items()))
        if key not in self.matches:
            fits = np.array([follows(p, protocol) for p in self.protocols])
            self.matches[key] = self.runs[fits[self.numbers]]
        rows = self.matches[key]
        if rows.empty:
            return rows
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
        if registry.DATASETS[cell.dataset].family == registry.MEDICAL:
            rows = self._of_one_split(cell, rows)
        last = ~alike(rows, [*_open_fields(protocol), *IDENTITY]).duplicated(keep="last")
        rows = self._without(rows, last, "superseded by a newer row")
        return self._without(rows, _largest_group(cell, protocol, rows), OPEN)

    def _of_one_split(self, cell: Cell, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows of the printed split if there are any, or else of the data set's usual folds."""
        for split in (PRINTED_SPLIT, *registry.DATASETS[cell.dataset].splits):
            if (rows["split"] == split).any():
                return self._without(rows, rows["split"] == split, OPEN)
        return rows

    def _of_novelty(self, cell: Cell, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows that count in Table 4: those with a pre-trained teacher and the whole test set.

        The paper leaves some settings open. If there are rows with the settings of the authors'
        code (the preset `novelty_official`), only those count.
        """
        rows = self._without(rows, rows["weights"] != RANDOM, "random weights")
        whole = registry.DATASETS[cell.dataset].test_images
        if whole:
            tested = rows["counts.test_normal"] + rows["counts.test_anomalous"]
            rows = self._without(rows, tested == whole, "not the whole test set")
        official = PRESETS["novelty_official"]
        fields = [name for name in _open_fields(cell.protocol) if name in official]
        own = (rows[fields] == [official[name] for name in fields]).all(axis="columns")
        return self._without(rows, own, OPEN) if own.any() else rows

    def _without(self, rows: pd.DataFrame, kept: pd.Series, reason: str) -> pd.DataFrame:
        """The rows to keep. For each other row, the reason why it does not count is recorded."""
        if kept.all():
            return rows
        self.reasons |= dict.fromkeys(rows["file"][~kept], reason)
        return rows[kept]


def _open_fields(protocol: dict[str, Any]) -> list[str]:
    return [k for k, v in protocol.items() if v == ANY or isinstance(v, frozenset)]


def footnotes(cell: Cell, protocol: dict[str, Any], rows: pd.DataFrame) -> pd.Series:
    """The values of the settings that the papers leave open, as one text per row.

    Where a cell has several protocols, so are the settings in which they differ.
    """
    skipped = {"fold", *foreign_fields(protocol["method"])}
    names = [name for name in _open_fields(protocol) if name not in skipped]
    names += [k for k, v in protocol.items() if any(p[k] != v for p in cell.protocols)]
    names += COST_CONDITIONS if cell.metric in COSTS else []
    texts = [settings_text(row) for row in rows[list(dict.fromkeys(names))].to_dict("records")]
    return pd.Series(texts, index=rows.index, dtype=object)


def settings_text(values: dict[str, Any]) -> str:
    """Settings as text, such as `epochs=20 sigma=4.5`; those that are null are left out.

    In a mixed column pandas turns 20 into 20.0 and null into NaN; this is undone.
    """
    whole = {k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in values.items()}
    return " ".join(f"{k}={v}" for k, v in whole.items() if v is not None and v == v)


def _largest_group(cell: Cell, protocol: dict[str, Any], rows: pd.DataFrame) -> pd.Series:
    """Whether each row belongs to the one choice of open settings that counts.

    Where the paper leaves settings open, runs that differ in them are not repetitions of each
    other. The choice with the most runs counts; among equals, the one with the newest run.
    """
    if rows.empty or not _open_fields(protocol):
        return pd.Series(True, index=rows.index)
    notes = footnotes(cell, protocol, rows)
    size = notes.map(notes.value_counts())
    return notes == notes[size[size == size.max()].index[-1]]
