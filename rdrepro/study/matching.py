"""Which rows count for a printed cell, and why other rows of its protocol do not."""

from typing import Any

import numpy as np
import pandas as pd

from rdrepro import registry
from rdrepro.backbones import RANDOM
from rdrepro.config import foreign_fields
from rdrepro.presets import PRESETS
from rdrepro.study.printed import ANY, COSTS, Cell, protocol_defaults
from rdrepro.study.repetitions import Repetitions, repetitions_of
from rdrepro.study.selection import alike, is_clean

# The fields that distinguish the repetitions of one protocol.
IDENTITY = ("category", "normal_class", "seed", "fold", "data_seed")
PART = "not in a complete repetition"
OPEN = "another choice of what the paper leaves open"
CHOSEN = "settings chosen by validation"
PRINTED_SPLIT = "report"  # of medical data sets
DIRTY = "not from a clean tree"  # it had changes, or its state is unknown (no git)
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
        self.incomplete: dict[str, str] = {}  # the same for rows of no complete repetition

    def counted(self, cell: Cell) -> Repetitions:
        """The repetitions that count for a cell, of the newest row of each run.

        Their rows are clean and have one of the cell's protocols and its units. The paper may leave
        a choice open (a protocol, a split, some settings). Runs that differ in it are not
        repetitions of each other, and only one choice counts: the first in `choices` with a
        complete repetition or, if none has one, the first of all.
        """
        found = [repetitions_of(cell, rows) for rows in self.choices(cell)]
        if not found:
            return repetitions_of(cell, self.runs.iloc[:0])
        chosen = next((number for number, one in enumerate(found) if len(one.values)), 0)
        for number, one in enumerate(found):
            if number != chosen:
                self.reasons |= dict.fromkeys(one.every["file"], OPEN)
        one = found[chosen]
        self.used |= set(one.rows["file"])
        part = one.missing.removeprefix("incomplete ").strip("()")
        reason = f"{PART} ({part})" if part else PART
        rest = set(one.every["file"]) - set(one.rows["file"])
        self.incomplete |= dict.fromkeys(rest, reason)
        return one

    def choices(self, cell: Cell) -> list[pd.DataFrame]:
        """The rows of each choice of what the paper leaves open, the preferred choice first.

        The code's protocol comes before the text's, the printed split before folds, and the
        settings of the authors' code before others. Then the choice with the most complete
        repetitions comes first; among equals, that with the most runs, and then the newest.
        """
        if self.runs.empty or cell.row_metric not in self.runs:
            return []
        found = []
        for rank, protocol in enumerate(cell.protocols):
            rows = self._of_protocol(cell, protocol)
            if rows.empty:
                continue
            choice = footnotes(cell, protocol, rows)
            for _, group in rows.groupby(choice, sort=False):
                key = (rank, _split_rank(cell, group), not _is_official(cell, group))
                size = (-len(repetitions_of(cell, group).values), -len(group), -group.index[-1])
                found.append(((*key, *size), group))
        return [group for _, group in sorted(found, key=lambda pair: pair[0])]

    def _of_protocol(self, cell: Cell, protocol: dict[str, Any]) -> pd.DataFrame:
        """The rows that may count for a cell by one of its protocols."""
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
        if _is_novelty(cell):
            rows = self._of_novelty(cell, rows)
        last = ~alike(rows, [*_open_fields(protocol), *IDENTITY]).duplicated(keep="last")
        return self._without(rows, last, "superseded by a newer row")

    def _of_novelty(self, cell: Cell, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows that count in Table 4: with a pre-trained teacher and the whole test set."""
        rows = self._without(rows, rows["weights"] != RANDOM, "random weights")
        whole = registry.DATASETS[cell.dataset].test_images
        if not whole:
            return rows
        tested = rows["counts.test_normal"] + rows["counts.test_anomalous"]
        return self._without(rows, tested == whole, "not the whole test set")

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

    If a cell has several protocols, the settings in which they differ are open as well.
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


def _is_novelty(cell: Cell) -> bool:
    return (cell.paper, cell.table) == ("rd4ad", "4")


def _is_official(cell: Cell, rows: pd.DataFrame) -> bool:
    """Whether rows of Table 4 have the authors' settings where the paper leaves them open.

    In other tables there is no such choice.
    """
    if not _is_novelty(cell):
        return True
    official, first = PRESETS["novelty_official"], rows.iloc[-1]
    open_ = [name for name in _open_fields(cell.protocol) if name in official]
    return all(first[name] == official[name] for name in open_)


def _split_rank(cell: Cell, rows: pd.DataFrame) -> int:
    """0 for the printed split of a medical data set, then its splits in their usual order."""
    splits = [PRINTED_SPLIT, *registry.DATASETS[cell.dataset].splits]
    split = rows["split"].iloc[0]
    return splits.index(split) if split in splits else len(splits)
